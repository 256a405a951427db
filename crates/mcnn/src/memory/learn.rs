//! Learning a codebook from demonstrations, and measuring its coverage.

use super::{
    Codebook, CodebookParts, Retrieval, SelectionMethod,
    batch::{BatchQuery, has_device, search_batch, search_on_device},
    choose::{Candidates, select},
    retrieve::retrieval,
    rows::Rows,
};
use crate::{
    data::{Demonstrations, Scale, Step},
    error::{Error, Kind, Result},
    seed::Seed,
};

/// The number of memories.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    /// A fraction of the training states, in (0, 1]; at least one memory.
    Fraction(f64),
    /// An absolute number.
    Count(usize),
}

/// Settings of [`learn`].
#[derive(Debug, Clone, PartialEq)]
pub struct LearnSettings {
    /// The number of memories.
    pub amount: Amount,
    /// The selection method.
    pub selection: SelectionMethod,
    /// Passes over the data, of the gas and k-means.
    pub epochs: usize,
    /// A memory's action is the mean over this many nearest training steps, its own included; 1: its own action.
    pub smooth_neighbors: usize,
    /// Dimensions of the state that are ignored in distances and by the network, for example noise, which standardization
    /// would scale up to the size of the other dimensions.
    pub ignore: Vec<usize>,
    /// The seed of everything random.
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

impl LearnSettings {
    /// The settings of the authors of the paper: a tenth of the states, by one pass of a gas that has as many nodes from the start.
    pub fn paper(seed: Seed) -> Self {
        Self { selection: SelectionMethod::GasFixed, epochs: 1, seed, ..Self::default() }
    }

    /// The largest number of memories that [`for_policy`](Self::for_policy) chooses.
    pub const MOST_BY_DEFAULT: usize = 20_000;

    /// The settings for a policy unless others are given: every distinct state is a memory, with its own action. Of more than
    /// [`MOST_BY_DEFAULT`](Self::MOST_BY_DEFAULT) states the gas chooses so many.
    pub fn for_policy(data: &Demonstrations, seed: Seed) -> Self {
        let most = Self::MOST_BY_DEFAULT;
        let (amount, selection) = if data.n_steps() <= most {
            (Amount::Fraction(1.0), SelectionMethod::All)
        } else {
            (Amount::Count(most), SelectionMethod::Gas)
        };
        Self { amount, selection, epochs: 1, seed, ..Self::default() }
    }
}

/// The result of learning.
#[derive(Debug, Clone)]
pub struct Learned {
    /// The memories.
    pub codebook: Codebook,
    /// Their coverage of the training states.
    pub coverage: Coverage,
    /// Nodes (of the gas or k-means) merged because their nearest training state is that of another node.
    pub merged: usize,
    /// Memories added by farthest-point sampling to reach the requested number.
    pub refilled: usize,
    /// Training states equal to an earlier one; they cannot be memories.
    pub repeated: usize,
}

/// The distribution of distances from states to their nearest memory, in standardized units.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Coverage {
    /// The median distance.
    pub median: f32,
    /// The 95th percentile.
    pub p95: f32,
    /// The largest distance: d_I over the states (definition 4.5 of the paper).
    pub max: f32,
    /// The step at that distance: the most isolated state.
    #[serde(skip)]
    pub isolated: Step,
}

impl Coverage {
    /// Summarizes one distance for every step of some demonstrations.
    ///
    /// # Panics
    /// If their numbers differ.
    pub fn from_distances(distances: Vec<f32>, data: &Demonstrations) -> Self {
        assert_eq!(distances.len(), data.n_steps(), "a distance for every step");
        Self::of_steps(distances.into_iter().enumerate().collect(), data)
    }

    /// Summarizes the distances of some steps: at least one.
    pub(crate) fn of_steps(distances: Vec<(usize, f32)>, data: &Demonstrations) -> Self {
        let (isolated, max) =
            distances.iter().fold((0, -1.0), |best, &(i, d)| if d > best.1 { (i, d) } else { best });
        let mut distances: Vec<f32> = distances.into_iter().map(|(_, d)| d).collect();
        distances.sort_unstable_by(f32::total_cmp);
        let at = |share: f64| distances[((distances.len() - 1) as f64 * share).round() as usize];
        Coverage { median: at(0.5), p95: at(0.95), max, isolated: data.step(isolated) }
    }
}

/// Selects memories from demonstrations.
///
/// # Errors
/// If steps cannot be read from their file, if the amount is out of range or exceeds the number of distinct states, if `epochs` or `smooth_neighbors` is out of range, or
/// if an ignored dimension does not exist or all dimensions are ignored.
pub fn learn(data: &Demonstrations, settings: &LearnSettings) -> Result<Learned> {
    let learned = learn_from(data, settings);
    // What follows from steps that could not be read is wrong, an error included.
    data.check_readable().and(learned)
}

fn learn_from(data: &Demonstrations, settings: &LearnSettings) -> Result<Learned> {
    let (n, dim) = (data.n_steps(), data.n_obs());
    if let Some(i) = settings.ignore.iter().find(|&&i| i >= dim) {
        return Err(Error::new(Kind::Settings, "a dimension to ignore does not exist")
            .at("--ignore-dims")
            .expected(format!("dimensions 0 to {}", dim - 1))
            .found(i.to_string()));
    }
    let scale = Scale::fit(data).ignoring(&settings.ignore);
    if scale.ignored().len() == dim {
        return Err(Error::new(Kind::Settings, "all dimensions of the state are ignored")
            .at("--ignore-dims")
            .expected(format!("fewer than {dim} dimensions")));
    }
    let rows = Rows::of_states(data, &scale);
    let distinct = rows.distinct();
    data.check_readable()?;
    let count = number_of_memories(settings, n, distinct.len())?;
    let candidates = Candidates { rows: &rows, distinct: &distinct };
    let selected =
        select(&candidates, settings.selection, count, settings.epochs, settings.seed.fork("memories"))
            .sorted_by_row();

    let actions: Vec<Vec<f32>> = match settings.smooth_neighbors {
        1 => selected.rows.iter().map(|&row| data.action(row).into_owned()).collect(),
        k => {
            let near = rows.k_nearest_to(&rows.gather(&selected.rows), k);
            near.iter().map(|steps| mean_action(data, steps)).collect()
        }
    };
    let states = selected.rows.iter().flat_map(|&i| data.state(i).into_owned()).collect();
    drop(rows);
    let episodes = data.records(&scale);
    let codebook = Codebook::new(CodebookParts {
        scale,
        states,
        actions: actions.concat(),
        future_actions: Vec::new(),
        sources: selected.rows.iter().map(|&i| data.step(i)).collect(),
        edges: selected.edges,
        smooth_neighbors: settings.smooth_neighbors,
        selection: settings.selection.to_string(),
        seed: settings.seed.0,
        data: data.fingerprint(),
        n_states: n,
        episodes,
        encoding: data.encoding().map(str::to_owned),
        names: data.names().clone(),
        units: data.units().clone(),
        origin: data.origin().clone(),
    })?;
    let coverage = if codebook.len() == distinct.len() {
        // Every state is a memory or equals one, at distance 0. With many memories, searching for each state would take hours.
        Coverage::from_distances(vec![0.0; n], data)
    } else {
        codebook.coverage(data)
    };
    Ok(Learned {
        codebook,
        coverage,
        merged: selected.merged,
        refilled: selected.refilled,
        repeated: n - distinct.len(),
    })
}

fn number_of_memories(settings: &LearnSettings, n: usize, distinct: usize) -> Result<usize> {
    let error = |what: &str| Error::new(Kind::Settings, what);
    if settings.epochs == 0 || settings.smooth_neighbors == 0 {
        return Err(error("epochs and the number of averaged steps must be at least 1").found(format!(
            "--epochs {}, --smooth-neighbors {}",
            settings.epochs, settings.smooth_neighbors
        )));
    }
    if settings.smooth_neighbors > n {
        return Err(error("more steps to average than there are")
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
            return Err(error("the fraction of the states is out of range")
                .at("--fraction")
                .expected("above 0 and at most 1")
                .found(share.to_string()));
        }
        Amount::Count(count) => count,
    };
    if count == 0 || count > distinct {
        let repeats = if distinct < n { format!(", the distinct states of {n}") } else { String::new() };
        return Err(error(if count == 0 {
            "the number of memories is 0"
        } else {
            "more memories than states"
        })
        .at("--count or --fraction")
        .expected(format!("1 to {distinct}{repeats}"))
        .found(count.to_string())
        .next("--selection all makes a memory of every distinct state"));
    }
    Ok(count)
}

/// The episode of every step, by its number: `[n_steps]`.
fn episode_numbers(data: &Demonstrations) -> Vec<u32> {
    let numbers = |k: usize| std::iter::repeat_n(data.number(k), data.episode(k).len());
    (0..data.n_episodes()).flat_map(numbers).collect()
}

/// The mean action over one or more steps.
pub(super) fn mean_action(data: &Demonstrations, steps: &[usize]) -> Vec<f32> {
    let mut mean = vec![0.0_f64; data.n_act()];
    for &i in steps {
        mean.iter_mut().zip(data.action(i).iter()).for_each(|(m, &a)| *m += f64::from(a));
    }
    // The mean of numbers in [-1, 1] can exceed 1 by rounding.
    mean.into_iter().map(|m| ((m / steps.len() as f64) as f32).clamp(-1.0, 1.0)).collect()
}

impl Codebook {
    /// The coverage of the states of demonstrations.
    ///
    /// # Panics
    /// If the widths differ.
    pub fn coverage(&self, data: &Demonstrations) -> Coverage {
        Coverage::from_distances(self.distances(data), data)
    }

    /// The distance from every state to its nearest memory: `[n_steps]`.
    ///
    /// # Panics
    /// If the widths differ.
    pub fn distances(&self, data: &Demonstrations) -> Vec<f32> {
        self.retrieve_each(data).into_iter().map(|retrieval| retrieval.distance).collect()
    }

    /// The nearest memory of every state: `[n_steps]`.
    ///
    /// # Panics
    /// If the widths differ.
    pub fn retrieve_each(&self, data: &Demonstrations) -> Vec<Retrieval> {
        self.retrieve_on_device(data, 1, false, |found| found[0])
            .unwrap_or_else(|| self.map_states(data, |_, state| self.retrieve(state)))
    }

    /// The two nearest memories of every state, as far as there are so many: `[n_steps]`.
    ///
    /// # Panics
    /// If the widths differ.
    pub(crate) fn retrieve_two_of_each(&self, data: &Demonstrations) -> Vec<(Retrieval, Option<Retrieval>)> {
        self.retrieve_on_device(data, 2, false, |two| (two[0], two.get(1).copied()))
            .unwrap_or_else(|| self.map_states(data, |_, state| self.retrieve_two(state)))
    }

    /// The `k` nearest memories of other episodes for every state, or as many as there are, nearest first: `[n_steps]`. See
    /// [`retrieve_leave_one_episode_out`](Self::retrieve_leave_one_episode_out).
    ///
    /// # Panics
    /// If the widths differ.
    pub(crate) fn retrieve_many_leave_one_episode_out(
        &self,
        data: &Demonstrations,
        k: usize,
    ) -> Vec<Vec<Retrieval>> {
        self.retrieve_on_device(data, k, true, <[Retrieval]>::to_vec).unwrap_or_else(|| {
            let episodes = episode_numbers(data);
            self.map_states(data, |i, state| {
                let mut found = Vec::new();
                self.retrieve_many_from_other_episodes(state, episodes[i], k, &mut found);
                found
            })
        })
    }

    /// `f` of the `k` nearest memories of every state, found on the device, if there is one for so many; memories of other episodes
    /// alone, with `leave_out`.
    fn retrieve_on_device<T>(
        &self,
        data: &Demonstrations,
        k: usize,
        leave_out: bool,
        f: impl Fn(&[Retrieval]) -> T,
    ) -> Option<Vec<T>> {
        assert_eq!(data.n_obs(), self.n_obs(), "the states and the memories have different dimensions");
        if !has_device() {
            return None;
        }
        let groups: Vec<u32> = episode_numbers(data).into_iter().map(|episode| self.group(episode)).collect();
        let rows = self.standardized_states();
        let mut all = Vec::with_capacity(data.n_steps());
        for steps in data.pieces() {
            let queries = self.parts.scale.apply_all(&data.states_of(steps.clone()));
            let query = BatchQuery {
                rows: &rows,
                queries: &queries,
                dim: self.n_features(),
                k,
                groups: leave_out.then_some([&self.episodes, &groups[steps]]),
            };
            // The last piece may be too small for the device, or it may fail.
            let found = match all.is_empty() {
                true => search_on_device(&self.table, &query)?,
                false => search_batch(&self.table, &query),
            };
            let found = found.into_iter().map(|hits| hits.into_iter().map(retrieval).collect::<Vec<_>>());
            all.extend(found.map(|found| f(&found)));
        }
        Some(all)
    }

    /// The nearest memory of another episode for every state, if there is one: `[n_steps]` (leave-one-episode-out). It
    /// estimates retrieval in new episodes, which have no memories of their own. Episodes that coincide count as one.
    ///
    /// # Panics
    /// If the widths differ.
    pub fn retrieve_leave_one_episode_out(&self, data: &Demonstrations) -> Vec<Option<Retrieval>> {
        self.retrieve_on_device(data, 1, true, |found| found.first().copied()).unwrap_or_else(|| {
            let episodes = episode_numbers(data);
            self.map_states(data, |i, state| self.retrieve_from_other_episode(state, episodes[i]))
        })
    }

    /// `f` of every step, given its row and its standardized state, computed in parallel: `[n_steps]`.
    pub fn map_states<T: Send>(
        &self,
        data: &Demonstrations,
        f: impl Fn(usize, &super::Scaled) -> T + Sync + Send,
    ) -> Vec<T> {
        assert_eq!(data.n_obs(), self.n_obs(), "the states and the memories have different dimensions");
        use rayon::prelude::*;
        let mut all = Vec::with_capacity(data.n_steps());
        for steps in data.pieces() {
            let (first, states) = (steps.start, data.states_of(steps));
            let found = states.par_chunks_exact(self.n_obs()).enumerate().map_init(
                || self.scaled_buffer(),
                |buffer, (i, state)| {
                    self.scale(state, buffer);
                    f(first + i, buffer)
                },
            );
            all.par_extend(found);
        }
        all
    }
}
