//! `mcnn memory` as text.

use std::fmt::Write as _;

use crate::commands::memory::{EditReport, ListReport};

pub fn memory_edit(e: &EditReport) -> String {
    let mut out = String::new();
    let from = e.version.from.map_or(String::new(), |from| format!(" (made from version {from})"));
    line!(out, "{}: version {}{from}: {}", e.file, e.version.version, e.version.what);
    line!(
        out,
        "  memories         {} ({} added, {} removed); fingerprint {:.12}",
        e.version.memories,
        e.added,
        e.dropped,
        e.version.fingerprint
    );
    let calibration = match e.calibration {
        "kept" => "unchanged",
        "renewed" => "repeated without the removed memories",
        "lost" => "none: it was not valid for the remaining memories; --data DATA repeats it",
        _ => "none",
    };
    line!(out, "  OOD calibration  {calibration}");
    line!(out, "  undo             mcnn memory restore {}", e.file);
    out
}

pub fn memory_list(l: &ListReport) -> String {
    let mut out = String::new();
    line!(out, "{} ({:.12}): {} memories", l.file, l.fingerprint, l.memories);
    for v in &l.versions {
        let current = if l.current_version == Some(v.version) { "*" } else { " " };
        let from = v.from.map_or(String::new(), |from| format!(" (from {from})"));
        line!(out, "  {current} version {:<4} {} memories, {}{from}", v.version, v.memories, v.what);
    }
    if let (Some(states), Some(never)) = (l.states, l.never_retrieved) {
        line!(
            out,
            "  retrieved  {} memories over {states} states, {never} memories never; most often:",
            l.memories - never
        );
        for m in &l.most_retrieved {
            let share = 100.0 * m.retrievals as f64 / states as f64;
            line!(
                out,
                "    {:>6} (episode:step {:>8}) {:>7} times, {share:.1} %",
                m.memory,
                m.source,
                m.retrievals
            );
        }
    }
    line!(
        out,
        "  outliers   {} memories whose actions differ from those of their neighbors by more than {} standard deviations",
        l.outlier_count,
        l.outlier_threshold
    );
    for o in &l.outliers {
        let d = &o.disagreement;
        line!(
            out,
            "    {:>6} (episode:step {:>8}) by {:.3}: {:.1} standard deviations",
            d.memory,
            o.source,
            d.difference,
            d.score
        );
    }
    out
}
