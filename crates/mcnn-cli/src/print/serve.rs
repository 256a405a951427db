//! `mcnn serve` as text.

use std::fmt::Write as _;

use mcnn_serve::{Inputs, Limits, Report, Served};

/// What a server says when it starts.
pub fn serve_start(served: &Served, inputs: &Inputs, limits: &Limits) -> String {
    let mut out = String::new();
    let book = served.policy.codebook();
    line!(out, "{}, {} memories, actions of {}", served.policy.name(), book.len(), book.n_act());
    line!(out, "  observes     {}", inputs.expected().join("; or "));
    let guard = served.guard.map_or("none".to_owned(), |guard| {
        format!("{:?} above distance {:.3}", guard.response, guard.threshold).to_lowercase()
    });
    line!(out, "  guard        {guard}");
    line!(
        out,
        "  limits       {} sessions, messages of {} MiB, {} s of silence",
        limits.connections,
        limits.message_bytes >> 20,
        limits.idle.as_secs()
    );
    out
}

/// What a server did.
pub fn serve(r: &Report) -> String {
    let mut out = String::new();
    line!(out, "{} requests in {} sessions, {:.1} s", r.requests, r.sessions, r.seconds);
    line!(out, "  errors       {}", r.errors);
    line!(out, "  OOD          {}", r.ood);
    line!(out, "  refused      {} clients", r.refused);
    line!(out, "  replaced     {} times; {} changes of the file could not be used", r.swaps, r.failed_swaps);
    out
}
