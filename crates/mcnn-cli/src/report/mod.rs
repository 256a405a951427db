//! The page that `mcnn report` writes: a policy and its memories in pictures, in one HTML file that needs no network. The
//! values are computed by the library (`Policy::explain`, `eval::collect`, retrieval) and stand as JSON in the file; its script
//! only draws them.

pub mod build;
pub mod coverage;
mod eigen;
pub mod map;
mod notes;
mod pca;
pub mod steps;

use mcnn::{data::DimensionNames, train::Lambda};
use serde::Serialize;

use crate::run_folder::Logged;

/// Everything on the page.
#[derive(Serialize)]
pub struct Page {
    pub about: About,
    pub map: map::Map,
    pub coverage: coverage::Coverage,
    pub episodes: Vec<steps::Episode>,
    /// Training loss by step; empty where there is no run folder.
    pub losses: Vec<Logged>,
    /// Sentences on what the page leaves out or cannot show.
    pub notes: Vec<String>,
}

/// The policy and its settings.
#[derive(Serialize)]
pub struct About {
    pub file: String,
    pub fingerprint: String,
    pub data: String,
    pub name: String,
    pub lambda: Lambda,
    pub half_distance: Option<f32>,
    pub amplitude: f32,
    pub memories: usize,
    /// How the memories were selected.
    pub by: String,
    pub n_obs: usize,
    pub n_act: usize,
    /// Names of the dimensions, where there are any.
    #[serde(flatten)]
    pub names: DimensionNames,
    pub smooth_neighbors: usize,
    pub neighbors: usize,
    pub steps: u64,
    /// What the training loss is, in words; null where the file does not say how the policy was trained.
    pub objective: Option<String>,
    pub edits: Vec<String>,
    pub task: Option<String>,
    /// The OOD threshold: 99 % of the calibration states are nearer. Null without a calibration.
    pub far: Option<f32>,
}

/// The page as HTML.
pub fn html(page: &Page) -> String {
    // `</script>` in a string would end the script: `<` is written as JSON may write it.
    let data = serde_json::to_string(page).expect("a page is plain values").replace('<', "\\u003c");
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;");
    let name = escaped(&page.about.name);
    // The name is in the page itself, for what shows pages without running their scripts. The data come last: they may contain
    // anything.
    include_str!("page.html")
        .replacen("<title>mcnn report</title>", &format!("<title>{name}: mcnn report</title>"), 1)
        .replacen("<h1 id=\"title\">mcnn report</h1>", &format!("<h1 id=\"title\">{name}</h1>"), 1)
        .replacen("/*DATA*/", &data, 1)
}

/// Rounds a coordinate to four decimals, which is enough for a picture.
fn short(x: f32) -> f32 {
    (x * 1e4).round() / 1e4
}
