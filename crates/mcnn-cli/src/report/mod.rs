//! The page that `mcnn report` writes: a policy and its memories in pictures, readable offline. The numbers are those of
//! the library (`Policy::explain`, `eval::collect`, recall), as JSON inside one file; the script in it only draws.

pub mod coverage;
pub mod map;
pub mod notes;
pub mod pca;
pub mod steps;

use mcnn::train::Lambda;
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
    /// What the page leaves out or cannot show, in words.
    pub notes: Vec<String>,
}

/// The policy, as it is.
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
    /// How the memories were chosen.
    pub by: String,
    pub n_obs: usize,
    pub n_act: usize,
    pub smooth_neighbors: usize,
    pub neighbors: usize,
    pub steps: u64,
    pub edits: Vec<String>,
    pub task: Option<String>,
    /// The distance farther than which a share of 0.01 of the calibrated states are; null without a calibration.
    pub far: Option<f32>,
}

/// The page as HTML.
pub fn html(page: &Page) -> String {
    // `</script>` in a string would end the script: `<` is written as JSON may write it.
    let data = serde_json::to_string(page).expect("a page is plain values").replace('<', "\\u003c");
    include_str!("page.html").replacen("/*DATA*/", &data, 1)
}

/// A number for a picture, which needs no more than four digits behind the point.
fn short(x: f32) -> f32 {
    (x * 1e4).round() / 1e4
}
