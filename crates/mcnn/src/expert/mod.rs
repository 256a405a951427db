//! Who demonstrates: the DAPG experts of the Adroit tasks, and noise on anything that acts.

mod gaussian;
mod noise;

pub use gaussian::GaussianPolicy;
pub use noise::{Noise, Noisy};
