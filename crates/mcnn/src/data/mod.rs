//! Demonstrations: episodes of states and actions, their readers, and the scale that makes states comparable.

mod demonstrations;

pub use demonstrations::{ActionRange, Demonstrations, Parts, Step};
