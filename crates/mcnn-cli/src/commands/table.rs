//! `mcnn table`.

use std::fs::File;

use mcnn::{Error, Result, data::regular};
use serde::Serialize;

use super::{Done, claim_plot};
use crate::{
    args::TableArgs,
    plot, print,
    sweep::{
        grid::{self, Grid},
        results,
    },
};

/// The table of a sweep's results.
#[derive(Serialize)]
pub struct Table {
    pub file: String,
    pub runs: usize,
    #[serde(flatten)]
    pub grid: Grid,
    /// The plot written.
    pub plot: Option<String>,
}

pub fn run(args: &TableArgs) -> Result<Done> {
    let _claim = args.plot.as_deref().map(|path| claim_plot(path, args.force)).transpose()?;
    regular(&args.results)?;
    let file = File::open(&args.results).map_err(|e| Error::io("reading", &args.results, &e))?;
    let (lines, _) = results::read(&args.results, &file)?;
    let grid = grid::arrange(&lines, &args.rows).map_err(|e| e.within(args.results.display()))?;
    if let Some(path) = &args.plot {
        plot::write(path, &plot::table::svg(&grid))?;
    }
    let report = Table {
        file: args.results.display().to_string(),
        runs: lines.len(),
        grid,
        plot: args.plot.as_ref().map(|p| p.display().to_string()),
    };
    Ok(Done::new(&report, print::table(&report)))
}
