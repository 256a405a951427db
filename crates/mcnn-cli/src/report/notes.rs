//! Sentences on what a page leaves out or cannot show.

use mcnn::{data::Demonstrations, policy::Policy};

use super::{map::Map, steps::Episode};

/// Adds what the page leaves out of this policy or cannot show.
pub fn add_notes(
    policy: &Policy,
    data: &Demonstrations,
    map: &Map,
    episodes: &[Episode],
    notes: &mut Vec<String>,
) {
    let (codebook, lambda) = (policy.codebook(), policy.envelope().lambda);
    if policy.calibration().is_none() {
        notes.push(
            "The policy has no distance calibration, so the page has no shares of nearer calibration states."
                .into(),
        );
    }
    if lambda == 0.0 {
        notes.push(
            "lambda is 0: the memory alone decides the action, and the network output has no influence."
                .into(),
        );
    } else if policy.backbone().is_none() {
        notes.push("The policy has no network, so there is no network output.".into());
    }
    if lambda == f32::INFINITY {
        notes.push("lambda is infinite: the memories have no influence, and the permissible region is [-L, L] everywhere.".into());
    }
    if codebook.check_data(data).is_err() {
        notes.push("The demonstrations are not those from which the memories were selected.".into());
        let known = codebook.known_episodes(data).map_or(0, |known| known.iter().flatten().count());
        if known > 0 {
            notes.push(format!(
                "{known} of the {} episodes coincide with episodes of the memories: their distances are not those of new episodes.",
                data.n_episodes()
            ));
        }
    }
    if map.memories.len() < codebook.len() || map.edges.len() < map.of_edges {
        notes.push(format!(
            "The map shows {} of {} memories and {} of {} edges.",
            map.memories.len(),
            codebook.len(),
            map.edges.len(),
            map.of_edges
        ));
    }
    let cut = episodes.iter().filter(|e| e.steps.len() < e.length).count();
    if cut > 0 {
        notes.push(format!(
            "Of {cut} of the {} episodes shown, the page has only the first steps, to stay small.",
            episodes.len()
        ));
    }
    let counted = |n: usize, what: &str| (n > 0).then(|| format!("{n} {what}"));
    let shown = |visited| episodes.iter().filter(|e| e.visited == visited).count();
    if shown(false) < data.n_episodes() {
        let run = counted(shown(true), "in closed loop").map_or(String::new(), |text| format!(" and {text}"));
        notes.push(format!(
            "The page has {} of the {} demonstrations{run}; --show-episodes (in Python, `episodes`) selects others.",
            shown(false),
            data.n_episodes()
        ));
    }
    if policy.is_stochastic() {
        notes.push("The actions of this policy are random samples: the explanations show the first sample with seed 0, and the action taken in closed loop is another sample.".into());
    }
}
