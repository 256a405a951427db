//! Writes the outputs, losses and gradients that the tests of `mcnn::backbone` expect, computed by Burn in f64.

mod bet;
mod chain;
mod dropout;
#[path = "../../crates/mcnn/src/backbone/oracle/inputs.rs"]
mod inputs;
mod tensors;

use std::path::Path;

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/mcnn/src/backbone/oracle");
    for (name, values) in [("mlp", chain::mlp()), ("diffusion", chain::diffusion()), ("bet", bet::bet())] {
        values.write(&folder.join(format!("{name}.safetensors")));
    }
}
