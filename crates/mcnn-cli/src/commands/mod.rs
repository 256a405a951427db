//! The verbs. Each takes checked arguments and returns a report; none prints a result.

pub mod certify;
pub mod collect;
pub mod compare;
pub mod convert;
pub mod demo;
mod demo_frames;
pub mod embed;
pub mod encoder;
pub mod eval;
pub mod explain;
pub mod export;
pub mod inspect;
pub mod learn;
pub mod make;
pub mod memory;
pub(crate) mod recordings;
pub mod replay;
pub mod report;
pub mod results;
#[cfg(feature = "serve")]
pub mod serve;
pub mod suggest;
pub mod sweep;
pub mod table;
pub mod test;
pub mod train;
pub mod tune;
mod visited;

use std::path::{Path, PathBuf};

use mcnn::{
    Error, Result,
    atomic::Claim,
    data::{
        ActionRange, Demonstrations, DimensionNames, Outside, ReadOptions, ReadResult, Selection, Target,
        Units,
    },
    error::Kind,
    memory::Codebook,
};

use crate::{
    args::{EpisodeArgs, InputOptions, NamesArgs, Output, UnitArgs},
    outputs,
    say::say,
};

/// The results of a verb.
pub struct Done {
    /// One line of JSON.
    pub json: String,
    /// The same as text.
    pub text: String,
    /// 0: done; 1: a check failed (`certify --max-bound`); 2: failed; 130: interrupted.
    pub exit_code: u8,
}

impl Done {
    /// The results of a report, with exit code 0. A report consists of plain values, so that its JSON cannot fail.
    pub fn new(report: &impl serde::Serialize, text: String) -> Self {
        let json = serde_json::to_string(report).expect("a report is plain values");
        Self { json, text, exit_code: 0 }
    }

    /// Sets exit code 2 if `failed`.
    pub fn failed_if(self, failed: bool) -> Self {
        Self { exit_code: if failed { 2 } else { self.exit_code }, ..self }
    }
}

/// The most lines on the units of actions.
const MAX_LINES: usize = 8;

/// Where the steps of demonstrations are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// In memory.
    InMemory,
    /// In their file, if it is one of columns ([`mcnn::data::stream`]); else in memory. Who uses the results asks
    /// [`Demonstrations::check_readable`] first.
    InFile,
}

/// Reads the demonstrations to learn from, of one source or several. Says on stderr how actions are scaled.
pub fn read(
    paths: &[PathBuf],
    options: &InputOptions,
    episodes: &EpisodeArgs,
    units: &UnitArgs,
    keep: Keep,
) -> Result<Demonstrations> {
    let units = Units::Fitted(units.settings());
    let data = read_selected(paths, options, options.selection(episodes), units, keep)?;
    data.units()
        .describe_angles(data.names())
        .iter()
        .for_each(|line| say(format!("{}: {line}", listed(paths))));
    let units = data.units().describe(data.names());
    if !units.is_empty() {
        say(format!("{}: actions are scaled to [-1, 1], from", listed(paths)));
        units.iter().take(MAX_LINES).for_each(|line| say(format!("  {line}")));
        if units.len() > MAX_LINES {
            say(format!(
                "  and {} action dimensions more (`mcnn inspect` lists them)",
                units.len() - MAX_LINES
            ));
        }
    }
    Ok(data)
}

/// Reads other demonstrations for given memories: with the keys that the memories' data were read with, unless options name
/// others, and with actions in the memories' units.
pub fn read_for(path: &Path, options: &InputOptions, codebook: &Codebook) -> Result<Demonstrations> {
    read_episodes_for(&[path.to_owned()], options, &EpisodeArgs::default(), codebook, Keep::InMemory)
}

/// The same of some episodes, of one source or several.
pub fn read_episodes_for(
    paths: &[PathBuf],
    options: &InputOptions,
    episodes: &EpisodeArgs,
    codebook: &Codebook,
    keep: Keep,
) -> Result<Demonstrations> {
    let selection = options.selection(episodes).or(&codebook.parts().origin);
    read_selected(paths, options, selection, Units::Given(codebook.units().clone()), keep)
}

/// Reads demonstrations. Says on stderr how many actions are clipped, and what else a user should know.
fn read_selected(
    paths: &[PathBuf],
    options: &InputOptions,
    selection: Selection,
    units: Units,
    keep: Keep,
) -> Result<Demonstrations> {
    let (range, cut) = (range(options.clip_actions), options.episode_steps);
    let options = ReadOptions { selection, units, range, drop_last: options.d4rl_drop_last };
    let streamed = match (keep, paths) {
        (Keep::InFile, [path]) => mcnn::data::stream(path, &options)?,
        _ => None,
    };
    let found = streamed.map_or_else(|| mcnn::data::read_all(paths, &options), Ok)?;
    let ReadResult { data, outside, notes } = found;
    let place = listed(paths);
    for note in notes {
        // Those of several sources name theirs.
        say(if paths.len() == 1 { format!("{place}: {note}") } else { note });
    }
    say_clipped(Path::new(&place), &outside);
    Ok(match cut {
        Some(steps) => data.cut(steps.into()),
        None => data,
    })
}

/// Paths as text.
pub fn listed(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// What `--clip-actions` says.
pub fn range(clip_actions: bool) -> ActionRange {
    if clip_actions { ActionRange::Clip } else { ActionRange::Refuse }
}

/// Says on stderr how many actions are clipped, if any are.
pub fn say_clipped(path: &Path, outside: &Outside) {
    if outside.all() > 0 {
        say(format!("{}: {outside}, clipped to [-1, 1]", path.display()));
    }
}

/// The names of the dimensions: those of `--names`, if it is given; what it leaves out is taken from the first of `others` that
/// has it.
///
/// # Errors
/// A file of names that cannot be read or does not fit states of `n_obs` and actions of `n_act` dimensions.
pub fn names(
    args: &NamesArgs,
    [n_obs, n_act]: [usize; 2],
    others: &[&DimensionNames],
) -> Result<DimensionNames> {
    let given = match &args.file {
        None => DimensionNames::default(),
        Some(path) => {
            let names = DimensionNames::read(path)?;
            names.validate(n_obs, n_act).map_err(|e| e.within(path.display()))?;
            names
        }
    };
    Ok(others.iter().fold(given, |names, other| names.or(other)))
}

/// Number of cores of this machine.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Runs `work` in a rayon pool of `threads` threads.
pub fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> Result<T> {
    Ok(rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(no_threads)?.install(work))
}

pub(crate) fn no_threads(error: rayon::ThreadPoolBuildError) -> Error {
    Error::new(Kind::Settings, "threads cannot be started").found(error.to_string())
}

/// Claims an output before any work, and checks that it can be written. The claim lasts as long as what is returned.
///
/// # Errors
/// If it exists without `--force`, cannot be written, or is another process's.
pub fn claim_output(output: &Output) -> Result<Claim> {
    let claim = claim(&output.path)?;
    refuse_existing(output)?;
    Ok(claim)
}

/// Claims an output of demonstrations, as [`claim_output`]: a file, or a folder of LeRobot.
///
/// # Errors
/// As [`claim_output`].
pub fn claim_demonstrations(output: &Output, target: Target) -> Result<Claim> {
    if target != Target::LeRobot {
        return claim_output(output);
    }
    check_folder(&output.path)?;
    outputs::note(&output.path);
    let claim = Claim::folder(&output.path)?;
    refuse_existing(output)?;
    Ok(claim)
}

/// Refuses an output that exists, without `--force`.
fn refuse_existing(output: &Output) -> Result<()> {
    match output.path.exists() && !output.force {
        true => Err(Error::new(Kind::File, "the output exists already")
            .at(output.path.display().to_string())
            .next("--force overwrites it")),
        false => Ok(()),
    }
}

/// Claims the file of a plot, as [`claim_output`].
///
/// # Errors
/// As [`claim_output`], and if the name does not end in .svg or .png.
pub fn claim_plot(path: &Path, force: bool) -> Result<Claim> {
    if path.extension().is_none_or(|e| e != "svg" && e != "png") {
        return Err(Error::new(Kind::Settings, "plots are written as SVG or PNG")
            .at(format!("--plot {}", path.display()))
            .expected("a name that ends in .svg or .png"));
    }
    claim_output(&Output { path: path.to_path_buf(), force })
}

/// Claims an output that may exist, as [`claim_output`].
///
/// # Errors
/// If it cannot be written, or is another process's.
pub fn claim(path: &Path) -> Result<Claim> {
    check_folder(path)?;
    outputs::note(path);
    Claim::new(path)
}

/// Claims a file to change it; waits for another process that does.
///
/// # Errors
/// If it cannot be written.
pub fn claim_in_turn(path: &Path) -> Result<Claim> {
    check_folder(path)?;
    outputs::note(path);
    Claim::wait(path, &|| say(format!("waiting for another process that writes {}", path.display())))
}

/// Checks that the folder of a path exists.
fn check_folder(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if folder.is_dir() {
        return Ok(());
    }
    Err(Error::new(Kind::File, "the output's folder does not exist")
        .at(folder.display().to_string())
        .next(format!("mkdir -p {}", folder.display())))
}
