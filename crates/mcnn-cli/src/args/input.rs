//! Options of reading demonstrations, and of the units that their actions are learned in.

use std::{num::NonZeroUsize, ops::RangeInclusive, path::PathBuf};

use clap::Args;
use mcnn::data::{ActionScale, ActionSettings, AngleChoice, KeyRange, RelativeTo, Selection};

use super::{Dimensions, word};

/// An input of demonstrations.
#[derive(Args, Debug)]
pub struct Input {
    /// Demonstrations: HDF5 as of D4RL or robomimic, a replay buffer in zarr, .npz or columns (.mcnn) with the arrays states,
    /// actions and episode_ends, an MCAP recording of ROS 2, or a LeRobot or Minari dataset.
    #[arg(value_name = "DATA")]
    pub data: PathBuf,
    #[command(flatten)]
    pub options: InputOptions,
}

/// One input of demonstrations or several.
#[derive(Args, Debug)]
pub struct Inputs {
    /// Demonstrations: HDF5 as of D4RL or robomimic, a replay buffer in zarr, .npz or columns (.mcnn) with the arrays states,
    /// actions and episode_ends, an MCAP recording of ROS 2, or a LeRobot or Minari dataset. Several are joined.
    #[arg(value_name = "DATA", required = true)]
    pub data: Vec<PathBuf>,
    #[command(flatten)]
    pub options: InputOptions,
}

/// Which arrays and which lists of episodes are read.
#[derive(Args, Debug, Clone, Default)]
#[command(next_help_heading = "Data")]
pub struct KeyArgs {
    /// Arrays of the data that make up the state, concatenated in this order, such as observation.state or object,robot0_eef_pos;
    /// KEY:FIRST-LAST takes some of its dimensions [default: the format's own].
    #[arg(long = "state", value_delimiter = ',', value_name = "KEYS")]
    pub state_keys: Vec<KeyRange>,
    /// Arrays of the data that make up the action, likewise [default: the format's own].
    #[arg(long = "action", value_delimiter = ',', value_name = "KEYS")]
    pub action_keys: Vec<KeyRange>,
    /// Read only the episodes that this list in the file names (robomimic's mask/NAME), such as train.
    #[arg(long, value_name = "NAME")]
    pub filter_key: Option<String>,
}

/// How demonstrations are read.
#[derive(Args, Debug, Clone, Default)]
#[command(next_help_heading = "Data")]
pub struct InputOptions {
    #[command(flatten)]
    pub keys: KeyArgs,
    /// Steps per second that a recording of ROS 2 (MCAP) becomes: at each, the last message of the state's topics and the next of the
    /// action's [default for a policy's or memories' data: theirs].
    #[arg(long, value_name = "RATE")]
    pub hz: Option<f64>,
    /// End an episode of such a recording where a topic is silent for longer than SECONDS [default: a recording is one episode].
    #[arg(long, value_name = "SECONDS")]
    pub gap: Option<f64>,
    /// Clip actions to [-1, 1] instead of refusing a file with actions outside, if they are at most 5 % of an action dimension.
    #[arg(long)]
    pub clip_actions: bool,
    /// Leave out the last step of every episode, as D4RL's qlearning_dataset does.
    #[arg(long)]
    pub d4rl_drop_last: bool,
    /// Cut recordings into episodes of this many steps, numbered anew from 0 [default of `learn` and `train`: a single recording is
    /// cut into ten blocks].
    #[arg(long, value_name = "STEPS")]
    pub episode_steps: Option<NonZeroUsize>,
}

impl InputOptions {
    /// The arrays and episodes to read.
    pub fn selection(&self, episodes: &EpisodeArgs) -> Selection {
        Selection { hz: self.hz, gap: self.gap, ..self.keys.selection(episodes) }
    }
}

impl KeyArgs {
    /// The arrays and episodes to read.
    pub fn selection(&self, episodes: &EpisodeArgs) -> Selection {
        Selection {
            state: self.state_keys.clone(),
            action: self.action_keys.clone(),
            episodes: episodes.episodes.clone(),
            task: episodes.task.clone(),
            filter: self.filter_key.clone(),
            whole: episodes.whole,
            ..Selection::default()
        }
    }
}

/// Which episodes are read.
#[derive(Args, Debug, Clone, Default)]
#[command(next_help_heading = "Data")]
pub struct EpisodeArgs {
    /// Episodes to read, by their numbers in the data (in each of several), such as 0-9,12 [default: all].
    #[arg(long, value_delimiter = ',', value_parser = episode_range, value_name = "EPISODES")]
    pub episodes: Vec<RangeInclusive<u32>>,
    /// Read only the episodes of the task with this text, where the data have texts of tasks.
    #[arg(long, value_name = "TEXT")]
    pub task: Option<String>,
    /// Of a LeRobot recording that was stopped before it was complete, read the whole episodes and leave out unfinished files.
    #[arg(long)]
    pub whole: bool,
}

fn episode_range(text: &str) -> Result<RangeInclusive<u32>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.trim().parse(), last.trim().parse()) {
        (Ok(first), Ok(last)) if first <= last => Ok(first..=last),
        _ => Err("expected episodes counted from 0, such as 0-9,12".into()),
    }
}

/// How actions are scaled to [-1, 1], in which policies learn and are constrained.
#[derive(Args, Debug, Clone, Default)]
#[command(next_help_heading = "Actions")]
pub struct UnitArgs {
    /// How each action dimension is scaled to [-1, 1]: range (its smallest and largest value), quantile (its 1 % and 99 % quantiles;
    /// actions outside are clipped) or none (actions must be in [-1, 1]) [default: none if all actions are in [-1, 1]; else range].
    #[arg(long, value_parser = action_scale, value_name = "RULE")]
    pub action_scale: Option<ActionScale>,
    /// Learn actions as recorded (absolute), or relative to the state: the action minus the state's dimension of the same name.
    /// Policies give actions as recorded in any case [default: absolute].
    #[arg(long, value_parser = ["absolute", "relative"], value_name = "RULE")]
    pub actions: Option<String>,
    /// Learn actions relative to these state dimensions, one for each action dimension, such as 0-6 or 0-5,none; none leaves an
    /// action dimension absolute.
    #[arg(long, value_parser = clap::value_parser!(StateDimensions), value_name = "DIMENSIONS")]
    pub relative_to: Option<StateDimensions>,
    /// State dimensions that are angles, counted from 0 or by name, such as 3-5 or 3-5:deg,yaw:rad. They wrap: -179 and 179 degrees
    /// are near, and actions relative to them are the smallest difference of angles. Without a unit they are in degrees if a value of any is
    /// beyond 2 pi, else in radians.
    #[arg(long = "angle", value_delimiter = ',', value_name = "DIMENSIONS", help_heading = "Data")]
    pub angles: Vec<AngleChoice>,
}

impl UnitArgs {
    /// Whether any option is given.
    pub fn is_given(&self) -> bool {
        self.action_scale.is_some()
            || self.actions.is_some()
            || self.relative_to.is_some()
            || !self.angles.is_empty()
    }

    pub fn settings(&self) -> ActionSettings {
        let relative_to = match (&self.relative_to, self.actions.as_deref()) {
            (Some(StateDimensions(dimensions)), _) => RelativeTo::Dimensions(dimensions.clone()),
            (None, Some("relative")) => RelativeTo::SameName,
            (None, _) => RelativeTo::Absolute,
        };
        ActionSettings {
            scale: self.action_scale.unwrap_or_default(),
            relative_to,
            angles: self.angles.clone(),
        }
    }
}

fn action_scale(text: &str) -> Result<ActionScale, String> {
    word(text, "range, quantile or none")
}

/// State dimensions as text, one for each action dimension: indices, inclusive ranges and `none`.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StateDimensions(pub Vec<Option<usize>>);

impl std::str::FromStr for StateDimensions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut dimensions = Vec::new();
        for part in text.split(',') {
            match part.trim() {
                "none" => dimensions.push(None),
                part => {
                    let Dimensions(range) =
                        part.parse().map_err(|_| "expected state dimensions such as 0-5,none")?;
                    dimensions.extend(range.into_iter().map(Some));
                }
            }
        }
        Ok(Self(dimensions))
    }
}

impl TryFrom<String> for StateDimensions {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<StateDimensions> for String {
    fn from(StateDimensions(dimensions): StateDimensions) -> Self {
        let text = |k: Option<usize>| k.map_or("none".into(), |k| k.to_string());
        dimensions.into_iter().map(text).collect::<Vec<_>>().join(",")
    }
}

/// Names of dimensions, in place of those that the data or the policy has.
#[derive(Args, Debug)]
pub struct NamesArgs {
    /// Names of the dimensions of states and actions: a JSON file such as {"state_names": ["x", "y"], "action_names": ["steer"]},
    /// with one name for each dimension; one of the two keys may be missing.
    #[arg(long = "names", value_name = "FILE", help_heading = "Data")]
    pub file: Option<PathBuf>,
}
