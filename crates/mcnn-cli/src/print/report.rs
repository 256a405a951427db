//! What `mcnn report` wrote, as text.

use std::fmt::Write as _;

use crate::commands::report::Reported;

pub fn reported(r: &Reported) -> String {
    let mut out = String::new();
    line!(out, "wrote {} ({:.1} MB)", r.file, r.bytes as f64 / 1e6);
    line!(out, "  memories   {} ({} drawn)", r.memories, r.memories_drawn);
    line!(out, "  states     {} of the data, {} visited", r.states, r.visited);
    for e in &r.episodes {
        let what = if e.visited { "run" } else { "data" };
        line!(out, "  episode    {what} {}: {} of {} steps", e.number, e.steps, e.length);
    }
    line!(out, "  training   {} points of the loss", r.losses);
    for plot in &r.plots {
        line!(out, "  picture    {plot}");
    }
    for note in &r.notes {
        line!(out, "  note       {note}");
    }
    out
}
