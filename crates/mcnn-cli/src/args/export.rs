//! Options of `mcnn export`.

use std::path::PathBuf;

use clap::Args;

use super::{InputOptions, KnobArgs, Output};

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mcnn export policy.safetensors -o policy.onnx
  mcnn export policy.safetensors -o policy.onnx --check drive.npz

The graph takes observations and gives actions, both in the data's units, with the distance, the
weight and the number of the nearest memory. Diffusion and U-Nets are two graphs: one denoising
step, and the constraint (NAME.constrain.onnx); the page Deploy has the loop around them.")]
pub struct ExportArgs {
    /// Policy, from `mcnn train`.
    #[arg(value_name = "POLICY")]
    pub policy: PathBuf,
    /// Bucket that a behavior transformer takes in the graph: argmax, the likeliest. Needed for one that samples, because a graph has no
    /// random numbers.
    #[arg(long, value_name = "RULE", value_parser = ["argmax"], hide_possible_values = true, help_heading = "Network")]
    pub bucket_selection: Option<String>,
    #[command(flatten)]
    pub knobs: KnobArgs,
    #[command(flatten)]
    pub check: CheckArgs,
    #[command(flatten)]
    pub output: Output,
}

/// Comparison of the graphs with the policy.
#[derive(Args, Debug)]
#[command(next_help_heading = "Check")]
pub struct CheckArgs {
    /// Demonstrations on whose states onnxruntime runs the graphs (in Python, installed on first use); prints the largest
    /// differences from the policy. At most 10,000 steps are taken.
    #[arg(long = "check", value_name = "DATA")]
    pub data: Option<PathBuf>,
    #[command(flatten)]
    pub options: InputOptions,
}
