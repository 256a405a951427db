//! The page that `mcnn demo` writes: one HTML file that contains its data and needs no network.

use mcnn::eval;
use serde::Serialize;

use crate::commands::demo::DemoReport;

/// Everything on the page.
#[derive(Serialize)]
pub struct Page<'a> {
    pub demonstrated: &'a DemoReport,
    /// Training loss by step, for each method; empty where nothing was trained.
    pub losses: Vec<Vec<(u64, f64)>>,
    pub episodes: Vec<Episode>,
}

/// An episode driven by every method.
#[derive(Serialize)]
pub struct Episode {
    pub seed: u64,
    pub road: Road,
    /// In the order of the methods.
    pub drives: Vec<Drive>,
}

/// A closed road as polygons, in meters.
#[derive(Serialize)]
pub struct Road {
    pub center: Vec<[f32; 2]>,
    pub left: Vec<[f32; 2]>,
    pub right: Vec<[f32; 2]>,
}

/// How one method drove an episode.
#[derive(Serialize)]
pub struct Drive {
    #[serde(rename = "return")]
    pub ret: f64,
    pub success: Option<bool>,
    /// Positions in meters, one more than steps.
    pub path: Vec<[f32; 2]>,
    /// Standardized distance to the nearest memory at every step.
    pub distance: Vec<Option<f32>>,
    /// Memory weight at every step, in [0, 1].
    pub weight: Vec<Option<f32>>,
    /// Its camera frames, in a task whose observations are frames.
    pub view: Option<View>,
}

/// Camera frames of an episode, as a sprite sheet: one below the other in one image.
#[derive(Serialize, Clone)]
pub struct View {
    /// The image as a `data:` URL.
    pub sheet: String,
    /// Steps from one frame to the next.
    pub every: usize,
    /// Number of frames.
    pub count: usize,
}

impl Drive {
    pub fn of(episode: &eval::Episode, view: Option<View>) -> Self {
        let trace = episode.trace.clone().unwrap_or_default();
        Self {
            ret: episode.ret,
            success: episode.success,
            path: trace.positions,
            distance: trace.decisions.iter().map(|d| d.distance).collect(),
            weight: trace.decisions.iter().map(|d| d.weight).collect(),
            view,
        }
    }
}

/// The page as HTML.
pub fn html(page: &Page) -> String {
    // `</script>` in a string would end the script: `<` is written as JSON may write it.
    let data = serde_json::to_string(page).expect("a page is plain values").replace('<', "\\u003c");
    include_str!("page.html").replace("/*DATA*/", &data)
}
