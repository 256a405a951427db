//! `mcnn table`.

use std::fs::File;

use mcnn::{Error, Result, data::regular, error::Kind};
use serde::Serialize;

use super::{Done, claim_plot};
use crate::{
    args::{Figure, TableArgs},
    plot::{self, figures},
    print,
    sweep::{
        grid::{self, Grid},
        record::Record,
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
    let mut records = results::read_records(&args.results, &file)?;
    for (data, n) in &args.demonstrations {
        say_demonstrations(&mut records, data, *n)?;
    }
    let grid = grid::arrange(&records, &args.rows).map_err(|e| e.within(args.results.display()))?;
    if let Some(path) = &args.plot {
        let drawn = match args.figure {
            Figure::Table => Ok(plot::table::svg(&grid)),
            Figure::Demonstrations => figures::demonstrations(&grid),
            Figure::Seconds => Ok(figures::seconds(&grid)),
            Figure::Profile => figures::profiles(&grid),
        };
        plot::write(path, &drawn.map_err(|e| e.within(args.results.display()))?)?;
    }
    let report = Table {
        file: args.results.display().to_string(),
        runs: records.len(),
        grid,
        plot: args.plot.as_ref().map(|p| p.display().to_string()),
    };
    Ok(Done::new(&report, print::table(&report)))
}

/// Notes the number of demonstrations of data whose results do not say it.
fn say_demonstrations(records: &mut [Record], data: &str, n: usize) -> Result<()> {
    let refuse = |found: String| {
        Err(Error::new(Kind::Settings, "the number of demonstrations cannot be used")
            .at(format!("--demonstrations {data}={n}"))
            .found(found))
    };
    let mut is_there = false;
    for column in records.iter_mut().map(|record| &mut record.column).filter(|c| c.data == data) {
        is_there = true;
        match column.demonstrations {
            Some(known) if known != n => return refuse(format!("the results say {known}")),
            _ => column.demonstrations = Some(n),
        }
    }
    if is_there { Ok(()) } else { refuse("there are no results of such data".into()) }
}
