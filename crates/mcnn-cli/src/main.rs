//! The binary `mcnn`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(mcnn_cli::run(std::env::args_os()))
}
