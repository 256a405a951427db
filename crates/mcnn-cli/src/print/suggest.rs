//! `mcnn suggest` as text.

use std::fmt::Write as _;

use crate::commands::suggest::{SuggestReport, SuggestionReport};

pub fn suggest(s: &SuggestReport) -> String {
    let (found, mut out) = (&s.found, String::new());
    let states = s.data.as_deref().unwrap_or("visited states");
    line!(
        out,
        "{states}: {} states in {} episodes; {} memories of {} ({:.12})",
        found.states,
        found.episodes,
        found.memories,
        s.file,
        s.fingerprint
    );
    line!(
        out,
        "  distances  median {:.4}, 95 % {:.4}, d_I {:.4}",
        found.coverage.median,
        found.coverage.p95,
        found.coverage.max
    );
    if found.is_training_data {
        line!(
            out,
            "  (the memories were chosen from these states: a pool of other demonstrations is more informative)"
        );
    }
    let (what, effect) = match found.unit {
        "episode" => {
            ("Episodes to add as memories, in this order", "once all states of the episode are memories")
        }
        _ => ("States from which to start a demonstration", "over the episodes not yet suggested"),
    };
    if found.suggestions.is_empty() {
        line!(out, "  No suggestion: all of these states are memories.");
        return out;
    }
    line!(out, "  {what}. d_I, the largest distance, falls as shown {effect}:");
    for (i, one) in found.suggestions.iter().enumerate() {
        suggestion(&mut out, i + 1, one, found.unit);
    }
    out
}

fn suggestion(out: &mut String, number: usize, s: &SuggestionReport, unit: &str) {
    let place = |at: &str| match s.seed {
        Some(seed) => format!("seed {seed}, step {}", at.split(':').next_back().unwrap_or(at)),
        None => at.to_owned(),
    };
    let what = match unit {
        "episode" => format!("episode {}", s.at.split(':').next().unwrap_or(&s.at)),
        _ => format!("start at {}", place(&s.start)),
    };
    line!(out, "  {number:>3}. {what}: d_I {:.4} -> {:.4}", s.d_i_before, s.d_i_after);
    line!(
        out,
        "       farthest at {}, {:.4} from memory {} ({})",
        place(&s.at),
        s.memory.distance,
        s.memory.memory,
        s.memory.source
    );
    let differences: Vec<String> = s
        .largest_differences
        .iter()
        .map(|d| {
            let share = (100.0 * d.share).round();
            format!("dimension {}: {}, memory {} ({share} %)", d.dimension, d.state, d.memory)
        })
        .collect();
    line!(out, "       {}", differences.join(", "));
}
