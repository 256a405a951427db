//! Interruption: Ctrl-C (SIGINT), and SIGTERM and SIGHUP, by which schedulers, service managers and closed terminals end a program.
//! All three have the same effect.

use std::sync::atomic::{AtomicBool, Ordering};

use mcnn::{Error, Result, atomic, error::Kind};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static IS_SAVED: AtomicBool = AtomicBool::new(false);

/// The exit code of an interrupted program.
pub const EXIT_CODE: u8 = 130;

/// Handles interruptions from now on. The program ends at once, without temporary files left behind, unless the verb saves its work
/// ([`flag`]). A SIGHUP that was ignored when the program started (`nohup`) stays ignored.
///
/// # Errors
/// If signals cannot be caught.
pub fn handle() -> Result<()> {
    let error = |found: String| Error::new(Kind::Settings, "Ctrl-C cannot be caught").found(found);
    #[cfg(target_os = "linux")]
    if is_hangup_ignored() {
        // Signals that are blocked here are blocked in all threads, which start later.
        use nix::sys::signal::{SigSet, Signal};
        SigSet::from(Signal::SIGHUP).thread_block().map_err(|e| error(e.to_string()))?;
    }
    let handler = || {
        if IS_SAVED.load(Ordering::Relaxed) && !INTERRUPTED.swap(true, Ordering::Relaxed) {
            return;
        }
        atomic::exit(EXIT_CODE.into());
    };
    ctrlc::set_handler(handler).map_err(|e| error(e.to_string()))
}

/// Declares that the verb saves its work when it is interrupted. Returns the flag that the first interruption sets; the second ends
/// the program at once.
pub fn flag() -> &'static AtomicBool {
    IS_SAVED.store(true, Ordering::Relaxed);
    &INTERRUPTED
}

/// Whether this process started with SIGHUP ignored.
#[cfg(target_os = "linux")]
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 << (nix::libc::SIGHUP - 1) != 0)
}
