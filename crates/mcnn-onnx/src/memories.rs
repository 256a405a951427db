//! The memories in a graph: standardization, exact search by brute force, and the memory action.
//!
//! Squared distances are sums of squared differences, as in [`mcnn::memory`], not `|q|^2 + |m|^2 - 2 q m`, which cancels near a memory.
//! The differences to all memories would be [batch, memories, dimensions] at once; many memories are therefore taken in chunks.

use mcnn::{data::Scale, memory::Codebook, policy::Policy};

use crate::graph::{Attribute, Graph, Value};

/// The most differences computed at once for one observation: 16 MB.
const CHUNK: usize = 1 << 22;

/// Which actions of a memory a graph takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actions {
    /// Its own: `[batch, n_act]`.
    Own,
    /// Its own and the future ones, so many in all: `[batch, steps, n_act]`.
    Sequence(usize),
}

/// The memories in a graph, and the squared distances of the observations to them.
pub struct Memories<'a> {
    policy: &'a Policy,
    states: Value,            // [memories, n_features], standardized
    own: Option<Value>,       // [memories, n_act]
    near: Option<Value>,      // [batch, k], the k nearest memories
    pub memory: Value,        // [batch], the nearest
    pub distance: Value,      // [batch]
    distances: Option<Value>, // [batch, k]
}

/// Standardizes observations: their last axis is `n_obs`, that of the states `n_features`.
pub fn standardize(graph: &mut Graph, codebook: &Codebook, observation: &Value) -> Value {
    let scale = &codebook.parts().scale;
    let n_features = scale.n_features();
    let observation = &features(graph, scale, observation);
    let mean = graph.constant("standardize/mean", &[n_features], &scale.mean);
    // 0 marks a dimension that is not scaled; a division by infinity ignores one.
    let std: Vec<f32> = scale.std.iter().map(|&s| if s == 0.0 { 1.0 } else { s }).collect();
    let std = graph.constant("standardize/std", &[n_features], &std);
    let centered = graph.node("Sub", "standardize/centered", &[observation, &mean], &[]);
    graph.node("Div", "standardize/state", &[&centered, &std], &[])
}

/// The features of observations: of an angle, its cosine in its place and its sine after all dimensions.
fn features(graph: &mut Graph, scale: &Scale, observation: &Value) -> Value {
    if scale.angles.is_empty() {
        return observation.clone();
    }
    let last = [Attribute::Int("axis", -1)];
    let (n_obs, n) = (scale.n_obs(), scale.angles.len());
    let dimensions: Vec<i64> = scale.angles.iter().map(|angle| angle.dimension as i64).collect();
    let dimensions = graph.integers("angles/dimensions", &dimensions);
    let values = graph.node("Gather", "angles/values", &[observation, &dimensions], &last);
    let periods: Vec<f32> = scale.angles.iter().map(|angle| angle.unit.period() as f32).collect();
    let periods = graph.constant("angles/periods", &[n], &periods);
    let turns = graph.node("Div", "angles/turns", &[&values, &periods], &[]);
    let whole = graph.node("Floor", "angles/whole_turns", &[&turns], &[]);
    let part = graph.node("Sub", "angles/part_of_turn", &[&turns, &whole], &[]);
    let full = graph.scalar("angles/full_turn", std::f32::consts::TAU);
    let radians = graph.node("Mul", "angles/radians", &[&part, &full], &[]);
    let cosines = graph.node("Cos", "angles/cosines", &[&radians], &[]);
    let sines = graph.node("Sin", "angles/sines", &[&radians], &[]);
    let all = graph.node("Concat", "angles/all", &[observation, &cosines, &sines], &last);
    let of_dimension =
        |i: usize| scale.angles.iter().position(|angle| angle.dimension == i).map_or(i, |k| n_obs + k) as i64;
    let order: Vec<i64> =
        (0..n_obs).map(of_dimension).chain((n_obs + n..n_obs + 2 * n).map(|i| i as i64)).collect();
    let order = graph.integers("angles/order", &order);
    graph.node("Gather", "angles/features", &[&all, &order], &last)
}

impl<'a> Memories<'a> {
    /// Finds the memories nearest to standardized states (`[batch, n_features]`).
    pub fn search(graph: &mut Graph, policy: &'a Policy, state: &Value) -> Self {
        let codebook = policy.codebook();
        let (n, n_features) = (codebook.len(), codebook.n_features());
        let states = graph.constant("memories/states", &[n, n_features], &codebook.standardized_states());
        let squares = squares(graph, state, &states, n, n_features);
        let averaged = if policy.neighbors() > 1 { policy.neighbors() } else { 0 };
        let wanted = averaged.max(policy.retrieved());
        let found = if wanted == 0 { nearest(graph, &squares) } else { several(graph, &squares, wanted) };
        let Found { memory, distance, near, distances } = found;
        Self { policy, states, own: None, near, memory, distance, distances }
    }

    /// The action, or actions, by which the network's are constrained.
    pub fn action(&mut self, graph: &mut Graph, actions: Actions) -> Value {
        match actions {
            Actions::Own if self.policy.neighbors() > 1 => self.mean_of_neighbors(graph),
            Actions::Own => {
                let own = self.own_actions(graph);
                graph.gather("memories/action", &own, &self.memory)
            }
            Actions::Sequence(steps) => {
                let codebook = self.policy.codebook();
                let all = (0..codebook.len())
                    .flat_map(|i| (0..steps).flat_map(move |ahead| codebook.action_after(i, ahead)));
                let all: Vec<f32> = all.copied().collect();
                let shape = [codebook.len(), steps, codebook.n_act()];
                let all = graph.constant("memories/action_sequences", &shape, &all);
                graph.gather("memories/action_sequence", &all, &self.memory)
            }
        }
    }

    /// The standardized states (`[batch, k, n_features]`) and the actions (`[batch, k, n_act]`) of the memories that a
    /// retrieval-conditioned network predicts from.
    pub fn near(&mut self, graph: &mut Graph) -> [Value; 2] {
        let near = self.first_near(graph, "memories/retrieved", self.policy.retrieved());
        let states = graph.gather("memories/retrieved.states", &self.states, &near);
        let own = self.own_actions(graph);
        [states, graph.gather("memories/retrieved.actions", &own, &near)]
    }

    /// The first `k` columns of the nearest memories.
    fn first_near(&self, graph: &mut Graph, name: &str, k: usize) -> Value {
        let near = self.near.clone().expect("the search was for several memories");
        graph.slice(name, &near, 1, [0, k as i64])
    }

    fn own_actions(&mut self, graph: &mut Graph) -> Value {
        let codebook = self.policy.codebook();
        let shape = [codebook.len(), codebook.n_act()];
        let constant =
            |graph: &mut Graph| graph.constant("memories/actions", &shape, &codebook.parts().actions);
        self.own.get_or_insert_with(|| constant(graph)).clone()
    }

    /// The mean action of the nearest memories, weighted by exp(-distance).
    fn mean_of_neighbors(&mut self, graph: &mut Graph) -> Value {
        let k = self.policy.neighbors();
        let near = self.first_near(graph, "memories/averaged", k);
        let all = self.distances.clone().expect("the search was for several memories");
        let distances = graph.slice("memories/averaged.distances", &all, 1, [0, k as i64]);
        // Relative to the nearest one's, so that no sum of weights underflows; the difference of two infinite distances is 0.
        let nearest = graph.unsqueeze("memories/averaged.nearest", &self.distance, 1);
        let excess = graph.node("Sub", "memories/averaged.difference", &[&distances, &nearest], &[]);
        let equal = graph.node("Equal", "memories/averaged.equal", &[&distances, &nearest], &[]);
        let zero = graph.scalar("memories/averaged.zero", 0.0);
        let excess = graph.node("Where", "memories/averaged.excess", &[&equal, &zero, &excess], &[]);
        let below = graph.node("Neg", "memories/averaged.exponent", &[&excess], &[]);
        let weights = graph.node("Exp", "memories/averaged.weights", &[&below], &[]);
        let total = graph.sum("memories/averaged.total", &weights, 1, true);
        let shares = graph.node("Div", "memories/averaged.shares", &[&weights, &total], &[]);
        let own = self.own_actions(graph);
        let actions = graph.gather("memories/averaged.actions", &own, &near);
        let shares = graph.unsqueeze("memories/averaged.shares_by_dimension", &shares, 2);
        let parts = graph.node("Mul", "memories/averaged.parts", &[&shares, &actions], &[]);
        let mean = graph.sum("memories/averaged.mean", &parts, 1, false);
        graph.clamp("memories/action", &mean)
    }
}

/// What a search finds, by columns of the squared distances.
struct Found {
    memory: Value,
    distance: Value,
    near: Option<Value>,
    distances: Option<Value>,
}

/// The nearest memory, the first of equally near ones.
fn nearest(graph: &mut Graph, squares: &Value) -> Found {
    let over = [Attribute::Int("axis", 1), Attribute::Int("keepdims", 0)];
    let memory = graph.node("ArgMin", "memories/nearest", &[squares], &over);
    let over = [Attribute::Ints("axes", vec![1]), Attribute::Int("keepdims", 0)];
    let square = graph.node("ReduceMin", "memories/nearest.square", &[squares], &over);
    let distance = graph.node("Sqrt", "memories/distance", &[&square], &[]);
    Found { memory, distance, near: None, distances: None }
}

/// The `wanted` nearest memories, the nearest first.
fn several(graph: &mut Graph, squares: &Value, wanted: usize) -> Found {
    let count = graph.integers("memories/k", &[wanted as i64]);
    let smallest = [Attribute::Int("axis", 1), Attribute::Int("largest", 0), Attribute::Int("sorted", 1)];
    let names = ["memories/near.squares", "memories/near"];
    let [near_squares, near] = graph.nodes("TopK", names, &[squares, &count], &smallest);
    let distances = graph.node("Sqrt", "memories/near.distances", &[&near_squares], &[]);
    let axis = graph.integers("memories/near.axis", &[1]);
    let first = |graph: &mut Graph, name: &str, of: &Value| {
        let first = graph.slice(&format!("{name}.first"), of, 1, [0, 1]);
        graph.node("Squeeze", name, &[&first, &axis], &[])
    };
    let memory = first(graph, "memories/nearest", &near);
    let distance = first(graph, "memories/distance", &distances);
    Found { memory, distance, near: Some(near), distances: Some(distances) }
}

/// The squared distances of states (`[batch, n_features]`) to all memories: `[batch, memories]`.
fn squares(graph: &mut Graph, state: &Value, states: &Value, n: usize, n_features: usize) -> Value {
    let state = graph.unsqueeze("memories/query", state, 1);
    let of = |graph: &mut Graph, chunk: &str, states: &Value| {
        let difference = format!("memories/difference{chunk}");
        let difference = graph.node("Sub", &difference, &[&state, states], &[]);
        let over = [Attribute::Ints("axes", vec![2]), Attribute::Int("keepdims", 0)];
        graph.node("ReduceSumSquare", &format!("memories/squares{chunk}"), &[&difference], &over)
    };
    let rows = (CHUNK / n_features).max(1);
    if n <= rows {
        return of(graph, "", states);
    }
    let chunks: Vec<Value> = (0..n.div_ceil(rows))
        .map(|k| {
            let bounds = [k * rows, ((k + 1) * rows).min(n)].map(|row| row as i64);
            let chunk = graph.slice(&format!("memories/states.{k}"), states, 0, bounds);
            of(graph, &format!(".{k}"), &chunk)
        })
        .collect();
    let chunks: Vec<&Value> = chunks.iter().collect();
    graph.node("Concat", "memories/squares", &chunks, &[Attribute::Int("axis", 1)])
}
