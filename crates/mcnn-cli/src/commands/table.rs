//! `mcnn table`.

use std::fs::File;

use mcnn::{Error, Result, atomic, error::Kind};
use serde::Serialize;

use super::{Done, check_output};
use crate::{
    args::{Output, TableArgs},
    plot, print,
    sweep::{
        grid::{self, Grid},
        results,
    },
};

/// What a table holds.
#[derive(Serialize)]
pub struct Table {
    pub file: String,
    pub runs: usize,
    #[serde(flatten)]
    pub grid: Grid,
    /// The picture written.
    pub plot: Option<String>,
}

pub fn run(args: &TableArgs) -> Result<Done> {
    if let Some(path) = &args.plot {
        if path.extension().is_none_or(|e| e != "svg") {
            return Err(Error::new(Kind::Settings, "pictures are written as SVG")
                .at(format!("--plot {}", path.display()))
                .expected("a name that ends in .svg")
                .next("browsers show SVG and save it as PNG; PNG here would need a font of its own"));
        }
        check_output(&Output { path: path.clone(), force: args.force })?;
    }
    let file = File::open(&args.results).map_err(|e| Error::io("reading", &args.results, &e))?;
    let (lines, _) = results::read(&args.results, &file)?;
    let grid = grid::arrange(&lines, &args.rows).map_err(|e| e.within(args.results.display()))?;
    if let Some(path) = &args.plot {
        atomic::write(path, plot::svg(&grid).as_bytes())?;
    }
    let report = Table {
        file: args.results.display().to_string(),
        runs: lines.len(),
        grid,
        plot: args.plot.as_ref().map(|p| p.display().to_string()),
    };
    Ok(Done::new(&report, print::table(&report)))
}
