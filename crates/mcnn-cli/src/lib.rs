//! The command line of mcnn, for the binary `mcnn` and the Python package, which contains it. [`embedded`] has what the package calls
//! without a command line.

#![warn(clippy::print_stdout, clippy::print_stderr)] // they panic where nothing can be written: see `say`

mod actor;
mod args;
mod beside;
mod commands;
mod device;
pub mod embedded;
mod guard;
mod interrupt;
mod json_lines;
mod outputs;
mod page;
mod plot;
mod print;
mod progress;
mod reference;
mod report;
mod run_folder;
mod say;
mod smoothed_loss;
mod sweep;
mod task_encoder;
mod tasks;
mod tensorboard;
mod tune;
mod versions;
mod video;

use std::ffi::OsString;

use args::Verb;
use commands::Done;
use mcnn::{Error, error::Kind};
use say::say;

/// Runs the program with its arguments; the first is its name. Returns its exit code: 0 done, 1 a check failed, 2 failed, 130
/// interrupted, with partial results saved. Results go to stdout, everything else to stderr.
///
/// It takes over the process: it handles SIGINT, SIGTERM and SIGHUP, and ends the process when it is interrupted.
pub fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    let cli = match args::parse(args) {
        Ok(cli) => cli,
        Err(e) => {
            // A closed pipe is not an error.
            let _ = e.print();
            return if e.use_stderr() { 2 } else { 0 };
        }
    };
    let Some(verb) = cli.verb else {
        return write_stdout(&print::tour());
    };
    let run = |verb| -> mcnn::Result<Done> {
        match verb {
            Verb::Demo(args) => commands::demo::run(&args),
            Verb::Inspect(args) => commands::inspect::run(&args),
            Verb::Convert(args) => commands::convert::run(&args),
            Verb::Make(args) => commands::make::run(&args),
            Verb::Embed(args) => commands::embed::run(&args),
            Verb::Encoder(args) => commands::encoder::run(&args),
            Verb::Learn(args) => commands::learn::run(&args),
            Verb::Train(args) => commands::train::run(&args),
            Verb::Collect(args) => commands::collect::run(&args),
            Verb::Replay(args) => commands::replay::run(&args),
            Verb::Eval(args) => commands::eval::run(&args),
            Verb::Compare(args) => commands::compare::run(&args),
            Verb::Test(args) => commands::test::run(&args),
            Verb::Tune(args) => commands::tune::run(&args),
            Verb::Explain(args) => commands::explain::run(&args),
            Verb::Report(args) => commands::report::run(&args),
            Verb::Certify(args) => commands::certify::run(&args),
            Verb::Export(args) => commands::export::run(&args),
            Verb::Suggest(args) => commands::suggest::run(&args),
            Verb::Memory(args) => commands::memory::run(&args),
            #[cfg(feature = "serve")]
            Verb::Serve(args) => commands::serve::run(*args),
            Verb::Sweep(args) => commands::sweep::run(&args),
            Verb::Results(args) => commands::results::run(&args),
            Verb::Table(args) => commands::table::run(&args),
            Verb::Reference => {
                let text = reference::markdown();
                Ok(Done::new(&text, text.clone()))
            }
        }
    };
    match interrupt::handle().and_then(|()| run(verb)) {
        Ok(done) => {
            let written = write_stdout(&if cli.json { done.json + "\n" } else { done.text });
            if done.exit_code == 0 { written } else { done.exit_code }
        }
        Err(error) => {
            say(format!("error: {error}"));
            2
        }
    }
}

/// Writes to stdout, and returns the exit code. A closed pipe (`mcnn inspect x | head`) is not a failure; a full disk is.
fn write_stdout(text: &str) -> u8 {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            let written = outputs::written();
            let error = Error::new(Kind::File, "the results cannot be printed")
                .at("standard output")
                .found(e.to_string());
            say(format!(
                "error: {}",
                match written.as_slice() {
                    [] => error.next("run the command again"),
                    files => error.next(format!(
                        "the work is done and need not be repeated; written: {}",
                        files.join(", ")
                    )),
                }
            ));
            2
        }
        _ => 0,
    }
}
