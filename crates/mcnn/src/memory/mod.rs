//! Memories: ways to choose them from demonstrations, the codebook that holds them, and recall - the one door
//! through which a state is scaled, searched for and measured.

mod choose;
mod codebook;
mod disagree;
mod edit;
mod farthest_points;
mod future_actions;
mod gas;
mod kmeans;
mod learn;
mod retrieve;

pub use choose::SelectionMethod;
pub use codebook::{Codebook, CodebookParts};
pub use disagree::Disagreement;
pub use edit::Added;
pub use farthest_points::FarthestPoints;
pub use gas::{Gas, GasSettings};
pub use kmeans::{kmeans, lloyd};
pub use learn::{Amount, Coverage, LearnSettings, Learned, learn};
pub use retrieve::{GraphSearch, GraphSearchStats, Retrieval, Scaled};
