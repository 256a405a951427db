//! The graphs of a policy, put together from its parts.

use mcnn::policy::{ConstrainAt, Policy};

use crate::{
    envelope::{Region, amplified, to_data},
    graph::{Axis, Graph, Value},
    memories::{Actions, Memories, standardize},
    network::{self, Computes, Denoising, Step},
    proto::DataType,
};

const BATCH: Axis = Axis::Any("batch");

/// What the actions of a network that denoises are constrained by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Constrained {
    /// Each action by the memory of the newest observation.
    Actions,
    /// A whole chunk by one memory and its future actions.
    WholeChunks,
}

impl Constrained {
    /// How a policy constrains. A chunk of one action is an action.
    pub fn of(policy: &Policy) -> Self {
        let whole = policy.acting_settings().constrain_at != ConstrainAt::Executed;
        if whole && policy.horizons().prediction > 1 { Self::WholeChunks } else { Self::Actions }
    }
}

/// Whether the networks have no part in the action: at lambda 0 it is the memory's, unless chunks are constrained as a whole.
pub fn is_memories_alone(policy: &Policy) -> bool {
    policy.envelope().lambda == 0.0 && Constrained::of(policy) == Constrained::Actions
}

/// Whether the graph takes a window of observations.
pub fn takes_window(policy: &Policy) -> bool {
    network::computes(policy) == Some(Computes::Window) && !is_memories_alone(policy)
}

/// The graph from observations to actions.
pub fn whole(policy: &Policy) -> Graph {
    let what = format!("{}: observations to actions, by {} memories", policy.name(), policy.codebook().len());
    let mut graph = Graph::new("policy", &what);
    let alone = is_memories_alone(policy);
    let is_window = takes_window(policy);
    let (observation, newest) =
        if is_window { window(&mut graph, policy) } else { single(&mut graph, policy) };
    let states = standardize(&mut graph, policy.codebook(), &observation);
    let state = if is_window { newest_of(&mut graph, "standardize/newest", &states) } else { states.clone() };
    let mut memories = Memories::search(&mut graph, policy, &state);
    let region = Region::new(&mut graph, policy.envelope(), &memories.distance, 1);
    let memory_action = memories.action(&mut graph, Actions::Own);
    let action = if alone {
        memory_action
    } else {
        let s = network::action(&mut graph, policy, &states, &mut memories);
        region.constrain(&mut graph, "envelope/action", &memory_action, &s)
    };
    outputs(&mut graph, policy, &action, &newest, &region, &memories, &[]);
    graph
}

/// The graph of one denoising step.
pub fn step(policy: &Policy, denoising: &Denoising) -> Graph {
    let steps = denoising.steps();
    let mut graph =
        Graph::new("denoising_step", &format!("{}: one of {steps} denoising steps", policy.name()));
    let observation = if denoising.is_chunk {
        let axes =
            [BATCH, Axis::Fixed(denoising.horizons.observation), Axis::Fixed(policy.codebook().n_obs())];
        let what = "the newest observations, oldest first, in the data's units; before there are as many, the oldest is repeated";
        graph.input("observations", &axes, what)
    } else {
        single(&mut graph, policy).0
    };
    let states = standardize(&mut graph, policy.codebook(), &observation);
    let step = Step::inputs(&mut graph, policy, denoising, states.clone());
    let envelope = policy.envelope();
    if policy.acting_settings().constrain_at != ConstrainAt::Denoising {
        step.outputs(&mut graph, &|graph, name, s| amplified(graph, name, envelope, s));
        return graph;
    }
    // Denoising continues from constrained actions.
    let (state, actions, axes) = match denoising.is_chunk {
        true => {
            let newest = newest_of(&mut graph, "standardize/newest", &states);
            (newest, Actions::Sequence(denoising.horizons.prediction), 2)
        }
        false => (states, Actions::Own, 1),
    };
    let mut memories = Memories::search(&mut graph, policy, &state);
    let region = Region::new(&mut graph, envelope, &memories.distance, axes);
    let memory_action = memories.action(&mut graph, actions);
    step.outputs(&mut graph, &|graph, name, s| region.constrain(graph, name, &memory_action, s));
    graph
}

/// The graph that constrains the network's actions.
pub fn constrain(policy: &Policy, constrained: Constrained) -> Graph {
    let what = format!("{}: the network's actions to constrained ones", policy.name());
    let mut graph = Graph::new("constrain", &what);
    let codebook = policy.codebook();
    let executed = policy.horizons().execution;
    let (actions, steps, what) = match constrained {
        Constrained::Actions => (Actions::Own, None, "the newest observation, in the data's units"),
        Constrained::WholeChunks => (
            Actions::Sequence(executed),
            Some(executed),
            "the observation that the chunk was predicted for, in the data's units",
        ),
    };
    let observation = graph.input("observation", &[BATCH, Axis::Fixed(codebook.n_obs())], what);
    let steps: Vec<Axis> = steps.into_iter().map(Axis::Fixed).collect();
    let axes = [&[BATCH], &steps[..], &[Axis::Fixed(codebook.n_act())]].concat();
    let s = graph.input("network_action", &axes, "the network's actions in [-1, 1]");
    let state = standardize(&mut graph, codebook, &observation);
    let mut memories = Memories::search(&mut graph, policy, &state);
    let region = Region::new(&mut graph, policy.envelope(), &memories.distance, axes.len() - 1);
    let memory_action = memories.action(&mut graph, actions);
    let action = region.constrain(&mut graph, "envelope/action", &memory_action, &s);
    outputs(&mut graph, policy, &action, &observation, &region, &memories, &steps);
    graph
}

/// One observation; it is the newest, too.
fn single(graph: &mut Graph, policy: &Policy) -> (Value, Value) {
    let axes = [BATCH, Axis::Fixed(policy.codebook().n_obs())];
    let observation = graph.input("observation", &axes, "the observation, in the data's units");
    (observation.clone(), observation)
}

/// A window of observations, and the newest.
fn window(graph: &mut Graph, policy: &Policy) -> (Value, Value) {
    let axes = [BATCH, Axis::Any("steps"), Axis::Fixed(policy.codebook().n_obs())];
    let what = format!(
        "the newest observations, 1 to {}, oldest first, in the data's units",
        policy.horizons().observation
    );
    let observations = graph.input("observations", &axes, &what);
    let newest = newest_of(graph, "newest", &observations);
    (observations, newest)
}

/// The last of the observations: `[batch, n_obs]`.
fn newest_of(graph: &mut Graph, name: &str, observations: &Value) -> Value {
    let last = graph.slice(&format!("{name}.last"), observations, 1, [-1, i64::MAX]);
    let axis = graph.integers(&format!("{name}.axis"), &[1]);
    graph.node("Squeeze", name, &[&last, &axis], &[])
}

/// The outputs. `steps`: the axes of the action between batch and dimensions.
fn outputs(
    graph: &mut Graph,
    policy: &Policy,
    action: &Value,
    newest: &Value,
    region: &Region,
    memories: &Memories,
    steps: &[Axis],
) {
    let codebook = policy.codebook();
    let action = to_data(graph, codebook.units(), action, newest);
    let axes = [&[BATCH], steps, &[Axis::Fixed(codebook.n_act())]].concat();
    graph.output("action", &action, &axes, DataType::Float, "the action, in the data's units");
    let what = "the distance to the nearest memory, in standardized units";
    graph.output("distance", &memories.distance, &[BATCH], DataType::Float, what);
    let what = "the weight of the memory, 0 to 1";
    graph.output("weight", &region.weight, &[BATCH], DataType::Float, what);
    let what = "the number of the nearest memory (`mcnn memory list` shows its episode and step)";
    graph.output("memory", &memories.memory, &[BATCH], DataType::Int64, what);
}
