//! Who demonstrates: the DAPG experts of the Adroit tasks, the experts that tasks have themselves, and noise on anything
//! that acts.

mod advised;
mod gaussian;
mod noise;

pub use advised::Advised;
pub use gaussian::GaussianPolicy;
pub use noise::{Noise, Noisy};
