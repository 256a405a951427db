//! Experts for demonstrations: the DAPG policies of the Adroit tasks, the experts of tasks themselves, and exploration noise for
//! any actor.

mod gaussian;
mod noise;
mod task_expert;

pub use gaussian::GaussianPolicy;
pub use noise::{Noise, Noisy};
pub use task_expert::TaskExpert;
