//! `mcnn learn`.

use std::time::Instant;

use mcnn::{
    Result, file,
    memory::{Coverage, GraphSearchStats, LearnSettings, SelectionMethod, learn},
    seed::Seed,
};
use serde::Serialize;

use super::{Done, check_output, names, read};
use crate::{args::LearnArgs, print};

/// What was learned.
#[derive(Serialize)]
pub struct Learnt {
    pub memories: usize,
    pub states: usize,
    pub by: SelectionMethod,
    pub seconds: f64,
    pub coverage: Coverage,
    /// The step at the largest distance, as EPISODE:STEP.
    pub isolated: String,
    pub merged: usize,
    pub refilled: usize,
    pub repeated: usize,
    pub constant_dimensions: Vec<usize>,
    pub ignored_dimensions: Vec<usize>,
    pub edges: usize,
    pub walk: GraphSearchStats,
    pub smooth_neighbors: usize,
    pub seed: u64,
    pub file: String,
    pub fingerprint: String,
}

pub fn run(args: &LearnArgs) -> Result<Done> {
    check_output(&args.output)?;
    let data = read(&args.input.data, args.input.options)?;
    let names = names(&args.names, [data.n_obs(), data.n_act()], &[data.names()])?;
    let data = data.with_names(names)?;
    let settings = LearnSettings {
        amount: args.amount(),
        selection: args.by,
        epochs: args.epochs(),
        smooth_neighbors: args.smooth_neighbors,
        ignore: args.ignore.0.clone(),
        seed: Seed(args.seed),
    };
    let start = Instant::now();
    let learned = learn(&data, &settings)?;
    let seconds = start.elapsed().as_secs_f64();
    let codebook = &learned.codebook;
    let report = Learnt {
        memories: codebook.len(),
        states: data.n_steps(),
        by: args.by,
        seconds,
        coverage: learned.coverage,
        isolated: learned.coverage.isolated.to_string(),
        merged: learned.merged,
        refilled: learned.refilled,
        repeated: learned.repeated,
        constant_dimensions: codebook.parts().scale.constant(),
        ignored_dimensions: codebook.parts().scale.ignored(),
        edges: codebook.parts().edges.len(),
        walk: codebook.graph_searches(&data),
        smooth_neighbors: args.smooth_neighbors,
        seed: args.seed,
        file: args.output.path.display().to_string(),
        fingerprint: file::write_codebook(&args.output.path, codebook)?,
    };
    Ok(Done::new(&report, print::learnt(&report)))
}
