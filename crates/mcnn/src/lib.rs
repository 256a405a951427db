//! Memory-Consistent Neural Networks (Sridhar et al., ICLR 2024): policies learned from demonstrations whose actions are
//! constrained to a region around a demonstrated action. ARCHITECTURE.md lists the modules and their dependencies.
#![forbid(unsafe_code)]

pub mod act;
pub mod atomic;
pub mod backbone;
pub mod calibration;
pub mod certify;
pub mod data;
pub mod encoder;
pub mod envelope;
pub mod error;
pub mod eval;
pub mod expert;
pub mod file;
pub mod home;
pub mod memory;
pub mod optimizer;
pub mod policy;
pub mod seed;
pub mod task;
pub mod train;
pub mod vision;

pub use error::{Error, Result};
