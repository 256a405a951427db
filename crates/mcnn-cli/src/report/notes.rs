//! What a page cannot show, and what it leaves out, in words.

use mcnn::{data::Demonstrations, policy::Policy};

use super::{map::Map, steps::Episode};

/// What the page cannot show of this policy, and what it leaves out.
pub fn tell(
    policy: &Policy,
    data: &Demonstrations,
    map: &Map,
    episodes: &[Episode],
    notes: &mut Vec<String>,
) {
    let (codebook, lambda) = (policy.codebook(), policy.envelope().lambda);
    if policy.calibration().is_none() {
        notes.push("The policy has no calibration of its distances: no shares of nearer states.".into());
    }
    if lambda == 0.0 {
        notes.push("lambda is 0: the memory decides alone, every box is a point, and the network's proposals count nothing.".into());
    } else if policy.backbone().is_none() {
        notes.push("The policy has no network: there are no proposals.".into());
    }
    if lambda == f32::INFINITY {
        notes.push("lambda is infinite: the memories count nothing, and every box is [-L, L].".into());
    }
    if codebook.check_data(data).is_err() {
        notes.push("The data are not those the memories were learned from.".into());
    }
    if map.memories.len() < codebook.len() || map.edges.len() < map.of_edges {
        notes.push(format!(
            "The map draws {} of {} memories and {} of {} edges.",
            map.memories.len(),
            codebook.len(),
            map.edges.len(),
            map.of_edges
        ));
    }
    let cut = episodes.iter().filter(|e| e.steps.len() < e.length).count();
    if cut > 0 {
        notes.push(format!(
            "Of {cut} of the {} episodes shown, only the first steps are here, to keep the page small.",
            episodes.len()
        ));
    }
    let many = |n: usize, what: &str| (n > 0).then(|| format!("{n} {what}"));
    let shown = |visited| episodes.iter().filter(|e| e.visited == visited).count();
    if shown(false) < data.n_episodes() {
        let run = many(shown(true), "run in closed loop").map_or(String::new(), |t| format!(", and {t}"));
        notes.push(format!(
            "Step by step there are {} of the data's {} episodes{run}; --show names others.",
            shown(false),
            data.n_episodes()
        ));
    }
    if policy.is_stochastic() {
        notes.push("This policy draws its actions: explanations show the first draw of seed 0, and the action taken in closed loop is another.".into());
    }
}
