//! Memory-consistent neural networks: policies learned from demonstrations that stay near what they were shown
//! (Sridhar et al., ICLR 2024). The rooms, in reading order, and what each may not know: ARCHITECTURE.md.
#![forbid(unsafe_code)]

pub mod act;
pub mod atomic;
pub mod data;
pub mod error;
pub mod eval;
pub mod seed;
pub mod task;

pub use error::{Error, Result};
