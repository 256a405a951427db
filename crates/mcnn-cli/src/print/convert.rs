//! The results of `mcnn convert` as text.

use std::fmt::Write as _;

use crate::commands::convert::ConvertReport;

pub fn convert(c: &ConvertReport) -> String {
    let mut out = String::new();
    line!(
        out,
        "{}: {}, {} episodes, {} steps, {} dimensions of a state, {} of an action",
        c.file,
        c.format,
        c.episodes,
        c.steps,
        c.n_obs,
        c.n_act
    );
    if c.idle.steps > 0 {
        line!(out, "  pauses    {} steps of {} episodes dropped", c.idle.steps, c.idle.episodes);
    }
    if c.downsample > 1 {
        line!(out, "  steps     one of {} kept, of {}", c.downsample, c.steps_read - c.idle.steps);
    }
    if let Some(fps) = c.fps {
        line!(out, "  rate      {fps} steps/s");
    }
    for (k, i) in c.relative_to.iter().enumerate() {
        if let Some(i) = i {
            line!(out, "  relative  action {k} less state {i}");
        }
    }
    for note in &c.notes {
        line!(out, "  note      {note}");
    }
    out
}
