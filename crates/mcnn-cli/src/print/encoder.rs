//! What an encoder's training came to, as text.

use std::fmt::Write as _;

use mcnn::vision::By;

use super::list;
use crate::commands::encoder::Encoded;

pub fn encoded(e: &Encoded) -> String {
    let mut out = String::new();
    if e.interrupted {
        line!(out, "{}: interrupted after {} steps; the same command goes on from there", e.file, e.steps);
        return out;
    }
    let resumed =
        if e.resumed_from > 0 { format!(", resumed from {}", e.resumed_from) } else { String::new() };
    line!(
        out,
        "{}: {}, {} steps of {} frames in {:.1} s ({:.1}/s), seed {}{resumed}",
        e.file,
        e.network,
        e.steps,
        e.batch,
        e.seconds,
        e.steps_per_second,
        e.seed
    );
    line!(out, "  source       {}", e.source.join("; "));
    line!(out, "  preset       {}", e.preset);
    let held = e.held_out.map_or(0, |held| held.frames);
    line!(out, "  frames       {} trained on, {held} held out, of {} episodes", e.frames, e.episodes);
    let what = match e.by {
        By::Action => "the action",
        By::Reconstruction => "the frame at a quarter of its sides",
    };
    let loss = e.loss.map_or(String::new(), |loss| format!("{loss:.6} in training"));
    line!(out, "  foretells    {what}; mean squared error {loss}");
    if let Some(held) = e.held_out {
        let share = 100.0 * held.loss / held.guess;
        line!(
            out,
            "  held out     {:.6}: {share:.1} % of what the mean of all would have ({:.6})",
            held.loss,
            held.guess
        );
    }
    if !e.constant_dimensions.is_empty() {
        line!(out, "  constant     dimensions {}", list(&e.constant_dimensions));
    }
    if let Some(print) = &e.fingerprint {
        line!(out, "  fingerprint  {print}");
    }
    out
}
