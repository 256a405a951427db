//! Options of `mcnn convert`.

use std::path::PathBuf;

use clap::Args;

use mcnn::data::AngleChoice;

use super::{EpisodeArgs, KeyArgs, Output, StateDimensions};

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mcnn convert drive.npz -o drive.hdf5
  mcnn convert drive.npz -o drive.mcnn   (columns, which learn and train read piece by piece)
  mcnn convert pusht.zarr --state keypoint,state:0-1 -o pusht.npz
  mcnn convert lift.hdf5 --episodes 0-99 --drop-idle 0.5 --hz 20 --downsample 2 -o lift.npz
  mcnn convert lift.hdf5 --hz 20 -o lift/")]
pub struct ConvertArgs {
    /// Demonstrations, as of `mcnn learn`. Several are joined, and read one after another; LeRobot is read by data files, Minari and
    /// robomimic by episodes, columns by pieces, and any other format whole.
    #[arg(value_name = "DATA", required = true)]
    pub data: Vec<PathBuf>,
    #[command(flatten)]
    pub keys: KeyArgs,
    #[command(flatten)]
    pub episodes: EpisodeArgs,
    /// Keep every STEPS-th step of each episode, from the first on. Rewards are summed; the frame rate falls accordingly.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..), value_name = "STEPS",
          help_heading = "Steps")]
    pub downsample: u32,
    /// Drop pauses longer than SECONDS at the start and the end of episodes, all but one step: runs of steps in which no dimension of
    /// state and action changes by more than 0.001 of its range. Pauses are dropped before --downsample.
    #[arg(long, value_name = "SECONDS", help_heading = "Steps")]
    pub drop_idle: Option<f64>,
    /// Steps per second of the data, in place of what they say; those that a recording of ROS 2 (MCAP) becomes.
    #[arg(long, value_name = "RATE", help_heading = "Steps")]
    pub hz: Option<f64>,
    /// End an episode of a recording of ROS 2 where a topic is silent for longer than SECONDS.
    #[arg(long, value_name = "SECONDS", help_heading = "Steps")]
    pub gap: Option<f64>,
    /// Make actions relative to the state: each minus the state's dimension of the same name.
    #[arg(long, conflicts_with = "relative_to", help_heading = "Actions")]
    pub relative: bool,
    /// Make actions relative to these state dimensions, one for each action dimension, such as 0-6 or 0-5,none.
    #[arg(long, value_parser = clap::value_parser!(StateDimensions), value_name = "DIMENSIONS", help_heading = "Actions")]
    pub relative_to: Option<StateDimensions>,
    /// State dimensions that are angles, as of `mcnn learn`: actions relative to them are the smallest difference of angles.
    #[arg(long = "angle", value_delimiter = ',', value_name = "DIMENSIONS", help_heading = "Actions")]
    pub angles: Vec<AngleChoice>,
    #[command(flatten)]
    pub output: Output,
}
