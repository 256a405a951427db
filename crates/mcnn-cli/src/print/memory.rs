//! Changes of memories, and what memories do, as text.

use std::fmt::Write as _;

use crate::commands::memory::{Edited, Listed};

pub fn edited(e: &Edited) -> String {
    let mut out = String::new();
    let from = e.version.from.map_or(String::new(), |from| format!(", from {from}"));
    line!(out, "{}: version {}{from}: {}", e.file, e.version.version, e.version.what);
    line!(
        out,
        "  memories   {} ({} added, {} taken out); fingerprint {:.12}",
        e.version.memories,
        e.added,
        e.dropped,
        e.version.fingerprint
    );
    let calibration = match e.calibration {
        "kept" => "as it was",
        "renewed" => "made anew without what was taken out",
        "lost" => "gone, for what was taken out made states nearer; --in DATA makes it anew",
        _ => "none",
    };
    line!(out, "  calibration      {calibration}");
    line!(out, "  back       mcnn memory move {}", e.file);
    out
}

pub fn listed(l: &Listed) -> String {
    let mut out = String::new();
    line!(out, "{} ({:.12}): {} memories", l.file, l.fingerprint, l.memories);
    for v in &l.versions {
        let here = if l.present == Some(v.version) { "*" } else { " " };
        let from = v.from.map_or(String::new(), |from| format!(" (from {from})"));
        line!(out, "  {here} version {:<4} {} memories, {}{from}", v.version, v.memories, v.what);
    }
    if let (Some(states), Some(never)) = (l.states, l.never) {
        line!(
            out,
            "  acting     over {states} states, {} memories acted and {never} never did; most of all:",
            l.memories - never
        );
        for a in &l.most {
            let share = 100.0 * a.acted as f64 / states as f64;
            line!(
                out,
                "    {:>6} (episode:step {:>8}) {:>7} times, {share:.1} %",
                a.memory,
                a.source,
                a.acted
            );
        }
    }
    line!(
        out,
        "  disagree   {} memories, whose actions differ from those around them by {} deviations more than is usual",
        l.disagreeing,
        l.disagrees
    );
    for d in &l.disagree {
        let x = &d.disagreement;
        line!(
            out,
            "    {:>6} (episode:step {:>8}) by {:.3}: {:.1} deviations",
            x.memory,
            d.source,
            x.difference,
            x.score
        );
    }
    out
}
