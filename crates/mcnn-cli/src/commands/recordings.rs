//! Recordings as episodes: reading data to learn from, and reading the same data again for what was learned from them.

use std::path::{Path, PathBuf};

use mcnn::{
    Result,
    data::Demonstrations,
    memory::{BaselineErrors, Codebook},
};

use super::{Keep, read, read_episodes_for, read_for};
use crate::{
    args::{EpisodeArgs, InputOptions, UnitArgs},
    say::say,
};

/// Demonstrations to learn from, and what looks unintended in them.
pub struct Recordings {
    pub data: Demonstrations,
    pub warnings: Vec<String>,
}

/// Reads data to learn from, in the units of `memories` if there are any. A single recording is cut into blocks, unless `--episode-steps` says otherwise or `memories` were learned
/// from it whole.
///
/// # Errors
/// As [`read`].
pub fn read_to_learn(
    paths: &[PathBuf],
    options: &InputOptions,
    episodes: &EpisodeArgs,
    units: &UnitArgs,
    memories: Option<&Codebook>,
    keep: Keep,
) -> Result<Recordings> {
    let data = match memories {
        Some(memories) => read_episodes_for(paths, options, episodes, memories, keep)?,
        None => read(paths, options, episodes, units, keep)?,
    };
    let mut warnings = data.warnings();
    data.check_readable()?;
    if options.episode_steps.is_some() || memories.is_some_and(|memories| memories.check_data(&data).is_ok())
    {
        return Ok(Recordings { data, warnings });
    }
    let Some((blocks, steps)) = data.blocks() else { return Ok(Recordings { data, warnings }) };
    let copies = if data.n_episodes() > 1 {
        format!("{} episodes that coincide, of which the longest is taken: ", data.n_episodes())
    } else {
        String::new()
    };
    let margin = blocks.interior(0).start;
    warnings.push(format!(
        "the data are one recording of {} steps ({copies}cut into {} blocks of {steps} steps, numbered as episodes: step S of block B is \
         step {steps} B + S). Blocks stand for episodes in lambda, validation, calibration and the guard, each measured without \
         {margin} steps at either end. They are more alike than new episodes, so losses and distances are too small: record more \
         episodes; --episode-steps N cuts otherwise, and not at all if N is {} or more",
        blocks.n_steps(),
        blocks.n_episodes(),
        2 * blocks.n_steps()
    ));
    Ok(Recordings { data: blocks, warnings })
}

/// Reads data for memories that may have been learned from them: a single recording in the blocks that they were learned from.
///
/// # Errors
/// As [`read`].
pub fn read_as_learned(path: &Path, options: &InputOptions, memories: &Codebook) -> Result<Demonstrations> {
    let data = read_for(path, options, memories)?;
    if memories.check_data(&data).is_ok() {
        return Ok(data);
    }
    match data.blocks().filter(|(blocks, _)| memories.check_data(blocks).is_ok()) {
        Some((blocks, steps)) => {
            say(format!(
                "{}: one recording, in the {} blocks of {steps} steps that the memories were learned from",
                path.display(),
                blocks.n_episodes()
            ));
            Ok(blocks)
        }
        None => Ok(data),
    }
}

/// What to say where doing nothing is better than a method that learned absolute actions.
pub fn staying_is_better(
    baselines: &BaselineErrors,
    method: &str,
    error: Option<f64>,
    is_relative: bool,
) -> Option<String> {
    let staying = baselines.state_as_action.filter(|_| baselines.staying_beats(error) && !is_relative)?;
    Some(format!(
        "staying (the state as the action) has an error of {staying:.6}, {method} {:.6}: learn the movement instead of the position, \
         --actions relative (or --relative-to)",
        error.unwrap_or(f64::NAN)
    ))
}

/// Says warnings on stderr.
pub fn say_warnings(warnings: &[String]) {
    warnings.iter().for_each(|warning| say(format!("warning: {warning}")));
}
