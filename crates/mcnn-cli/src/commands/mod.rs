//! The verbs. Each takes checked arguments and returns a report; none prints a result.

pub mod certify;
pub mod collect;
pub mod compare;
pub mod demo;
mod demo_frames;
pub mod embed;
pub mod encoder;
pub mod eval;
pub mod explain;
pub mod inspect;
pub mod learn;
pub mod make;
pub mod memory;
pub mod replay;
pub mod report;
pub mod suggest;
pub mod sweep;
pub mod table;
pub mod train;
pub mod tune;
mod visited;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use mcnn::{
    Error, Result,
    data::{ActionRange, Demonstrations, DimensionNames, ReadOptions},
    error::Kind,
};

use crate::args::{InputOptions, NamesArgs, Output};

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

/// Reads demonstrations.
pub fn read(path: &Path, options: InputOptions) -> Result<Demonstrations> {
    let range = if options.clip_actions { ActionRange::Clip } else { ActionRange::Refuse };
    mcnn::data::read(path, &ReadOptions { range, drop_last: options.d4rl_drop_last })
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

fn no_threads(error: rayon::ThreadPoolBuildError) -> Error {
    Error::new(Kind::Settings, "threads cannot be started").found(error.to_string())
}

/// Installs a Ctrl-C handler: the first Ctrl-C sets the flag, the second ends the program at once.
pub fn interrupted() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let set = flag.clone();
    let handler = move || {
        if set.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    };
    ctrlc::set_handler(handler)
        .map_err(|e| Error::new(Kind::Settings, "Ctrl-C cannot be caught").found(e.to_string()))?;
    Ok(flag)
}

/// Checks, before any work, that the output can be written.
pub fn check_output(output: &Output) -> Result<()> {
    if output.path.is_dir() {
        return Err(Error::io("writing", &output.path, &std::io::ErrorKind::IsADirectory.into()));
    }
    if output.path.exists() && !output.force {
        return Err(Error::new(Kind::File, "the output exists already")
            .at(output.path.display().to_string())
            .next("--force overwrites it"));
    }
    check_folder(&output.path)
}

/// Checks, before any work, that a plot can be written.
pub fn check_plot(path: &Path, force: bool) -> Result<()> {
    if path.extension().is_none_or(|e| e != "svg" && e != "png") {
        return Err(Error::new(Kind::Settings, "plots are written as SVG or PNG")
            .at(format!("--plot {}", path.display()))
            .expected("a name that ends in .svg or .png"));
    }
    check_output(&Output { path: path.to_path_buf(), force })
}

/// Checks that the folder of a path exists.
pub fn check_folder(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if folder.is_dir() {
        return Ok(());
    }
    Err(Error::new(Kind::File, "the output's folder does not exist")
        .at(folder.display().to_string())
        .next(format!("mkdir -p {}", folder.display())))
}
