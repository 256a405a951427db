//! The networks in a graph, by backbone.

mod bet;
mod denoise;
mod diffusion;
mod mlp;
mod resmlp;
mod retrieval;
mod unet;

pub use bet::with_likeliest_bucket;
pub use denoise::{Denoising, Step};

use mcnn::{
    backbone::{Arrays, Bet, Diffusion, Mlp, Network, ResMlp, RetrievalMlp, Unet},
    envelope::Activation,
    policy::{Combine, Policy},
};

use crate::{
    envelope::sigma,
    graph::{Graph, Value},
    memories::Memories,
};

/// How a graph computes the networks of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Computes {
    /// At once, from one observation.
    Observation,
    /// At once, from a window of observations.
    Window,
    /// Step by step, from noise.
    Denoising,
}

/// How the networks of a policy are computed; `None` for a backbone that this crate does not know, and for a policy without one.
pub fn computes(policy: &Policy) -> Option<Computes> {
    let network = policy.backbone()?;
    if network.downcast::<Mlp>().is_some() || network.downcast::<RetrievalMlp>().is_some() {
        Some(Computes::Observation)
    } else if network.downcast::<Bet>().is_some() {
        Some(Computes::Window)
    } else if denoises(network) {
        Some(Computes::Denoising)
    } else {
        None
    }
}

/// Whether one of several networks is drawn for every prediction.
pub fn is_drawn(policy: &Policy) -> bool {
    policy.members().len() > 1 && policy.acting_settings().combine == Combine::Member
}

/// Networks that compute a prediction.
pub fn acting_members(policy: &Policy) -> usize {
    if is_drawn(policy) { 1 } else { policy.members().len() }
}

fn denoises(network: &Network) -> bool {
    network.downcast::<Diffusion>().is_some()
        || network.downcast::<Unet>().is_some()
        || network.downcast::<ResMlp>().is_some()
}

/// sigma(g), the mean over the members: `[batch, n_act]`. `states`: standardized, `[batch, n_features]` or, of a window, `[batch, steps, n_features]`.
///
/// # Panics
/// If the networks denoise, or are of an unknown backbone.
pub fn action(graph: &mut Graph, policy: &Policy, states: &Value, memories: &mut Memories) -> Value {
    let retrieved = (policy.retrieved() > 0).then(|| memories.near(graph));
    let outputs: Vec<Value> = policy
        .members()
        .iter()
        .enumerate()
        .map(|(k, network)| {
            let name = format!("member.{k}");
            if let Some(mlp) = network.downcast::<Mlp>() {
                mlp::forward(graph, &name, mlp, states)
            } else if let Some(bet) = network.downcast::<Bet>() {
                bet::forward(graph, &name, bet, states)
            } else {
                let network = network.downcast::<RetrievalMlp>().expect("a network that predicts at once");
                let retrieved = retrieved.as_ref().expect("a retrieval-conditioned network");
                retrieval::forward(graph, &name, network, states, retrieved)
            }
        })
        .collect();
    mean(graph, policy.envelope().activation, &outputs)
}

/// The mean over the members of sigma(g).
fn mean(graph: &mut Graph, activation: Activation, outputs: &[Value]) -> Value {
    let name = |k: usize| format!("member.{k}/action");
    let actions: Vec<Value> =
        outputs.iter().enumerate().map(|(k, g)| sigma(graph, &name(k), activation, g)).collect();
    if let [action] = &actions[..] {
        return action.clone();
    }
    let all: Vec<&Value> = actions.iter().collect();
    let sum = graph.node("Sum", "ensemble/sum", &all, &[]);
    let share = graph.scalar("ensemble/share", 1.0 / actions.len() as f32);
    let mean = graph.node("Mul", "ensemble/mean", &[&sum, &share], &[]);
    graph.clamp("ensemble/action", &mean)
}

/// The arrays of a network, and the names of what is computed with them.
struct Layers<'a> {
    arrays: &'a Arrays,
    scope: &'a str,
}

impl Layers<'_> {
    fn array(&self, name: &str) -> (&[usize], &[f32]) {
        let (shape, values) = &self.arrays[name];
        (shape, values)
    }

    /// A constant of the same name.
    fn constant(&self, graph: &mut Graph, name: &str) -> Value {
        let (shape, values) = self.array(name);
        graph.constant(&format!("{}/{name}", self.scope), shape, values)
    }

    /// `x W + b`, with the arrays `NAME.weight` and `NAME.bias`.
    fn linear(&self, graph: &mut Graph, name: &str, x: &Value) -> Value {
        let (_, bias) = self.array(&format!("{name}.bias"));
        graph.linear(&format!("{}/{name}", self.scope), x, self.array(&format!("{name}.weight")), bias)
    }

    /// Layer after layer from the given one on, with a function between them.
    fn stack(
        &self,
        graph: &mut Graph,
        first: usize,
        mut x: Value,
        between: &dyn Fn(&mut Graph, &str, &Value) -> Value,
    ) -> Value {
        let mut k = first;
        while self.arrays.contains_key(&format!("{k}.weight")) {
            if k > 0 {
                x = between(graph, &format!("{}/{}.active", self.scope, k - 1), &x);
            }
            x = self.linear(graph, &k.to_string(), &x);
            k += 1;
        }
        x
    }
}

fn relu(graph: &mut Graph, name: &str, x: &Value) -> Value {
    graph.node("Relu", name, &[x], &[])
}
