//! Options of embedding frames.

use std::path::PathBuf;

use clap::Args;
use mcnn::vision::{self, By, Design, Layout, Preset, Range, SourceOptions, Weights};

use super::{Output, word};

#[derive(Args, Debug)]
pub struct EmbedArgs {
    #[command(flatten)]
    pub film: FilmArgs,
    /// The network's weights: an encoder's file; a .pth of PyTorch or a .safetensors; imagenet (torchvision's, fetched once);
    /// or random:SEED, an untrained network.
    #[arg(long, value_name = "FILE|imagenet|random:SEED")]
    pub weights: Weights,
    /// The network: resnet18, resnet34, resnet50, or conv:HEIGHTxWIDTH:NUMBERS, the encoder's [default: what an encoder's
    /// file says; else resnet34].
    #[arg(long, value_parser = network)]
    pub network: Option<Design>,
    /// How frames are prepared: normalized (as ImageNet's networks are trained), raw (0 to 1, as the paper's authors did),
    /// either with :HEIGHTxWIDTH to resize; or torchvision (to 256, the middle 224 x 224, normalized) [default: what an
    /// encoder's file says; else normalized].
    #[arg(long, value_parser = preset)]
    pub preset: Option<Preset>,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Args, Debug)]
pub struct EncoderArgs {
    #[command(flatten)]
    pub film: FilmArgs,
    /// What it learns from: action (the embedding of a frame foretells what was done) or reconstruction (it foretells the
    /// frame at a quarter of its sides).
    #[arg(long, default_value = "action", value_parser = by)]
    pub by: By,
    /// Gradient steps.
    #[arg(long, default_value_t = 2000)]
    pub steps: u64,
    /// Frames of a step.
    #[arg(long, default_value_t = 128)]
    pub batch: usize,
    /// Learning rate of the first step; it falls to 0 along a half cosine.
    #[arg(long, default_value_t = 1e-3)]
    pub lr: f64,
    /// Numbers of an embedding.
    #[arg(long, default_value_t = 64)]
    pub width: usize,
    /// Shift every frame at random by up to so many pixels, its edges repeated.
    #[arg(long, default_value_t = 0, value_name = "PIXELS")]
    pub augment: usize,
    /// Share of whole episodes held out, and measured on.
    #[arg(long, alias = "check-on", default_value_t = 0.1, value_name = "FRACTION")]
    pub validation_fraction: f64,
    /// How frames are prepared: normalized, raw (0 to 1), either with :HEIGHTxWIDTH to resize, or torchvision. embed then
    /// does the same.
    #[arg(long, default_value = "normalized", value_parser = preset)]
    pub preset: Preset,
    /// Decides whatever is random.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    #[command(flatten)]
    pub output: Output,
}

/// A recording of frames to be read.
#[derive(Args, Debug)]
pub struct FilmArgs {
    /// Frames with actions: D4RL's CARLA HDF5, an .npz with frames, a donkeycar tub, a log of Udacity's simulator, or a
    /// folder of pictures with a CSV.
    #[arg(value_name = "DATA")]
    pub data: PathBuf,
    /// Height and width of frames that lie flat in a row [default: they are square].
    #[arg(long, value_name = "HEIGHTxWIDTH", value_parser = size)]
    pub frame_size: Option<Size>,
    /// In which order a frame's numbers lie: hwc (height, width, channel) or chw [default: by the shape; flat rows hwc].
    #[arg(long)]
    pub layout: Option<Layout>,
    /// What white is: 1 or 255 [default: by the first frames].
    #[arg(long, value_name = "NUMBER")]
    pub white: Option<Range>,
    /// Columns of a folder's CSV that are the actions, in order [default: all but frame, episode, reward, step and time].
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub actions: Vec<String>,
    /// Clip actions outside [-1, 1] instead of refusing them.
    #[arg(long)]
    pub clip_actions: bool,
    /// Threads [default: as many as there are cores]. Results do not depend on it.
    #[arg(long)]
    pub threads: Option<usize>,
}

/// What frames are seen with.
#[derive(Args, Debug, Clone)]
pub struct TaskEncoderArgs {
    /// To act on frames: the weights that embedded those the policy was made from, as of `mcnn embed`. Not needed where the policy
    /// carries them, or they are random. Of several policies there may be several.
    #[arg(long = "encoder", value_name = "FILE|imagenet|random:SEED")]
    pub weights: Vec<Weights>,
}

/// A height and a width.
#[derive(Debug, Clone, Copy)]
pub struct Size(pub [usize; 2]);

impl FilmArgs {
    /// What the readers are told.
    pub fn source(&self) -> SourceOptions {
        SourceOptions {
            size: self.frame_size.map(|size| size.0),
            layout: self.layout,
            range: self.white,
            actions: self.actions.clone(),
        }
    }
}

fn network(text: &str) -> Result<Design, String> {
    text.parse().map_err(|e: mcnn::Error| e.to_string())
}

fn by(text: &str) -> Result<By, String> {
    word(text, "action or reconstruction")
}

fn preset(text: &str) -> Result<Preset, String> {
    text.parse().map_err(|e: mcnn::Error| e.to_string())
}

fn size(text: &str) -> Result<Size, String> {
    vision::size(text).map(Size).map_err(|e| e.to_string())
}
