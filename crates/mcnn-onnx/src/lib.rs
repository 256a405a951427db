//! Policies of mcnn as ONNX graphs: everything between an observation and an action, in the data's units.
//!
//! A policy whose networks predict at once (perceptron, retrieval-conditioned network, behavior transformer) or that has none (1-NN, VINN) is
//! one graph:
//!
//! ```text
//! observation [batch, n_obs], or observations [batch, steps, n_obs] for a window, oldest first
//!   -> standardize/   the state in the space of distances
//!   -> memories/      the nearest memories by brute force, and the memory action
//!   -> member.K/      the networks; ensemble/ their mean
//!   -> envelope/      the permissible region and the action in it
//!   -> units/         the action in the data's units
//! action [batch, n_act], distance [batch], weight [batch], memory [batch]
//! ```
//!
//! A network that denoises (diffusion, U-Net, residual MLP) is two graphs: one denoising step, and the envelope. `examples/onnx/diffusion.py` is
//! the loop around them. Of an ensemble of which one network is drawn for every prediction, the step computes that network alone.
//!
//! A graph computes the formulas of the library, but in another order of additions, so that results agree to rounding and not to the
//! bit. Observations have to be finite; the library refuses others, and a graph does not.

mod check;
mod envelope;
mod graph;
mod memories;
mod metadata;
mod network;
mod policy;
mod proto;
mod refuse;

pub use check::{Comparison, Difference, compare};
pub use network::with_likeliest_bucket;

use mcnn::{Result, policy::Policy};
use prost::Message as _;

use network::Computes;
use policy::Constrained;

/// The version of the operators that a graph uses.
pub const OPSET: i64 = 17;

/// The graphs of a policy, as files of ONNX.
#[derive(Debug, Clone, PartialEq)]
pub enum Graphs {
    /// Observation to action.
    Policy(Model),
    /// A policy whose networks denoise.
    Denoising {
        /// One denoising step: noisy actions to less noisy ones.
        step: Model,
        /// The network's actions to constrained ones in the data's units.
        constrain: Model,
        /// Denoising steps of a prediction.
        steps: usize,
        /// Whether [`constrain`](Self::Denoising::constrain) takes a whole chunk with the observation that it was predicted for; if not,
        /// it takes one action with the newest observation.
        whole_chunks: bool,
    },
}

/// A file of ONNX, and what a reader is told of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// The file.
    pub bytes: Vec<u8>,
    /// Nodes of the graph.
    pub nodes: usize,
    /// Names of the inputs with their shapes, such as `observation [batch, 10]`.
    pub inputs: Vec<String>,
    /// Names of the outputs with their shapes.
    pub outputs: Vec<String>,
}

/// Exports a policy as it acts. `fingerprint`: of its file, for the metadata.
///
/// # Errors
/// If a part of the policy has no graph: its image encoder, random choices other than the noise of denoising, actions relative to
/// observations that a graph does not see, a backbone of another crate; or if the graph does not fit into a file.
pub fn export(policy: &Policy, fingerprint: &str) -> Result<Graphs> {
    refuse::check(policy)?;
    let denoising = (network::computes(policy) == Some(Computes::Denoising)
        && !policy::is_memories_alone(policy))
    .then(|| network::Denoising::of(policy));
    let metadata = metadata::of(policy, fingerprint, denoising.as_ref().map(network::Denoising::steps));
    let model = |graph: graph::Graph| Ok(model(graph.finish()?, metadata.clone()));
    match denoising {
        Some(denoising) => {
            let constrained = Constrained::of(policy);
            Ok(Graphs::Denoising {
                step: model(policy::step(policy, &denoising))?,
                constrain: model(policy::constrain(policy, constrained))?,
                steps: denoising.steps(),
                whole_chunks: constrained == Constrained::WholeChunks,
            })
        }
        None => Ok(Graphs::Policy(model(policy::whole(policy))?)),
    }
}

fn model(graph: proto::GraphProto, metadata_props: Vec<proto::StringStringEntryProto>) -> Model {
    let (inputs, outputs) = (described(&graph.input), described(&graph.output));
    let nodes = nodes(&graph.node);
    let model = proto::ModelProto {
        ir_version: 8, // of opset 17
        producer_name: "mcnn".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        doc_string: graph.doc_string.clone(),
        graph: Some(graph),
        opset_import: vec![proto::OperatorSetIdProto { domain: String::new(), version: OPSET }],
        metadata_props,
    };
    Model { bytes: model.encode_to_vec(), nodes, inputs, outputs }
}

/// The number of nodes, with those of all branches.
fn nodes(of: &[proto::NodeProto]) -> usize {
    let branches = of.iter().flat_map(|node| &node.attribute).filter_map(|attribute| attribute.g.as_ref());
    of.len() + branches.map(|branch| nodes(&branch.node)).sum::<usize>()
}

/// Names with shapes.
fn described(values: &[proto::ValueInfoProto]) -> Vec<String> {
    let axis = |dimension: &proto::Dimension| match &dimension.size {
        Some(proto::Size::Value(n)) => n.to_string(),
        Some(proto::Size::Symbol(name)) => name.clone(),
        None => "?".into(),
    };
    let shape = |value: &proto::ValueInfoProto| {
        let tensor = value.r#type.as_ref().and_then(|of| of.tensor_type.as_ref());
        let shape = tensor.and_then(|tensor| tensor.shape.as_ref());
        shape.map_or(String::new(), |shape| shape.dim.iter().map(axis).collect::<Vec<_>>().join(", "))
    };
    values.iter().map(|value| format!("{} [{}]", value.name, shape(value))).collect()
}
