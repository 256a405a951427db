//! `mcnn report` as text.

use std::fmt::Write as _;

use crate::commands::report::PageReport;

pub fn report(r: &PageReport) -> String {
    let mut out = String::new();
    line!(out, "wrote {} ({:.1} MB)", r.file, r.bytes as f64 / 1e6);
    line!(out, "  memories   {} ({} drawn)", r.memories, r.memories_drawn);
    line!(out, "  states     {} of the data, {} visited in closed loop", r.states, r.visited_states);
    for e in &r.episodes {
        let what = if e.visited { "rollout" } else { "data" };
        line!(out, "  episode    {what} {}: {} of {} steps", e.number, e.steps, e.length);
    }
    line!(out, "  training   {} points of the loss curve", r.loss_points);
    for plot in &r.plots {
        line!(out, "  plot       {plot}");
    }
    for note in &r.notes {
        line!(out, "  note       {note}");
    }
    out
}
