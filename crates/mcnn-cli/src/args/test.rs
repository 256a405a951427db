//! Options of `mcnn test`.

use std::path::PathBuf;

use clap::Args;

use super::{Input, KnobArgs, NamesArgs};

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  mcnn test policy.safetensors more.npz

The policy acts on the recorded states, each episode from its start; a chunk of actions is
compared step by step. Where DATA is the file that the policy was trained on, its validation
episodes alone are taken, and an episode's own memories are left out. A smaller error is not
always a better policy: `mcnn eval` measures that.")]
pub struct TestArgs {
    /// Policy, from `mcnn train`.
    #[arg(value_name = "POLICY")]
    pub policy: PathBuf,
    #[command(flatten)]
    pub input: Input,
    #[command(flatten)]
    pub names: NamesArgs,
    #[command(flatten)]
    pub knobs: KnobArgs,
    /// Memories that VINN averages, beside the policy; of a policy that is VINN, its own.
    #[arg(long, default_value_t = 10, value_name = "K", help_heading = "Comparison")]
    pub vinn_k: usize,
}
