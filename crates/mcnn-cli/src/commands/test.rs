//! `mcnn test`: the error of a policy's actions on recorded states, beside those of nearest neighbors and of doing nothing.

use std::collections::HashSet;

use mcnn::{
    Error, Result,
    data::{Demonstrations, DimensionNames},
    envelope::Envelope,
    error::Kind,
    file,
    memory::Codebook,
    policy::{ActingSettings, Policy},
    seed::Seed,
    train::TrainThrough,
};
use rayon::prelude::*;
use serde::Serialize;

use super::{Done, cores, names, on_threads, recordings::read_as_learned};
use crate::{
    args::{TestArgs, trained_through},
    print,
};

/// What acts on the recorded states, in the order of the columns.
pub const METHODS: usize = 6;

/// Mean squared errors of actions scaled to [-1, 1], over steps and action dimensions.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Errors {
    /// Of the policy.
    pub policy: f64,
    /// Of the network without memories; null without one, and after training through the envelope, where it never acts alone.
    pub network: Option<f64>,
    /// Of the nearest of the policy's memories (1-NN).
    pub nearest: f64,
    /// Of the weighted mean over its nearest memories (VINN).
    pub vinn: f64,
    /// Of the mean action of its memories, in every state.
    pub mean_action: f64,
    /// Of staying: the state's values as the action, where dimensions of both have the same name (or both have as many dimensions, or
    /// actions are relative to the state); else null.
    pub state: Option<f64>,
}

impl Errors {
    /// In the order of the columns.
    pub fn all(&self) -> [Option<f64>; METHODS] {
        let Self { policy, network, nearest, vinn, mean_action, state } = *self;
        [Some(policy), network, Some(nearest), Some(vinn), Some(mean_action), state]
    }

    fn of([policy, network, nearest, vinn, mean_action, state]: [f64; METHODS], has: [bool; 2]) -> Self {
        Self {
            policy,
            network: has[0].then_some(network),
            nearest,
            vinn,
            mean_action,
            state: has[1].then_some(state),
        }
    }
}

/// The errors on recorded states.
#[derive(Serialize)]
pub struct TestReport {
    /// Fingerprint of the policy.
    pub policy: String,
    /// The policy's method, as the literature names it, and its main settings.
    pub name: String,
    /// Content hash of the data.
    pub data: String,
    pub file: String,
    pub episodes: usize,
    pub steps: usize,
    /// Which episodes of the data: "all"; "validation" of the data that the memories are of, where the network was not trained on
    /// all of them; "training" of such data if it was.
    pub episodes_are: EpisodesAre,
    /// States that are memories: at distance 0, where an episode's own memories are not left out.
    pub known_states: usize,
    /// Memories that VINN averages.
    pub k: usize,
    pub error: Errors,
    /// Four bins with equal numbers of states, from near to far.
    pub by_distance: Vec<ByDistance>,
    pub by_dimension: Vec<ByDimension>,
    pub by_episode: Vec<ByEpisode>,
    #[serde(skip)]
    pub names: DimensionNames,
}

/// Which episodes of the data were taken.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EpisodesAre {
    All,
    Validation,
    Training,
}

/// The states within a range of distances to the nearest memory.
#[derive(Serialize)]
pub struct ByDistance {
    pub distance: [f32; 2],
    pub states: usize,
    /// Mean memory weight.
    pub weight: f64,
    pub error: Errors,
}

/// An action dimension.
#[derive(Serialize)]
pub struct ByDimension {
    pub dimension: usize,
    pub error: Errors,
}

/// An episode.
#[derive(Serialize)]
pub struct ByEpisode {
    /// Its number in the data.
    pub episode: u32,
    pub steps: usize,
    pub error: Errors,
}

pub fn run(args: &TestArgs) -> Result<Done> {
    let (policy, fingerprint) = file::read_policy(&args.policy)?;
    let through = trained_through(&policy);
    let policy = args.knobs.apply(policy)?;
    let data = read_as_learned(&args.input.data, &args.input.options, policy.codebook())?;
    let codebook = policy.codebook();
    codebook.check_space(&data).map_err(|e| e.within(args.input.data.display()))?;
    let widths = [codebook.n_obs(), codebook.n_act()];
    let names = names(&args.names, widths, &[&codebook.parts().names, data.names()])?;
    if args.vinn_k == 0 {
        return Err(Error::new(Kind::Settings, "a setting out of range")
            .at("--vinn-k")
            .expected("at least 1 memory")
            .found("0"));
    }
    let all_content = data.fingerprint();
    let (data, episodes_are) = taken(&policy, data, &all_content);
    let k = if policy.neighbors() > 1 { policy.neighbors() } else { args.vinn_k };
    let methods = Methods::new(&policy, through, k, &names)?;
    // What the memories are of was demonstrated in episodes of the same numbers: each is tested without its own.
    let leave_out = episodes_are != EpisodesAre::All;
    let rows = on_threads(cores(), || methods.rows(&data, leave_out))??;
    let report = TestReport {
        policy: fingerprint,
        name: policy.name(),
        data: all_content,
        file: args.input.data.display().to_string(),
        episodes: data.n_episodes(),
        steps: data.n_steps(),
        episodes_are,
        known_states: rows.iter().filter(|row| row.distance == 0.0).count(),
        k,
        error: methods.errors(&rows, 0..data.n_act()),
        by_distance: methods.by_distance(&rows, data.n_act()),
        by_dimension: (0..data.n_act())
            .map(|d| ByDimension { dimension: d, error: methods.errors(&rows, d..d + 1) })
            .collect(),
        by_episode: (0..data.n_episodes())
            .map(|k| ByEpisode {
                episode: data.number(k),
                steps: data.episode(k).len(),
                error: methods.errors(&rows[data.episode(k)], 0..data.n_act()),
            })
            .collect(),
        names,
    };
    Ok(Done::new(&report, print::test(&report)))
}

/// The episodes to test on. `content`: the content hash of the data.
fn taken(policy: &Policy, data: Demonstrations, content: &str) -> (Demonstrations, EpisodesAre) {
    if policy.codebook().parts().data != content {
        return (data, EpisodesAre::All);
    }
    let validation: HashSet<u32> = policy.training_record().validation_episodes.iter().copied().collect();
    let own: Vec<usize> = (0..data.n_episodes()).filter(|&k| validation.contains(&data.number(k))).collect();
    match own.is_empty() {
        true => (data, EpisodesAre::Training),
        false => (data.select(&own), EpisodesAre::Validation),
    }
}

/// One state: distance and weight of the nearest memory, and the squared errors of every method by action dimension.
struct Row {
    distance: f32,
    weight: f32,
    squares: [Vec<f32>; METHODS],
}

/// What acts.
struct Methods {
    acting: Vec<(usize, Policy)>, // with their columns; the policy first
    codebook: Codebook,
    mean_action: Vec<f32>,
    alone: bool,                         // whether the network acts alone, too
    staying: Option<Vec<Option<usize>>>, // the dimensions of the state that are the action of staying
}

impl Methods {
    fn new(policy: &Policy, through: TrainThrough, k: usize, names: &DimensionNames) -> Result<Self> {
        let codebook = policy.codebook();
        let envelope = policy.envelope();
        let mut acting = vec![(0, policy.clone())];
        let alone = through == TrainThrough::Free && policy.backbone().is_some();
        if alone {
            let envelope = Envelope { lambda: f32::INFINITY, ..envelope };
            let settings = ActingSettings { envelope, ..policy.acting_settings() };
            acting.push((1, policy.clone().with_acting_settings(settings)?));
        }
        for (column, neighbors) in [(2, 1), (3, k)] {
            acting.push((column, policy.memories_alone(neighbors)?));
        }
        let (mean_action, staying) = (codebook.mean_action(), codebook.action_dimensions_in_state(names));
        Ok(Self { acting, codebook: codebook.clone(), mean_action, alone, staying })
    }

    /// Every state of the data in its order. Each episode is acted along from its start: the observations are the recorded ones.
    fn rows(&self, data: &Demonstrations, leave_out: bool) -> Result<Vec<Row>> {
        let episodes: Vec<Result<Vec<Row>>> =
            (0..data.n_episodes()).into_par_iter().map(|k| self.episode(data, k, leave_out)).collect();
        // The error is that of the first episode, whichever was read first.
        Ok(episodes.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    fn episode(&self, data: &Demonstrations, k: usize, leave_out: bool) -> Result<Vec<Row>> {
        let number = data.number(k);
        let mut sessions: Vec<_> = self
            .acting
            .iter()
            .map(|(column, policy)| {
                let session = policy.session_with_seed(Seed(0).nth(u64::from(number)));
                (*column, if leave_out { session.leaving_out(number) } else { session })
            })
            .collect();
        let mut action = vec![0.0; data.n_act()];
        let mut rows = Vec::new();
        for i in data.episode(k) {
            let (state, wanted) = (&data.state(i)[..], &data.action(i)[..]);
            let squares_of = |action: &[f32]| -> Vec<f32> {
                action.iter().zip(wanted).map(|(a, b)| (a - b).powi(2)).collect()
            };
            let mut row = Row { distance: 0.0, weight: 0.0, squares: Default::default() };
            for (column, session) in &mut sessions {
                let constrained = session.act_scaled(state, &mut action)?;
                row.squares[*column] = squares_of(&action);
                match column {
                    0 => row.weight = constrained.region.weight,
                    // A chunk's steps may all have the memory of its first; here is the one of this state.
                    2 => row.distance = constrained.retrieval.distance,
                    _ => {}
                }
            }
            row.squares[4] = squares_of(&self.mean_action);
            if let Some(staying) = &self.staying {
                row.squares[5] = squares_of(&self.codebook.staying_action(staying, &self.mean_action, state));
            }
            rows.push(row);
        }
        Ok(rows)
    }

    /// The mean squared errors over some rows and action dimensions.
    fn errors(&self, rows: &[Row], dimensions: std::ops::Range<usize>) -> Errors {
        let refs: Vec<&Row> = rows.iter().collect();
        self.errors_of(&refs, dimensions)
    }

    fn errors_of(&self, rows: &[&Row], dimensions: std::ops::Range<usize>) -> Errors {
        let count = (rows.len() * dimensions.len()) as f64;
        let mean = |column: usize| {
            let of = |row: &&Row| -> f64 {
                let squares = row.squares[column].get(dimensions.clone()).unwrap_or_default();
                squares.iter().map(|&square| f64::from(square)).sum()
            };
            rows.iter().map(of).sum::<f64>() / count
        };
        Errors::of(std::array::from_fn(mean), [self.alone, self.staying.is_some()])
    }

    fn by_distance(&self, rows: &[Row], n_act: usize) -> Vec<ByDistance> {
        let mut order: Vec<&Row> = rows.iter().collect();
        order.sort_by(|a, b| a.distance.total_cmp(&b.distance));
        let (n, bins) = (order.len(), 4.min(order.len()));
        (0..bins)
            .map(|b| {
                let bin = &order[b * n / bins..(b + 1) * n / bins];
                ByDistance {
                    distance: [bin[0].distance, bin[bin.len() - 1].distance],
                    states: bin.len(),
                    weight: bin.iter().map(|row| f64::from(row.weight)).sum::<f64>() / bin.len() as f64,
                    error: self.errors_of(bin, 0..n_act),
                }
            })
            .collect()
    }
}
