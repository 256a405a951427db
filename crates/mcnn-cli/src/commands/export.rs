//! `mcnn export`: a policy as ONNX graphs, and their comparison with it.

use std::path::{Path, PathBuf};

use mcnn::{
    Error, Result, atomic, error::Kind, file, policy::Policy, task::python::interpreter_with_onnxruntime,
};
use mcnn_onnx::{Difference, Graphs, Model, OPSET, compare, export, with_likeliest_bucket};
use serde::Serialize;

use super::{Done, claim_output, read_for};
use crate::{
    args::{CheckArgs, ExportArgs, Output},
    beside::beside,
    print,
    say::say,
};

/// The graphs of a policy.
#[derive(Serialize)]
pub struct ExportReport {
    /// Fingerprint of the policy.
    pub policy: String,
    /// The policy's method, as the literature names it, and its main settings.
    pub name: String,
    pub memories: usize,
    /// The version of the operators.
    pub opset: i64,
    /// The files; of a policy that denoises, the denoising step and the constraint.
    pub graphs: Vec<GraphReport>,
    /// Denoising steps of a prediction; null for a policy that does not denoise.
    pub denoising_steps: Option<usize>,
    /// Whether chunks are constrained as a whole, by the observation that they were predicted for; null likewise.
    pub whole_chunks: Option<bool>,
    /// The comparison with the policy; null without `--check`.
    pub check: Option<CheckReport>,
}

/// A graph that was written.
#[derive(Serialize)]
pub struct GraphReport {
    pub file: String,
    pub bytes: usize,
    pub nodes: usize,
    /// Names with shapes.
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
}

/// The largest differences between the graphs in onnxruntime and the policy.
#[derive(Serialize)]
pub struct CheckReport {
    pub data: String,
    pub steps: usize,
    /// Steps of the data.
    pub steps_of_data: usize,
    /// Of an action, in the data's units.
    pub action: DifferenceReport,
    /// Of an action relative to half the range of its dimension.
    pub scaled_action: DifferenceReport,
    pub distance: DifferenceReport,
    pub weight: DifferenceReport,
    /// Steps with another nearest memory: two are equally near up to rounding.
    pub other_memories: usize,
}

/// The largest difference, and the first step that has it, as EPISODE:STEP.
#[derive(Serialize)]
pub struct DifferenceReport {
    pub difference: f64,
    pub at: String,
}

impl From<Difference> for DifferenceReport {
    fn from(Difference { size, at }: Difference) -> Self {
        Self { difference: size, at: at.to_string() }
    }
}

pub fn run(args: &ExportArgs) -> Result<Done> {
    check_ending(&args.output.path)?;
    let _claim = claim_output(&args.output)?;
    let (policy, fingerprint) = file::read_policy(&args.policy)?;
    let policy = args.knobs.apply(policy)?;
    let policy = match args.bucket_selection {
        Some(_) => with_likeliest_bucket(policy)?,
        None => policy,
    };
    let graphs = export(&policy, &fingerprint).map_err(|e| e.within(args.policy.display()))?;
    let second = beside(&args.output.path, ".onnx", ".constrain.onnx");
    let _second_claim = match &graphs {
        Graphs::Policy(_) => None,
        Graphs::Denoising { .. } => {
            Some(claim_output(&Output { path: second.clone(), force: args.output.force })?)
        }
    };
    let check =
        args.check.data.as_deref().map(|data| checked(&policy, &graphs, data, &args.check)).transpose()?;
    let first = args.output.path.clone();
    let (graphs, denoising_steps, whole_chunks) = match &graphs {
        Graphs::Policy(model) => (vec![write(first, model)?], None, None),
        Graphs::Denoising { step, constrain, steps, whole_chunks } => {
            (vec![write(first, step)?, write(second, constrain)?], Some(*steps), Some(*whole_chunks))
        }
    };
    let report = ExportReport {
        policy: fingerprint,
        name: policy.name(),
        memories: policy.codebook().len(),
        opset: OPSET,
        graphs,
        denoising_steps,
        whole_chunks,
        check,
    };
    Ok(Done::new(&report, print::export(&report)))
}

fn check_ending(path: &Path) -> Result<()> {
    if path.extension().is_some_and(|ending| ending == "onnx") {
        return Ok(());
    }
    Err(Error::new(Kind::Settings, "policies are exported as ONNX")
        .at(format!("--output {}", path.display()))
        .expected("a name that ends in .onnx"))
}

fn write(path: PathBuf, model: &Model) -> Result<GraphReport> {
    atomic::write(&path, &model.bytes)?;
    Ok(GraphReport {
        file: path.display().to_string(),
        bytes: model.bytes.len(),
        nodes: model.nodes,
        inputs: model.inputs.clone(),
        outputs: model.outputs.clone(),
    })
}

fn checked(policy: &Policy, graphs: &Graphs, path: &Path, args: &CheckArgs) -> Result<CheckReport> {
    let data = read_for(path, &args.options, policy.codebook())?;
    policy.codebook().check_space(&data).map_err(|e| e.within(path.display()))?;
    let python = interpreter_with_onnxruntime(&|line| say(line))?;
    let found = compare(policy, graphs, &data, &python)?;
    Ok(CheckReport {
        data: path.display().to_string(),
        steps: found.steps,
        steps_of_data: data.n_steps(),
        action: found.action.into(),
        scaled_action: found.scaled_action.into(),
        distance: found.distance.into(),
        weight: found.weight.into(),
        other_memories: found.other_memories,
    })
}
