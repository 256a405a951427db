//! Memories: their selection from demonstrations, the codebook that stores them, and retrieval. Retrieval standardizes a state,
//! searches the codebook and computes the distance; no other code does.

mod averaged;
mod baselines;
mod batch;
mod choose;
mod codebook;
mod disagree;
mod edit;
mod farthest_points;
mod fingerprint;
mod future_actions;
mod gas;
mod kmeans;
mod learn;
mod origin;
mod retrieve;
mod rows;

pub use baselines::BaselineErrors;
pub use batch::{
    BatchQuery, BatchSearch, BatchSearchStats, Shortlist, batch_search_stats, search_batch, set_batch_search,
};
pub use choose::SelectionMethod;
pub use codebook::{Codebook, CodebookParts};
pub use disagree::Disagreement;
pub use edit::Added;
pub use farthest_points::FarthestPoints;
pub use gas::{Gas, GasSettings};
pub(crate) use kmeans::kmeans_of_actions;
pub use kmeans::{kmeans, lloyd};
pub use learn::{Amount, Coverage, LearnSettings, Learned, learn};
pub use retrieve::{GraphSearch, GraphSearchStats, Retrieval, Scaled};
