//! Backbones: an observation in, a proposal out. A backbone has never heard of memories, distances, lambda or L, so
//! whatever it proposes is held by the same envelope, on its first day.

mod mlp;

pub use mlp::{Mlp, MlpNet};
