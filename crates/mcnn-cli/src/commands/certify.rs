//! `mcnn certify`: the bound of theorem 4.7 over sets of states.

use mcnn::{
    Error, Result,
    certify::{
        Bound, IsolationBounds, SearchBudget, bound_isolation, isolation, isolation_leave_one_episode_out,
        premise,
    },
    data::Demonstrations,
    envelope::Envelope,
    error::Kind,
    file::{self, ConstraintSet},
    memory::{Amount, BatchSearchStats, Codebook, Coverage, LearnSettings, SelectionMethod, learn},
    train::Lambda,
};
use serde::Serialize;

use super::{Done, claim_plot, recordings::read_as_learned, visited::visited};
use crate::{
    actor::Actor,
    args::{CertifyArgs, KnobArgs},
    beside::stem,
    device, plot, print,
};

/// The certificate of a policy or of memories.
#[derive(Serialize)]
pub struct CertifyReport {
    pub file: String,
    pub fingerprint: String,
    pub memories: usize,
    /// Decay rate of the memory weight; a number or "inf".
    pub lambda: Lambda,
    /// Distance at which the memory weight is 0.5; null if lambda is 0.
    pub half_distance: Option<f32>,
    pub amplitude: f32,
    /// Steps of an episode, H.
    pub horizon: u64,
    /// Number of possible actions, |A|.
    pub action_count: u64,
    /// Whether |A| was given; else it is the number of action dimensions.
    pub action_count_given: bool,
    /// The bound is below H if d_I is below this distance; null: at every distance.
    pub informative_below: Option<f32>,
    /// The sets of states for which the bound is computed.
    pub sets: Vec<StateSet>,
    /// The bounding box of all these states.
    pub bounding_box: BoundingBox,
    /// Largest width of the permissible region at any state: 2 L, or 0 if lambda is 0.
    pub max_region_width: f32,
    /// Actions of each memory; above 1 for policies that predict action sequences.
    pub actions_per_memory: usize,
    /// What actions of -1 and 1 are in the data's units, a line by dimension; empty if they are the data's own.
    pub action_units: Vec<String>,
    pub curve: Option<Vec<CurvePoint>>,
    pub max_bound: Option<f64>,
    /// Whether the bound of some set is above `max_bound`.
    pub exceeded: Option<bool>,
    /// The plot written.
    pub plot: Option<String>,
    /// What was searched on a GPU; null without one.
    pub gpu: Option<BatchSearchStats>,
}

/// The largest distance to a memory, and the bound that follows.
#[derive(Serialize)]
pub struct DistanceBound {
    /// Largest distance of a state to its nearest memory, d_I.
    pub d_i: f32,
    /// Bound on the expert's return minus the policy's.
    pub bound: f64,
    /// Whether the bound is H, which is trivial: it is true for every policy.
    pub vacuous: bool,
    /// Width of the permissible region in each action dimension.
    pub region_width: f32,
}

/// A set of states, and its bound.
#[derive(Serialize)]
pub struct StateSet {
    pub name: String,
    pub states: usize,
    pub median: f32,
    pub p95: f32,
    #[serde(flatten)]
    pub at_max: DistanceBound,
    /// The state at distance d_I, as EPISODE:STEP.
    pub at: String,
    /// Of visited states: the seed of that episode.
    pub seed: Option<u64>,
    /// The same for the nearest memory of another episode; null for other data than the memories'.
    pub other_episodes: Option<OtherEpisodes>,
    /// Episodes of other data than the memories' that coincide with one the memories were selected from: their states are no new
    /// ones. Null for the memories' data and for visited states.
    pub known_episodes: Option<usize>,
    /// Demonstrated actions outside the permissible region; null for visited states.
    pub actions_outside: Option<ActionsOutside>,
}

/// The bound with distances to memories of other episodes.
#[derive(Serialize)]
pub struct OtherEpisodes {
    #[serde(flatten)]
    pub at_max: DistanceBound,
    pub at: String,
}

/// Demonstrated actions outside the permissible region.
#[derive(Serialize)]
pub struct ActionsOutside {
    pub steps: usize,
    /// Largest excess over the region, in units of the action.
    pub max_excess: f32,
    /// The step with the largest excess, as EPISODE:STEP.
    pub at: String,
}

/// The bounding box of the states, and the bound over all states in it.
#[derive(Serialize)]
pub struct BoundingBox {
    pub dimensions: usize,
    #[serde(flatten)]
    pub cover: IsolationBounds,
    pub bound: f64,
    pub vacuous: bool,
    pub region_width: f32,
}

/// One codebook of the curve.
#[derive(Serialize)]
pub struct CurvePoint {
    pub selection: SelectionMethod,
    /// Whether every smaller codebook of this selection is a subset of this one (the premise of corollary 4.8).
    pub nested: bool,
    pub memories: usize,
    #[serde(flatten)]
    pub at_max: DistanceBound,
    /// The same for the nearest memory of another episode; null if a state has none.
    pub other_episodes: Option<DistanceBound>,
}

pub fn run(args: &CertifyArgs) -> Result<Done> {
    device::choose(args.device.device)?;
    let _claim = args.plot.as_deref().map(|path| claim_plot(path, args.force)).transpose()?;
    let (constraint, fingerprint) = file::read_constraint_set(&args.policy)?;
    let envelope = envelope(args, &constraint)?;
    let ConstraintSet { codebook, training, .. } = constraint;
    let action_count = args.action_count.unwrap_or(codebook.n_act() as u64);
    let bound = Bound::new(envelope, args.horizon, action_count)?;
    let mut all_states = Vec::new(); // for the bounding box
    let mut sets = Vec::new();
    let mut own = None; // the data the memories were chosen from
    for path in &args.data {
        let data = read_as_learned(path, &args.options, &codebook)?;
        codebook.check_space(&data).map_err(|e| e.within(path.display()))?;
        let is_own = codebook.check_data(&data).is_ok();
        let codebook = &if is_own { codebook.clone().with_records_of(&data)? } else { codebook.clone() };
        sets.push(state_set(&stem(path), codebook, envelope, &bound, &data, is_own));
        let validation: Vec<usize> = (0..data.n_episodes())
            .filter(|&k| is_own && training.validation_episodes.contains(&data.number(k)))
            .collect();
        if !validation.is_empty() {
            let name = format!("{}, validation episodes", stem(path));
            sets.push(state_set(&name, codebook, envelope, &bound, &data.select(&validation), true));
        }
        all_states.extend_from_slice(&data.states());
        if is_own {
            own = Some(data);
        }
    }
    if args.visited {
        let knobs = KnobArgs { lambda: args.lambda, amplitude: args.amplitude, ..KnobArgs::default() };
        let actor = Actor::read(&args.policy)?.with_knobs(&knobs)?;
        let (visited, seeds) = visited(&actor, args.task.as_deref(), &args.rollouts, &args.encoder)?;
        let coverage = isolation(&codebook, &visited);
        let seed = seeds.get(coverage.isolated.episode as usize).copied();
        sets.push(StateSet { seed, ..bare_set("visited", &bound, &coverage, visited.n_steps()) });
        all_states.extend_from_slice(&visited.states());
    }
    let bounding_box = bounding_box(&codebook, &bound, &all_states);
    let ignore = codebook.parts().scale.ignored();
    let curve = args.curve.then(|| curve(own.as_ref(), ignore, &bound)).transpose()?;
    if let (Some(path), Some(curve)) = (&args.plot, &curve) {
        plot::write(path, &plot::curve::svg(curve, args.horizon as f64))?;
    }
    let exceeded = args.max_bound.map(|limit| sets.iter().any(|set| set.at_max.bound > limit));
    let report = CertifyReport {
        file: args.policy.display().to_string(),
        fingerprint,
        memories: codebook.len(),
        lambda: Lambda::Value(envelope.lambda),
        half_distance: Some(envelope.half_distance()).filter(|d| d.is_finite()),
        amplitude: envelope.amplitude,
        horizon: args.horizon,
        action_count,
        action_count_given: args.action_count.is_some(),
        informative_below: Some(bound.informative_below()).filter(|d| d.is_finite()),
        sets,
        bounding_box,
        max_region_width: bound.width(f32::INFINITY),
        actions_per_memory: codebook.horizon(),
        action_units: codebook.units().describe(&codebook.parts().names),
        curve,
        max_bound: args.max_bound,
        exceeded,
        plot: args.plot.as_ref().map(|p| p.display().to_string()),
        gpu: device::stats(),
    };
    let exit_code = u8::from(exceeded == Some(true));
    Ok(Done { exit_code, ..Done::new(&report, print::certify(&report) + &print::gpu(report.gpu.as_ref())) })
}

/// The policy's envelope; for a codebook, the envelope of the options.
fn envelope(args: &CertifyArgs, constraint: &ConstraintSet) -> Result<Envelope> {
    if constraint.neighbors > 1 {
        return Err(Error::new(
            Kind::Settings,
            "the theorem is about policies constrained by their single nearest memory",
        )
        .at(args.policy.display().to_string())
        .expected("--k 1")
        .found(constraint.neighbors.to_string()));
    }
    let own = match (constraint.envelope, args.lambda) {
        (Some(envelope), _) => envelope,
        (None, Some(_)) => Envelope::default(),
        (None, None) => {
            return Err(Error::new(Kind::Settings, "memories alone have no lambda")
                .at(args.policy.display().to_string())
                .expected("--lambda LAMBDA")
                .next("give --lambda, or name a policy"));
        }
    };
    let calibration = constraint.calibration.as_ref();
    Ok(Envelope {
        lambda: args.lambda.map_or(Ok(own.lambda), |lambda| lambda.for_calibration(calibration))?,
        amplitude: args.amplitude.unwrap_or(own.amplitude),
        ..own
    })
}

fn bound_at(bound: &Bound, distance: f32) -> DistanceBound {
    DistanceBound {
        d_i: distance,
        bound: bound.at(distance),
        vacuous: bound.is_vacuous(distance),
        region_width: bound.width(distance),
    }
}

/// A set of states without its `seed`, `other_episodes` and `actions_outside`.
fn bare_set(name: &str, bound: &Bound, coverage: &Coverage, states: usize) -> StateSet {
    StateSet {
        name: name.into(),
        states,
        median: coverage.median,
        p95: coverage.p95,
        at_max: bound_at(bound, coverage.max),
        at: coverage.isolated.to_string(),
        seed: None,
        other_episodes: None,
        known_episodes: None,
        actions_outside: None,
    }
}

/// A set of demonstrated states. `is_own`: the memories were chosen from these data.
fn state_set(
    name: &str,
    codebook: &Codebook,
    envelope: Envelope,
    bound: &Bound,
    data: &Demonstrations,
    is_own: bool,
) -> StateSet {
    let other_episodes = if is_own { isolation_leave_one_episode_out(codebook, data) } else { None };
    let premise = premise(codebook, envelope, data);
    let known =
        (!is_own).then(|| codebook.known_episodes(data).map_or(0, |known| known.iter().flatten().count()));
    StateSet {
        known_episodes: known,
        other_episodes: other_episodes
            .map(|c| OtherEpisodes { at_max: bound_at(bound, c.max), at: c.isolated.to_string() }),
        actions_outside: Some(ActionsOutside {
            steps: premise.outside,
            max_excess: premise.max_excess,
            at: premise.at.to_string(),
        }),
        ..bare_set(name, bound, &isolation(codebook, data), data.n_steps())
    }
}

/// The bounding box of some states (`[states, n_obs]`).
fn bounding_box(codebook: &Codebook, bound: &Bound, states: &[f32]) -> BoundingBox {
    let n_obs = codebook.n_obs();
    let extremes = |choose: fn(f32, f32) -> f32, start: f32| {
        states.chunks_exact(n_obs).fold(vec![start; n_obs], |mut extreme, state| {
            extreme.iter_mut().zip(state).for_each(|(e, &x)| *e = choose(*e, x));
            extreme
        })
    };
    let (low, high) = (extremes(f32::min, f32::INFINITY), extremes(f32::max, f32::NEG_INFINITY));
    let cover = bound_isolation(codebook, &low, &high, SearchBudget::default());
    let DistanceBound { bound, vacuous, region_width, .. } = bound_at(bound, cover.upper);
    BoundingBox { dimensions: n_obs, cover, bound, vacuous, region_width }
}

/// Fractions of the states that are memories along the curve. A last point has all of them.
const FRACTIONS: [f64; 7] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5];

/// The bound over the data, for growing codebooks chosen from it. With one seed, the codebooks of `random` and `kcenter` are
/// prefixes of one order, so they are nested; those of neural gas are not.
fn curve(own: Option<&Demonstrations>, ignore: Vec<usize>, bound: &Bound) -> Result<Vec<CurvePoint>> {
    let Some(data) = own else {
        return Err(Error::new(Kind::Mismatch, "the curve needs the data the memories were chosen from")
            .at("--curve")
            .next("name that file with --data"));
    };
    let mut counts: Vec<usize> = FRACTIONS
        .iter()
        .map(|fraction| ((fraction * data.n_steps() as f64).round() as usize).max(1))
        .collect();
    counts.dedup();
    let mut points = Vec::new();
    for (selection, nested) in
        [(SelectionMethod::Gas, false), (SelectionMethod::Random, true), (SelectionMethod::Kcenter, true)]
    {
        let sizes = counts.iter().map(|&count| (selection, Amount::Count(count)));
        for (method, amount) in sizes.chain([(SelectionMethod::All, Amount::Fraction(1.0))]) {
            let settings =
                LearnSettings { selection: method, amount, ignore: ignore.clone(), ..Default::default() };
            // A count above the number of distinct states is refused; the last point has all of them.
            let Ok(learned) = learn(data, &settings) else { continue };
            let other_episodes = isolation_leave_one_episode_out(&learned.codebook, data);
            points.push(CurvePoint {
                selection,
                nested,
                memories: learned.codebook.len(),
                at_max: bound_at(bound, learned.coverage.max),
                other_episodes: other_episodes.map(|c| bound_at(bound, c.max)),
            });
        }
    }
    Ok(points)
}
