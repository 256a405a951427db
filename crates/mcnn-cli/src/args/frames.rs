//! Options of `mcnn embed`, `mcnn encoder`, and of acting on camera frames.

use std::{num::NonZeroUsize, path::PathBuf};

use clap::Args;
use mcnn::vision::{self, Design, Layout, Objective, Preset, Range, SourceOptions, Weights};

use super::{Device, EpisodeArgs, KeyArgs, Output, device::device, word};
use crate::say::say;

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  mcnn embed frames.hdf5 --weights imagenet -o embedded.npz")]
pub struct EmbedArgs {
    #[command(flatten)]
    pub frames: FrameArgs,
    /// Join the state, chosen by --state, with the embedding: the embeddings of all cameras first, then the state.
    #[arg(long, help_heading = "Data")]
    pub with_state: bool,
    /// Weights of the network: an encoder's file from `mcnn encoder`; a PyTorch .pth or a .safetensors; imagenet (torchvision's,
    /// downloaded once); or random:SEED (untrained).
    #[arg(long, value_name = "FILE|imagenet|random:SEED", help_heading = "Network")]
    pub weights: Weights,
    /// Network architecture: resnet18, resnet34, resnet50, or conv:HEIGHTxWIDTH:DIM (as `mcnn encoder` trains) [default: as an
    /// encoder's file says; else resnet34].
    #[arg(long, value_parser = network, value_name = "NETWORK", help_heading = "Network")]
    pub network: Option<Design>,
    /// Preprocessing: normalized (as for ImageNet), raw (pixels in 0 to 1), either with :HEIGHTxWIDTH to resize; or torchvision
    /// (resize to 256, crop the central 224 x 224, normalize) [default: as an encoder's file says; else normalized].
    #[arg(long, value_parser = preset, value_name = "PRESET", help_heading = "Network")]
    pub preset: Option<Preset>,
    /// Where a residual network runs: cpu, gpu (if the program was built with GPU support), or auto (the processor, so that a
    /// file does not depend on the machine). A GPU adds in another order: embeddings differ by about 1e-6 of their length from
    /// the processor's, on which policies embed the frames that they observe.
    #[arg(long, default_value = "auto", value_parser = device, value_name = "DEVICE", help_heading = "Execution")]
    pub device: Device,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  mcnn encoder frames.hdf5 --objective action -o encoder.safetensors")]
pub struct EncoderArgs {
    #[command(flatten)]
    pub frames: FrameArgs,
    /// Fraction of the episodes held out for validation, 0 to below 1.
    #[arg(long, alias = "check-on", default_value_t = 0.1, value_name = "FRACTION", help_heading = "Data")]
    pub validation_fraction: f64,
    /// Cut recordings into episodes of this many frames [default: a single recording is cut into ten blocks].
    #[arg(long, value_name = "FRAMES", help_heading = "Data")]
    pub episode_steps: Option<NonZeroUsize>,
    /// Training objective: action (predict the demonstrated action from the embedding) or reconstruction (predict the frame, at a
    /// quarter of its height and width).
    #[arg(long, alias = "by", default_value = "action", value_parser = objective, value_name = "OBJECTIVE",
          help_heading = "Network")]
    pub objective: Objective,
    /// Dimension of the embedding.
    #[arg(long, alias = "width", default_value_t = 64, value_name = "DIM", help_heading = "Network")]
    pub embedding_dim: usize,
    /// Preprocessing: normalized (as for ImageNet), raw (pixels in 0 to 1), either with :HEIGHTxWIDTH to resize; or torchvision
    /// (resize to 256, crop the central 224 x 224, normalize). `mcnn embed` then does the same.
    #[arg(long, default_value = "normalized", value_parser = preset, value_name = "PRESET", help_heading = "Network")]
    pub preset: Preset,
    /// Gradient steps.
    #[arg(long, default_value_t = 2000, value_name = "STEPS", help_heading = "Optimization")]
    pub steps: u64,
    /// Frames of a mini-batch.
    #[arg(
        long,
        alias = "batch-size",
        default_value_t = 128,
        value_name = "FRAMES",
        help_heading = "Optimization"
    )]
    pub batch: usize,
    /// Learning rate of the first step, which cosine decay reduces to 0.
    #[arg(long, default_value_t = 1e-3, value_name = "RATE", help_heading = "Optimization")]
    pub lr: f64,
    /// Data augmentation: shift every frame at random by up to PIXELS in each direction; its edge pixels are repeated.
    #[arg(
        long,
        alias = "augment",
        default_value_t = 0,
        value_name = "PIXELS",
        help_heading = "Optimization"
    )]
    pub random_shift: usize,
    /// Seed of the initial parameters, the mini-batches and the shifts.
    #[arg(long, default_value_t = 0, value_name = "SEED", help_heading = "Optimization")]
    pub seed: u64,
    #[command(flatten)]
    pub output: Output,
}

/// An input recording of camera frames.
#[derive(Args, Debug)]
pub struct FrameArgs {
    /// Frames with actions: a LeRobot dataset, a replay buffer in zarr, HDF5 as of robomimic or D4RL's CARLA, .npz with the array
    /// frames, a donkeycar tub, a log of Udacity's simulator, or a folder of images with a CSV.
    #[arg(value_name = "FRAMES")]
    pub data: PathBuf,
    /// Cameras, in this order, such as observation.images.top,observation.images.wrist; the embeddings of several are joined. Of an .npz or
    /// D4RL's HDF5, the array of the frames [default: all cameras; of one file frames, images, observations or states, whichever is
    /// there].
    #[arg(
        long = "camera",
        alias = "frames-key",
        value_delimiter = ',',
        value_name = "KEYS",
        help_heading = "Data"
    )]
    pub cameras: Vec<String>,
    /// Height and width of frames that are stored as flat rows [default: square frames].
    #[arg(long, value_name = "HEIGHTxWIDTH", value_parser = size, help_heading = "Data")]
    pub frame_size: Option<Size>,
    /// Order of a frame's axes: hwc (height, width, channel) or chw [default: by the shape; flat rows hwc].
    #[arg(long, value_name = "ORDER", help_heading = "Data")]
    pub layout: Option<Layout>,
    /// Value of a white pixel: 1 or 255 [default: by the largest value of the first frames].
    #[arg(long, alias = "white", value_name = "VALUE", help_heading = "Data")]
    pub pixel_max: Option<Range>,
    /// Columns of a folder's CSV that are the actions, in order, separated by commas [default: all but frame, episode, reward, step
    /// and time].
    #[arg(long, alias = "actions", value_name = "COLUMNS", value_delimiter = ',', help_heading = "Data")]
    pub action_columns: Vec<String>,
    #[command(flatten)]
    pub keys: KeyArgs,
    #[command(flatten)]
    pub episodes: EpisodeArgs,
    /// Clip actions to [-1, 1] instead of refusing a file with actions outside, if they are at most 5 % of an action dimension.
    #[arg(long, help_heading = "Data")]
    pub clip_actions: bool,
    /// Threads [default: the number of cores]. Results do not depend on it.
    #[arg(long, value_name = "COUNT", help_heading = "Execution")]
    pub threads: Option<usize>,
}

/// The encoder through which a policy observes frames.
#[derive(Args, Debug, Clone)]
pub struct TaskEncoderArgs {
    /// For tasks with camera frames: the WEIGHTS that were given to `mcnn embed`. Not needed if the policy's file contains its
    /// encoder (`mcnn train --encoder`) or the weights are random. Repeat it for policies with different encoders.
    #[arg(long = "encoder", value_name = "FILE|imagenet|random:SEED", help_heading = "Task")]
    pub weights: Vec<Weights>,
}

/// A height and a width.
#[derive(Debug, Clone, Copy)]
pub struct Size(pub [usize; 2]);

impl FrameArgs {
    /// Options of the readers.
    pub fn source(&self) -> SourceOptions {
        SourceOptions {
            size: self.frame_size.map(|size| size.0),
            layout: self.layout,
            range: self.pixel_max,
            cameras: self.cameras.clone(),
            with_state: false,
            selection: self.keys.selection(&self.episodes),
            ffmpeg: Some(|| mcnn::task::python::ffmpeg(&|line| say(line))),
            actions: self.action_columns.clone(),
        }
    }
}

fn network(text: &str) -> Result<Design, String> {
    text.parse().map_err(|e: mcnn::Error| e.to_string())
}

fn objective(text: &str) -> Result<Objective, String> {
    word(text, "action or reconstruction")
}

fn preset(text: &str) -> Result<Preset, String> {
    text.parse().map_err(|e: mcnn::Error| e.to_string())
}

pub(super) fn size(text: &str) -> Result<Size, String> {
    vision::size(text).map(Size).map_err(|e| e.to_string())
}
