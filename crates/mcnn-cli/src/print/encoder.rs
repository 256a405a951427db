//! `mcnn encoder` as text.

use std::fmt::Write as _;

use mcnn::vision::Objective;

use super::list;
use crate::commands::encoder::EncoderReport;

pub fn encoder(e: &EncoderReport) -> String {
    let mut out = String::new();
    if e.interrupted {
        line!(out, "{}: interrupted after {} steps; the same command resumes", e.file, e.steps);
        return out;
    }
    let resumed =
        if e.resumed_from > 0 { format!(", resumed from {}", e.resumed_from) } else { String::new() };
    line!(
        out,
        "{}: {}, {} steps of {} frames in {:.1} s ({:.1} steps/s), seed {}{resumed}",
        e.file,
        e.network,
        e.steps,
        e.batch,
        e.seconds,
        e.steps_per_second,
        e.seed
    );
    line!(out, "  source           {}", e.source.join("; "));
    line!(out, "  preset           {}", e.preset);
    let validation = e.validation.map_or(0, |v| v.frames);
    line!(
        out,
        "  frames           {} training, {validation} validation, of {} episodes",
        e.frames,
        e.episodes
    );
    let objective = match e.objective {
        Objective::Action => "predict the action",
        Objective::Reconstruction => "predict the frame, at a quarter of its height and width",
    };
    line!(out, "  objective        {objective}");
    if let Some(loss) = e.loss {
        line!(out, "  training loss    {loss:.6} (mean squared error)");
    }
    if let Some(v) = e.validation {
        let percent = 100.0 * v.loss / v.baseline_loss;
        line!(
            out,
            "  validation loss  {:.6}: {percent:.1} % of that of a constant prediction ({:.6})",
            v.loss,
            v.baseline_loss
        );
    }
    if !e.constant_dimensions.is_empty() {
        line!(out, "  constant         embedding dimensions {}", list(&e.constant_dimensions));
    }
    if let Some(print) = &e.fingerprint {
        line!(out, "  fingerprint      {print}");
    }
    out
}
