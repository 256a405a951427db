//! Progress on stderr: a bar with speed and time left on a terminal, a plain line every tenth otherwise.

use std::{io::IsTerminal as _, time::Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// The progress of something counted.
pub struct Progress {
    bar: Option<ProgressBar>,
    what: String,
    first: u64,
    total: u64,
    told: u64,
    start: Instant,
}

impl Progress {
    /// Starts at `first` of `total`.
    pub fn new(what: &str, first: u64, total: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = "{msg:24} {wide_bar} {pos}/{len}  {per_sec}  {eta} left";
            let style = ProgressStyle::with_template(style).expect("a template of known keys");
            let bar = ProgressBar::new(total).with_style(style).with_message(what.to_string());
            bar.set_position(first);
            bar.reset_eta();
            bar
        });
        Self { bar, what: what.into(), first, total, told: first, start: Instant::now() }
    }

    /// Now at `done`; `note` is a few words about it.
    pub fn at(&mut self, done: u64, note: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{}, {note}", self.what));
            bar.set_position(done);
        } else if done >= self.told + self.total.div_ceil(10) || (done == self.total && self.told < done) {
            self.told = done;
            let speed = (done - self.first) as f64 / self.start.elapsed().as_secs_f64().max(1e-9);
            let left = (self.total - done) as f64 / speed.max(1e-9);
            eprintln!("{} {done}/{}: {note}, {speed:.0}/s, {left:.0} s left", self.what, self.total);
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
