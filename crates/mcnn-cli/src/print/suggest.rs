//! Suggestions as text.

use std::fmt::Write as _;

use crate::commands::suggest::{Suggested, Suggests};

pub fn suggested(s: &Suggested) -> String {
    let mut out = String::new();
    let whose = s.data.as_deref().unwrap_or("visited states");
    line!(
        out,
        "{whose}: {} states in {} episodes, from the {} memories of {} ({:.12})",
        s.states,
        s.episodes,
        s.memories,
        s.file,
        s.fingerprint
    );
    line!(
        out,
        "  distances  median {:.4}, 95 % {:.4}, d_I {:.4}",
        s.coverage.median,
        s.coverage.p95,
        s.coverage.max
    );
    if s.own {
        line!(out, "  (the memories were chosen from these very states: a pool of others says more)");
    }
    let (what, left) = match s.known {
        "episode" => ("Episodes to take, in this order", "once all states of an episode are memories"),
        _ => ("States to begin a demonstration in", "of the episodes not yet suggested"),
    };
    if s.suggestions.is_empty() {
        line!(out, "  No suggestion: every one of these states is a memory.");
        return out;
    }
    line!(out, "  {what} (corollary 4.8: d_I is what bounds; here it falls {left}):");
    for (i, one) in s.suggestions.iter().enumerate() {
        suggestion(&mut out, i + 1, one, s.known);
    }
    out
}

fn suggestion(out: &mut String, number: usize, s: &Suggests, known: &str) {
    let place = |at: &str| match s.seed {
        Some(seed) => format!("seed {seed}, step {}", at.split(':').next_back().unwrap_or(at)),
        None => at.to_owned(),
    };
    let what = match known {
        "episode" => format!("episode {}", s.at.split(':').next().unwrap_or(&s.at)),
        _ => format!("begin at {}", place(&s.from)),
    };
    line!(out, "  {number:>3}. {what}: d_I {:.4} -> {:.4}", s.distance, s.d_i);
    line!(
        out,
        "       farthest at {}, {:.4} from memory {} ({})",
        place(&s.at),
        s.memory.distance,
        s.memory.memory,
        s.memory.source
    );
    let differs: Vec<String> = s
        .differs
        .iter()
        .map(|d| {
            let share = (100.0 * d.share).round();
            format!("[{}] {} where the memory has {} ({share} %)", d.dimension, d.state, d.memory)
        })
        .collect();
    line!(out, "       {}", differs.join(", "));
}
