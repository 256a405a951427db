//! From demonstrations to a codebook, and how well it covers them.

use std::collections::HashSet;

use nearest::Table;

use super::{
    Codebook, CodebookParts, SelectionMethod,
    choose::{Pool, choose, parallel_map},
};
use crate::{
    data::{Demonstrations, Scale, Step},
    error::{Error, Kind, Result},
    seed::Seed,
};

/// How many memories.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    /// A share of the training states, in (0, 1]; at least one memory.
    Fraction(f64),
    /// A number of memories.
    Count(usize),
}

/// Settings of [`learn`].
#[derive(Debug, Clone, PartialEq)]
pub struct LearnSettings {
    /// How many memories.
    pub amount: Amount,
    /// How they are chosen.
    pub selection: SelectionMethod,
    /// Passes over the data, for the gas and k-means.
    pub epochs: usize,
    /// A memory's action is the mean over this many nearest training steps, its own included; 1 is its own action.
    pub smooth_neighbors: usize,
    /// Dimensions of the state that count nothing, in distances and for the network: noise, say, that standardizing would
    /// blow up to the size of everything else.
    pub ignore: Vec<usize>,
    /// Decides whatever is random.
    pub seed: Seed,
}

impl Default for LearnSettings {
    /// A tenth of the states, by growing neural gas, each memory with its own action.
    fn default() -> Self {
        let (amount, ignore) = (Amount::Fraction(0.1), Vec::new());
        Self {
            amount,
            selection: SelectionMethod::Gas,
            epochs: 10,
            smooth_neighbors: 1,
            ignore,
            seed: Seed(0),
        }
    }
}

/// What learning came to.
#[derive(Debug, Clone)]
pub struct Learned {
    /// The memories.
    pub codebook: Codebook,
    /// How well they cover the training states.
    pub coverage: Coverage,
    /// Nodes that were snapped to a training state already taken.
    pub merged: usize,
    /// Memories added afterwards, farthest first, so that the number asked for was reached.
    pub refilled: usize,
    /// Training states that repeat an earlier one exactly; they cannot be memories.
    pub repeated: usize,
}

/// Distances from the training states to their nearest memory (0 for the memories' own), in standardized units.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Coverage {
    /// Half of the states are nearer.
    pub median: f32,
    /// 95 % of the states are nearer.
    pub p95: f32,
    /// The largest distance: d_I over the training states (the paper, definition 4.5).
    pub max: f32,
    /// The state at that distance: the most isolated one.
    #[serde(skip)]
    pub isolated: Step,
}

impl Coverage {
    /// Of one distance for every step of some demonstrations.
    ///
    /// # Panics
    /// If their numbers differ.
    pub fn of(mut far: Vec<f32>, data: &Demonstrations) -> Self {
        assert_eq!(far.len(), data.n_steps(), "a distance for every step");
        let (isolated, max) =
            far.iter().enumerate().fold((0, -1.0), |best, (i, &d)| if d > best.1 { (i, d) } else { best });
        far.sort_unstable_by(f32::total_cmp);
        let at = |share: f64| far[((far.len() - 1) as f64 * share).round() as usize];
        Coverage { median: at(0.5), p95: at(0.95), max, isolated: data.step(isolated) }
    }
}

/// Chooses memories from demonstrations.
///
/// # Errors
/// If the amount is out of range or asks for more memories than there are distinct states, if no epoch or no step
/// to smooth over is asked for, or if dimensions are to be ignored that are not there, or all of them.
pub fn learn(data: &Demonstrations, settings: &LearnSettings) -> Result<Learned> {
    let (n, dim) = (data.n_steps(), data.n_obs());
    if let Some(i) = settings.ignore.iter().find(|&&i| i >= dim) {
        return Err(Error::new(Kind::Settings, "a dimension to ignore that is not there")
            .at("--ignore")
            .expected(format!("dimensions 0 to {}", dim - 1))
            .found(i.to_string()));
    }
    let scale = Scale::fit(data).ignoring(&settings.ignore);
    if scale.ignored().len() == dim {
        return Err(Error::new(Kind::Settings, "no dimension of the state is left")
            .at("--ignore")
            .expected(format!("fewer than {dim} dimensions")));
    }
    let mut rows = vec![0.0; n * dim];
    for (to, from) in rows.chunks_exact_mut(dim).zip(data.states().chunks_exact(dim)) {
        scale.apply(from, to);
    }
    let mut seen = HashSet::with_capacity(n);
    // + 0.0 makes one zero of the two, which are equally near to everything.
    let distinct: Vec<usize> = (0..n)
        .filter(|&i| {
            seen.insert(rows[i * dim..][..dim].iter().map(|v| (v + 0.0).to_bits()).collect::<Vec<_>>())
        })
        .collect();
    drop(seen);
    let count = resolve(settings, n, distinct.len())?;
    let table = Table::from_rows(&rows, dim);
    let pool = Pool { rows: &rows, dim, distinct: &distinct, table: &table };
    let chosen =
        choose(&pool, settings.selection, count, settings.epochs, settings.seed.fork("memories")).in_order();

    let actions = parallel_map(chosen.rows.len(), |k| {
        smoothed(data, &table, &rows, chosen.rows[k], settings.smooth_neighbors)
    });
    let codebook = Codebook::new(CodebookParts {
        scale,
        states: chosen.rows.iter().flat_map(|&i| data.state(i)).copied().collect(),
        actions: actions.concat(),
        future_actions: Vec::new(),
        sources: chosen.rows.iter().map(|&i| data.step(i)).collect(),
        edges: chosen.edges,
        smooth_neighbors: settings.smooth_neighbors,
        selection: settings.selection.to_string(),
        seed: settings.seed.0,
        data: data.fingerprint(),
        n_states: n,
        encoding: data.encoding().map(str::to_owned),
    })?;
    let coverage = codebook.coverage(data);
    Ok(Learned {
        codebook,
        coverage,
        merged: chosen.merged,
        refilled: chosen.refilled,
        repeated: n - distinct.len(),
    })
}

fn resolve(settings: &LearnSettings, n: usize, distinct: usize) -> Result<usize> {
    let error = |what: &str| Error::new(Kind::Settings, what);
    if settings.epochs == 0 || settings.smooth_neighbors == 0 {
        return Err(error("epochs and smoothing must be at least 1").found(format!(
            "--epochs {}, --smooth-neighbors {}",
            settings.epochs, settings.smooth_neighbors
        )));
    }
    if settings.smooth_neighbors > n {
        return Err(error("smoothing over more steps than there are")
            .at("--smooth-neighbors")
            .expected(format!("1 to {n}"))
            .found(settings.smooth_neighbors.to_string()));
    }
    if settings.selection == SelectionMethod::All {
        return Ok(distinct);
    }
    let count = match settings.amount {
        Amount::Fraction(share) if share > 0.0 && share <= 1.0 => {
            ((share * n as f64).round() as usize).clamp(1, n)
        }
        Amount::Fraction(share) => {
            return Err(error("a fraction of the states out of range")
                .at("--fraction")
                .expected("above 0 and at most 1")
                .found(share.to_string()));
        }
        Amount::Count(count) => count,
    };
    if count == 0 || count > distinct {
        let repeats = if distinct < n { format!(" distinct ones of {n}") } else { String::new() };
        return Err(error(if count == 0 { "no memories asked for" } else { "more memories than states" })
            .at("--count or --fraction")
            .expected(format!("1 to {distinct}{repeats}"))
            .found(count.to_string())
            .next("--by all takes every distinct state"));
    }
    Ok(count)
}

/// The mean action over the `k` training steps nearest to a row, the row itself first among them.
fn smoothed(data: &Demonstrations, table: &Table, rows: &[f32], row: usize, k: usize) -> Vec<f32> {
    if k == 1 {
        return data.action(row).to_vec();
    }
    mean_action(data, &near(table, &rows[row * data.n_obs()..][..data.n_obs()], k))
}

/// The `k` rows nearest to a scaled state.
pub(super) fn near(table: &Table, state: &[f32], k: usize) -> Vec<usize> {
    let mut hits = Vec::new();
    table.k_nearest(state, k, &mut hits);
    hits.into_iter().map(|hit| hit.index).collect()
}

/// The mean action of some steps, at least one.
pub(super) fn mean_action(data: &Demonstrations, steps: &[usize]) -> Vec<f32> {
    let mut mean = vec![0.0_f64; data.n_act()];
    for &i in steps {
        mean.iter_mut().zip(data.action(i)).for_each(|(m, &a)| *m += f64::from(a));
    }
    // A mean of numbers in [-1, 1] can round past 1 by its last place.
    mean.into_iter().map(|m| ((m / steps.len() as f64) as f32).clamp(-1.0, 1.0)).collect()
}

impl Codebook {
    /// How well these memories cover the states of some demonstrations.
    ///
    /// # Panics
    /// If the widths differ.
    pub fn coverage(&self, data: &Demonstrations) -> Coverage {
        Coverage::of(self.distances(data), data)
    }
    /// The distance from every state to its nearest memory: `[n_steps]`.
    ///
    /// # Panics
    /// If the widths differ.
    pub fn distances(&self, data: &Demonstrations) -> Vec<f32> {
        self.map_states(data, |_, state| self.retrieve(state).distance)
    }

    /// The nearest memory from another episode for every state, where there is one: `[n_steps]`. What a state sees in
    /// acting, when no memory comes from the episode it is in.
    ///
    /// # Panics
    /// If the widths differ.
    pub fn retrieve_leave_one_episode_out(&self, data: &Demonstrations) -> Vec<Option<super::Retrieval>> {
        let episodes: Vec<u32> = (0..data.n_episodes())
            .flat_map(|k| std::iter::repeat_n(data.number(k), data.episode(k).len()))
            .collect();
        self.map_states(data, |i, state| self.retrieve_from_other_episode(state, episodes[i]))
    }

    /// Some function of every step's number and scaled state.
    pub fn map_states<T: Send>(
        &self,
        data: &Demonstrations,
        f: impl Fn(usize, &super::Scaled) -> T + Sync + Send,
    ) -> Vec<T> {
        assert_eq!(data.n_obs(), self.n_obs(), "states of another width than the memories");
        use rayon::prelude::*;
        (0..data.n_steps())
            .into_par_iter()
            .map_init(
                || self.scaled_buffer(),
                |buffer, i| {
                    self.scale(data.state(i), buffer);
                    f(i, buffer)
                },
            )
            .collect()
    }
}
