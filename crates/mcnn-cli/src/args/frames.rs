//! Options of embedding frames.

use std::path::PathBuf;

use clap::Args;
use mcnn::vision::{self, Layout, Preset, Range, ResNet, SourceOptions, Weights};

use super::{Output, word};

#[derive(Args, Debug)]
pub struct EmbedArgs {
    /// Frames with actions: D4RL's CARLA HDF5, an .npz with frames, a donkeycar tub, a log of Udacity's simulator, or a
    /// folder of pictures with a CSV.
    #[arg(value_name = "DATA")]
    pub data: PathBuf,
    /// The network's weights: a .pth of PyTorch or a .safetensors; imagenet (torchvision's, fetched once); or random:SEED,
    /// an untrained network.
    #[arg(long, value_name = "FILE|imagenet|random:SEED")]
    pub weights: Weights,
    /// The network: resnet18, resnet34 or resnet50.
    #[arg(long, default_value = "resnet34", value_parser = network)]
    pub network: ResNet,
    /// How frames are prepared: normalised (as ImageNet's networks are trained), raw (0 to 1, as the paper's authors did),
    /// either with :HEIGHTxWIDTH to resize; or torchvision (to 256, the middle 224 x 224, normalised).
    #[arg(long, default_value = "normalised", value_parser = preset)]
    pub preset: Preset,
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
    #[command(flatten)]
    pub output: Output,
}

/// A height and a width.
#[derive(Debug, Clone, Copy)]
pub struct Size(pub [usize; 2]);

impl EmbedArgs {
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

fn network(text: &str) -> Result<ResNet, String> {
    word(text, "resnet18, resnet34 or resnet50")
}

fn preset(text: &str) -> Result<Preset, String> {
    text.parse().map_err(|e: mcnn::Error| e.to_string())
}

fn size(text: &str) -> Result<Size, String> {
    vision::size(text).map(Size).map_err(|e| e.to_string())
}
