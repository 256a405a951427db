//! Progress on stderr: on a terminal, a bar with speed and remaining time; otherwise a line every tenth of the work.

use std::{io::IsTerminal as _, time::Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::say::say;

/// The progress of countable work.
pub struct Progress {
    bar: Option<ProgressBar>,
    what: String,
    first: u64,
    total: u64,
    reported: u64,
    start: Instant,
}

impl Progress {
    /// Starts at `first` of `total` units of the work named `what`.
    pub fn new(what: &str, first: u64, total: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = "{msg:24} {wide_bar} {pos}/{len}  {per_sec}  {eta} remaining";
            let style = ProgressStyle::with_template(style).expect("the template has known keys only");
            let bar = ProgressBar::new(total).with_style(style).with_message(what.to_string());
            bar.set_position(first);
            bar.reset_eta();
            bar
        });
        Self { bar, what: what.into(), first, total, reported: first, start: Instant::now() }
    }

    /// Reports that `done` units are done, with a short note.
    pub fn at(&mut self, done: u64, note: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{}, {note}", self.what));
            bar.set_position(done);
        } else if done >= self.reported + self.total.div_ceil(10)
            || (done == self.total && self.reported < done)
        {
            self.reported = done;
            let speed = (done - self.first) as f64 / self.start.elapsed().as_secs_f64().max(1e-9);
            let left = (self.total - done) as f64 / speed.max(1e-9);
            say(format!("{} {done}/{}: {note}, {speed:.0}/s, {left:.0} s remaining", self.what, self.total));
        }
    }

    /// Clears the bar.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}
