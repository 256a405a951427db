//! The binary `mcnn`. Results go to stdout, everything else to stderr. It exits with 0 when done, 1 when the answer
//! is no, 2 when it failed, and 130 when it was interrupted and kept what it had.

mod actor;
mod args;
mod commands;
mod guard;
mod page;
mod plot;
mod print;
mod progress;
mod reference;
mod report;
mod run_folder;
mod smoothed_loss;
mod sweep;
mod task_encoder;
mod tasks;
mod tensorboard;
mod versions;
mod video;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Verb};
use commands::Done;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // A closed pipe is no reason to panic.
            let _ = e.print();
            return ExitCode::from(if e.use_stderr() { 2 } else { 0 });
        }
    };
    let Some(verb) = cli.verb else {
        return say(&print::tour());
    };
    let result: mcnn::Result<Done> = match verb {
        Verb::Demo(args) => commands::demo::run(&args),
        Verb::Inspect(args) => commands::inspect::run(&args),
        Verb::Make(args) => commands::make::run(&args),
        Verb::Embed(args) => commands::embed::run(&args),
        Verb::Encoder(args) => commands::encoder::run(&args),
        Verb::Learn(args) => commands::learn::run(&args),
        Verb::Train(args) => commands::train::run(&args),
        Verb::Collect(args) => commands::collect::run(&args),
        Verb::Replay(args) => commands::replay::run(&args),
        Verb::Eval(args) => commands::eval::run(&args),
        Verb::Compare(args) => commands::compare::run(&args),
        Verb::Explain(args) => commands::explain::run(&args),
        Verb::Report(args) => commands::report::run(&args),
        Verb::Certify(args) => commands::certify::run(&args),
        Verb::Suggest(args) => commands::suggest::run(&args),
        Verb::Memory(args) => commands::memory::run(&args),
        Verb::Sweep(args) => commands::sweep::run(&args),
        Verb::Table(args) => commands::table::run(&args),
        Verb::Reference => return say(&reference::markdown()),
    };
    match result {
        Ok(done) => {
            let said = say(&if cli.json { done.json + "\n" } else { done.text });
            if done.exit_code == 0 { said } else { ExitCode::from(done.exit_code) }
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Writes to stdout. A reader that has gone away (`mcnn inspect x | head`) is not a failure; a full disk is.
fn say(text: &str) -> ExitCode {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            eprintln!("error: writing the result failed: {e}");
            ExitCode::from(2)
        }
        _ => ExitCode::SUCCESS,
    }
}
