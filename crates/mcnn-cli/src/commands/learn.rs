//! `mcnn learn`.

use std::time::Instant;

use mcnn::{
    Result,
    data::{Angle, Scale},
    file,
    memory::{
        BaselineErrors, BatchSearchStats, Coverage, GraphSearchStats, LearnSettings, SelectionMethod, learn,
    },
    seed::Seed,
};
use serde::Serialize;

use super::{
    Done, Keep, claim_output, names,
    recordings::{Recordings, read_to_learn, say_warnings, staying_is_better},
};
use crate::{args::LearnArgs, device, print};

/// The results of choosing memories.
#[derive(Serialize)]
pub struct LearnReport {
    pub memories: usize,
    /// Training states.
    pub states: usize,
    pub selection: SelectionMethod,
    pub seconds: f64,
    /// Distances from the training states to their nearest memories.
    pub coverage: Coverage,
    /// The state at the largest distance, as EPISODE:STEP.
    pub most_isolated: String,
    /// Nodes that were snapped to a training state already taken.
    pub merged_nodes: usize,
    /// Memories added by farthest-point sampling, to reach the number asked for.
    pub refilled_memories: usize,
    /// Training states that repeat another exactly.
    pub repeated_states: usize,
    pub constant_dimensions: Vec<usize>,
    pub ignored_dimensions: Vec<usize>,
    /// Dimensions of the state that are angles.
    pub angles: Vec<Angle>,
    /// Dimensions that vary so little that the floor of the scale counts.
    pub near_constant_dimensions: Vec<usize>,
    pub graph_edges: usize,
    /// Greedy graph searches from the previous step's memory.
    pub graph_search: GraphSearchStats,
    pub smooth_neighbors: usize,
    /// What copying and doing nothing cost on the training states.
    pub baselines: BaselineErrors,
    pub seed: u64,
    pub file: String,
    pub fingerprint: String,
    /// What looks unintended in the data, as sentences.
    pub warnings: Vec<String>,
    /// What was searched on a GPU; null without one.
    pub gpu: Option<BatchSearchStats>,
}

pub fn run(args: &LearnArgs) -> Result<Done> {
    device::choose(args.device.device)?;
    let _claim = claim_output(&args.output)?;
    let Recordings { data, mut warnings } = read_to_learn(
        &args.input.data,
        &args.input.options,
        &args.episodes,
        &args.units,
        None,
        Keep::InFile,
    )?;
    say_warnings(&warnings);
    let names = names(&args.names, [data.n_obs(), data.n_act()], &[data.names()])?;
    let data = data.with_names(names)?;
    let settings = LearnSettings {
        amount: args.amount(),
        selection: args.selection,
        epochs: args.epochs(),
        smooth_neighbors: args.smooth_neighbors,
        ignore: args.ignore_dims.0.clone(),
        seed: Seed(args.seed),
    };
    let start = Instant::now();
    let learned = learn(&data, &settings)?;
    let seconds = start.elapsed().as_secs_f64();
    let codebook = &learned.codebook;
    let baselines = codebook.baseline_errors(&data);
    let is_relative = !codebook.units().relative_to().is_empty();
    let staying = staying_is_better(
        &baselines,
        "the nearest memory of another episode",
        baselines.copying,
        is_relative,
    );
    say_warnings(staying.as_slice());
    warnings.extend(staying);
    let near_constant = Scale::near_constant(&data).into_iter().map(|(i, _)| i).collect();
    let graph_search = codebook.graph_searches(&data);
    data.check_readable()?;
    let report = LearnReport {
        memories: codebook.len(),
        states: data.n_steps(),
        selection: args.selection,
        seconds,
        coverage: learned.coverage,
        most_isolated: learned.coverage.isolated.to_string(),
        merged_nodes: learned.merged,
        refilled_memories: learned.refilled,
        repeated_states: learned.repeated,
        constant_dimensions: codebook.parts().scale.constant(),
        ignored_dimensions: codebook.parts().scale.ignored(),
        angles: codebook.units().angles().to_vec(),
        near_constant_dimensions: near_constant,
        graph_edges: codebook.parts().edges.len(),
        graph_search,
        smooth_neighbors: args.smooth_neighbors,
        baselines,
        seed: args.seed,
        file: args.output.path.display().to_string(),
        fingerprint: file::write_codebook(&args.output.path, codebook)?,
        warnings,
        gpu: device::stats(),
    };
    Ok(Done::new(&report, print::learn(&report) + &print::gpu(report.gpu.as_ref())))
}
