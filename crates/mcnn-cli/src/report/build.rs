//! Computes what the page of a policy shows.

use mcnn::{
    Result,
    calibration::OodQuantile,
    data::{Demonstrations, DimensionNames},
    eval::Collected,
    memory::Codebook,
    policy::Policy,
    train::{Lambda, TrainSettings},
};
use serde::Deserialize as _;

use super::{
    About, Page,
    coverage::coverage,
    map,
    notes::add_notes,
    pca::Plane,
    steps::{self, BUDGET, Episode, Origin},
};
use crate::run_folder::Logged;

/// What the page is about.
pub struct Source<'a> {
    pub policy: &'a Policy,
    /// Demonstrations in the units of the policy's actions.
    pub data: &'a Demonstrations,
    /// States visited in closed loop as demonstrations, and the rollouts.
    pub visited: Option<&'a (Demonstrations, Collected)>,
    /// Positions of the episodes to show, in the data and among the rollouts.
    pub shown: [Vec<usize>; 2],
}

/// How the page names its contents.
pub struct Labels {
    pub file: String,
    pub fingerprint: String,
    pub data: String,
    pub names: DimensionNames,
    pub task: Option<String>,
}

/// Default number of episodes shown.
pub const SHOWN: usize = 4;

/// Makes the page. `notes`: sentences that come before its own on what it leaves out.
///
/// # Errors
/// As [`Policy::explain`].
pub fn page(
    source: &Source<'_>,
    labels: Labels,
    losses: Vec<Logged>,
    mut notes: Vec<String>,
) -> Result<Page> {
    let Source { policy, data, visited, shown: wanted } = source;
    let codebook = policy.codebook();
    let plane = map::plane(codebook);
    let own = codebook.check_data(data).is_ok();
    let episodes = show(policy, &plane, (data, own), *visited, wanted)?;
    let mut shown: Vec<usize> = episodes.iter().flat_map(|e| &e.steps).map(|s| s.why.memory.memory).collect();
    shown.sort_unstable();
    shown.dedup();
    let visits = visited.map(|(visited, _)| uses(codebook, visited));
    let map = map::map(codebook, &plane, &uses(codebook, data), visits.as_deref(), &shown);
    add_notes(policy, data, &map, &episodes, &mut notes);

    let mut sets = vec![("demonstrated states", codebook.distances(data))];
    if own {
        let others = codebook.retrieve_leave_one_episode_out(data);
        let steps = (0..data.n_episodes()).flat_map(|k| data.interior(k));
        let others = steps.filter_map(|i| Some(others[i]?.distance)).collect();
        sets.push(("the same, to memories of other episodes", others));
    }
    if let Some((visited, _)) = visited {
        sets.push(("states visited in closed loop", codebook.distances(visited)));
    }
    Ok(Page { about: about(policy, labels)?, map, coverage: coverage(sets), episodes, losses, notes })
}

/// The episodes, each within an equal share of the bytes that remain.
fn show(
    policy: &Policy,
    plane: &Plane,
    (data, own): (&Demonstrations, bool),
    visited: Option<&(Demonstrations, Collected)>,
    [of_data, run]: &[Vec<usize>; 2],
) -> Result<Vec<Episode>> {
    let mut episodes = Vec::new();
    let (mut left, mut bytes) = (of_data.len() + run.len(), BUDGET);
    let mut add = |mut episode: Episode, states: &Demonstrations, k: usize, origin: Origin| {
        episode.length = states.episode(k).len();
        let used = steps::fill(&mut episode, policy, plane, states, k, origin, bytes / left)?;
        (left, bytes) = (left - 1, bytes.saturating_sub(used));
        episodes.push(episode);
        Ok(())
    };
    for &k in of_data {
        add(blank(false, data.number(k)), data, k, if own { Origin::OwnData } else { Origin::OtherData })?;
    }
    for (&k, (states, all)) in run.iter().flat_map(|k| Some((k, visited?))) {
        let ran = &all.episodes[k];
        let (seed, ret, success) = (Some(ran.seed), Some(ran.ret), ran.success);
        let origin = Origin::Run(ran.trace.as_ref().map_or(&[], |t| &t.decisions));
        add(Episode { seed, ret, success, ..blank(true, k as u32) }, states, k, origin)?;
    }
    Ok(episodes)
}

fn blank(visited: bool, number: u32) -> Episode {
    let (steps, path) = (Vec::new(), Vec::new());
    Episode { visited, number, seed: None, ret: None, success: None, length: 0, steps, path }
}

/// For how many states each memory is retrieved.
pub fn uses(codebook: &Codebook, data: &Demonstrations) -> Vec<u32> {
    let mut uses = vec![0; codebook.len()];
    codebook.map_states(data, |_, s| codebook.retrieve(s).memory).into_iter().for_each(|m| uses[m] += 1);
    uses
}

fn about(policy: &Policy, labels: Labels) -> Result<About> {
    let (codebook, envelope) = (policy.codebook(), policy.envelope());
    let far = policy.calibration().map(|g| g.threshold(OodQuantile::States(0.99))).transpose()?;
    Ok(About {
        file: labels.file,
        fingerprint: labels.fingerprint,
        data: labels.data,
        name: policy.name(),
        lambda: Lambda::Value(envelope.lambda),
        half_distance: Some(envelope.half_distance()).filter(|d| d.is_finite()),
        amplitude: envelope.amplitude,
        memories: codebook.len(),
        by: codebook.parts().selection.clone(),
        n_obs: codebook.n_obs(),
        n_act: codebook.n_act(),
        names: labels.names,
        smooth_neighbors: codebook.parts().smooth_neighbors,
        neighbors: policy.neighbors(),
        steps: policy.training_record().steps,
        objective: TrainSettings::deserialize(&policy.training_record().settings)
            .ok()
            .map(|settings| settings.objective()),
        edits: policy.training_record().edits.clone(),
        task: labels.task,
        far: far.map(|t| t.distance),
    })
}
