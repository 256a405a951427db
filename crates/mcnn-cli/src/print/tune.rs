//! `mcnn tune` as text.

use std::fmt::Write as _;

use mcnn::{
    envelope::Form,
    eval::{Comparison, stats::Estimate},
    policy::Combine,
};

use super::{interval, rough};
use crate::tune::{
    candidates::Settings,
    report::{Decision, RoundReport, TuneReport},
};

pub fn tune(t: &TuneReport) -> String {
    let mut out = String::new();
    let place = match (&t.task, &t.results) {
        (Some(task), _) => format!("{task}: "),
        (None, Some(file)) => format!("{file}: "),
        (None, None) => String::new(),
    };
    let before = if t.already_done > 0 { format!(", {} from before", t.already_done) } else { String::new() };
    let used = match t.results {
        Some(_) => format!(", {} of at most {} episodes{before}", t.used, t.budget),
        None => String::new(),
    };
    line!(out, "{place}{} candidates{used}", t.candidates.len());
    for c in &t.candidates {
        let own = if c.candidate == 0 { "  (the file's settings)" } else { "" };
        line!(out, "  {:>3}  {}{own}", c.candidate, settings(&c.settings, c.weight));
    }
    for (i, round) in t.rounds.iter().enumerate() {
        self::round(&mut out, i, round);
    }
    winner(&mut out, t);
    decision(&mut out, t);
    if let (None, Some(file)) = (&t.task, &t.results)
        && !t.next.is_empty()
    {
        line!(out, "next: {} episodes. Add these lines to {file}, with the outcomes:", t.next.len());
        for request in &t.next {
            line!(out, "{},{},", request.candidate, request.episode);
        }
    }
    if t.interrupted {
        line!(out, "interrupted: {} episodes of this stage are left; the same command goes on", t.next.len());
    }
    if let Some(first) = &t.first_failure {
        line!(out, "FAILED  {} episodes, in no mean; the first: {first}", t.failed);
    }
    for file in &t.written {
        line!(out, "wrote {file}");
    }
    if let (Some(file), Some(chosen)) = (&t.file, t.chosen) {
        let which = if chosen == 0 { "the file's settings".into() } else { format!("candidate {chosen}") };
        line!(out, "wrote {file}: {which}");
    }
    out
}

fn settings(s: &Settings, weight: Option<f32>) -> String {
    let form = match s.envelope {
        Form::Mix => "mix",
        Form::Project => "project",
    };
    let mut text = format!("lambda {:<9}", s.lambda.to_string());
    if s.members == 0 {
        text = String::new();
    } else if let Some(weight) = weight {
        let _ = write!(text, "  weight {weight:.2} at the median distance  {form:<7}  L {}", s.amplitude);
    } else {
        let _ = write!(text, "  {form:<7}  L {}", s.amplitude);
    }
    if let Some(k) = s.k {
        let _ = write!(text, "  k {k}");
    }
    if let Some(combine) = s.combine {
        let rule = match combine {
            Combine::Mean => "mean",
            Combine::Member => "member",
        };
        let _ = write!(text, "  {} members ({rule})", s.members);
    }
    text.trim().into()
}

fn round(out: &mut String, i: usize, round: &RoundReport) {
    line!(out, "round {}: the same {} episodes of each", i + 1, round.episodes);
    for c in &round.ranking {
        let score = c
            .score
            .map_or(String::new(), |s| format!("  score {:.1} ({})", s.mean, interval(s.low, s.high, 1)));
        let out_now = if c.survives { "" } else { "  out" };
        line!(out, "  {:>3}  return {}{score}{out_now}", c.candidate, mean(&c.ret));
    }
}

fn winner(out: &mut String, t: &TuneReport) {
    match t.winner {
        None => return,
        Some(0) => line!(out, "winner: the file's settings"),
        Some(winner) => line!(out, "winner: candidate {winner}"),
    }
    if let Some(c) = &t.against_file {
        line!(out, "  minus the file's settings  return {}", difference(c));
    }
    if let Some(c) = &t.against_runner_up {
        line!(out, "  minus {:<20}  return {}", c.b, difference(c));
    }
    if t.against_file.is_some() || t.against_runner_up.is_some() {
        line!(out, "  These differences are optimistic: the same episodes selected the winner.");
    }
    if let Some(check) = &t.check {
        line!(out, "on {} fresh episodes (from number {}), free of that bias:", check.episodes, check.first);
        line!(out, "  winner                     return {}", mean(&check.winner));
        line!(out, "  the file's settings        return {}", mean(&check.file));
        line!(out, "  difference                 return {}", difference(&check.difference));
    }
}

fn decision(out: &mut String, t: &TuneReport) {
    let Some(decision) = t.decision else { return };
    let taken = t.chosen != Some(0);
    let more = match (t.episodes_needed, t.budget_needed) {
        (Some(episodes), Some(budget)) => {
            format!("; {episodes} fresh episodes of each could tell, with --budget {budget}")
        }
        _ => String::new(),
    };
    let chosen =
        if taken { "taken all the same (--accept-uncertain)" } else { "the file's settings are kept" };
    match decision {
        Decision::Better => line!(out, "better: the interval of the difference on fresh episodes is above 0"),
        Decision::Own => line!(out, "no candidate had a larger mean than the file's settings: they are kept"),
        Decision::Uncertain => {
            line!(
                out,
                "uncertain: the interval of the difference on fresh episodes is not above 0{more}; {chosen}"
            );
        }
        Decision::Unchecked => {
            line!(out, "unchecked: the budget leaves no fresh episodes for the winner{more}; {chosen}");
        }
    }
}

fn mean(e: &Estimate) -> String {
    format!("{:.2} ({}{})", e.mean, interval(e.low, e.high, 2), rough(e.rough))
}

fn difference(c: &Comparison) -> String {
    let e = &c.ret;
    if e.low.is_nan() {
        return format!("{:+.2} (no interval)", e.mean);
    }
    let interval = format!("{:+.2} to {:+.2}", e.low, e.high);
    format!("{:+.2} ({interval}{}), p {:.4}, {} pairs", e.mean, rough(e.rough), c.p, e.n)
}
