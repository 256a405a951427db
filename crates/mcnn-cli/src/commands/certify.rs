//! `mcnn certify`.

use mcnn::{
    Error, Result,
    certify::{
        Bound, IsolationBounds, SearchBudget, bound_isolation, isolation, isolation_leave_one_episode_out,
        premise,
    },
    data::Demonstrations,
    envelope::{Activation, Envelope},
    error::Kind,
    file::{self, ConstraintSet},
    memory::{Amount, Codebook, Coverage, LearnSettings, SelectionMethod, learn},
    train::Lambda,
};
use serde::Serialize;

use super::{Done, check_picture, eval::stem, read, visited::visited};
use crate::{actor::Actor, args::CertifyArgs, plot, print};

/// What can be promised.
#[derive(Serialize)]
pub struct Certified {
    pub file: String,
    pub fingerprint: String,
    pub memories: usize,
    /// lambda of the formula; a number or "inf".
    pub lambda: Lambda,
    pub half_distance: Option<f32>,
    pub amplitude: f32,
    pub horizon: u64,
    pub actions: u64,
    /// Whether |A| was given; else it is the numbers in an action.
    pub actions_given: bool,
    /// The bound is informative where d_I is below; null: everywhere.
    pub informative_below: Option<f32>,
    /// The listed states.
    pub sets: Vec<Set>,
    /// Every state between the smallest and the largest numbers of the listed ones.
    #[serde(rename = "box")]
    pub region: Region,
    /// The widest that a permissible region is anywhere: 2 L (0 where lambda is 0).
    pub width_anywhere: f32,
    /// Actions that each memory holds; above 1, of a policy that acts ahead.
    pub ahead: usize,
    pub curve: Option<Vec<Point>>,
    pub at_most: Option<f64>,
    /// Whether the bound of some set is above `at_most`.
    pub exceeded: Option<bool>,
    /// The picture written.
    pub plot: Option<String>,
}

/// A distance and what it bounds.
#[derive(Serialize)]
pub struct Promise {
    pub d_i: f32,
    pub bound: f64,
    pub vacuous: bool,
    /// Width of the permissible region in each dimension of the action.
    pub width: f32,
}

/// Some states that were listed.
#[derive(Serialize)]
pub struct Set {
    pub name: String,
    pub states: usize,
    pub median: f32,
    pub p95: f32,
    #[serde(flatten)]
    pub promise: Promise,
    /// The state at d_I, as EPISODE:STEP.
    pub at: String,
    /// The seed of that episode, of visited states.
    pub seed: Option<u64>,
    /// The same to the nearest memory of another episode, of the memories' own data.
    pub elsewhere: Option<Elsewhere>,
    /// Demonstrated actions outside their permissible region; null of visited states.
    pub outside: Option<Outside>,
}

#[derive(Serialize)]
pub struct Elsewhere {
    #[serde(flatten)]
    pub promise: Promise,
    pub at: String,
}

#[derive(Serialize)]
pub struct Outside {
    pub steps: usize,
    pub farthest: f32,
    pub at: String,
}

#[derive(Serialize)]
pub struct Region {
    pub dimensions: usize,
    #[serde(flatten)]
    pub cover: IsolationBounds,
    pub bound: f64,
    pub vacuous: bool,
    pub width: f32,
}

/// One codebook of the curve.
#[derive(Serialize)]
pub struct Point {
    pub by: SelectionMethod,
    /// Whether every smaller codebook of this way is part of this one, as corollary 4.8 supposes.
    pub nested: bool,
    pub memories: usize,
    #[serde(flatten)]
    pub promise: Promise,
    /// To the nearest memory of another episode; null where a state has none.
    pub elsewhere: Option<Promise>,
}

pub fn run(args: &CertifyArgs) -> Result<Done> {
    if let Some(path) = &args.plot {
        check_picture(path, args.force)?;
    }
    let (holding, fingerprint) = file::read_constraint_set(&args.policy)?;
    let envelope = envelope(args, &holding)?;
    let ConstraintSet { codebook, training, .. } = holding;
    let actions = args.actions.unwrap_or(codebook.n_act() as u64);
    let bound = Bound::new(envelope, args.horizon, actions)?;
    let mut listed = Vec::new(); // all states, for the box
    let mut sets = Vec::new();
    let mut own = None; // the memories' own data
    for path in &args.states {
        let data = read(path, args.options)?;
        codebook.check_space(&data).map_err(|e| e.within(path.display()))?;
        let is_own = codebook.check_data(&data).is_ok();
        sets.push(set(&stem(path), &codebook, envelope, &bound, &data, is_own));
        let held_out: Vec<usize> = (0..data.n_episodes())
            .filter(|&k| is_own && training.validation_episodes.contains(&data.number(k)))
            .collect();
        if !held_out.is_empty() {
            let name = format!("{}, held out", stem(path));
            sets.push(set(&name, &codebook, envelope, &bound, &data.select(&held_out), true));
        }
        listed.extend_from_slice(data.states());
        if is_own {
            own = Some(data);
        }
    }
    if args.visited {
        let actor = Actor::read(&args.policy)?;
        let (visited, seeds) = visited(&actor, args.task.as_deref(), &args.rollouts, &args.encoder)?;
        let coverage = isolation(&codebook, &visited);
        let seed = seeds.get(coverage.isolated.episode as usize).copied();
        sets.push(Set { seed, ..plain("visited", &bound, &coverage, visited.n_steps()) });
        listed.extend_from_slice(visited.states());
    }
    let region = region(&codebook, &bound, &listed);
    let ignore = codebook.parts().scale.ignored();
    let curve = args.curve.then(|| curve(own.as_ref(), ignore, &bound)).transpose()?;
    if let (Some(path), Some(curve)) = (&args.plot, &curve) {
        plot::write(path, &plot::curve::svg(curve, args.horizon as f64))?;
    }
    let exceeded = args.at_most.map(|most| sets.iter().any(|s| s.promise.bound > most));
    let report = Certified {
        file: args.policy.display().to_string(),
        fingerprint,
        memories: codebook.len(),
        lambda: Lambda::Value(envelope.lambda),
        half_distance: Some(envelope.half_distance()).filter(|d| d.is_finite()),
        amplitude: envelope.amplitude,
        horizon: args.horizon,
        actions,
        actions_given: args.actions.is_some(),
        informative_below: Some(bound.informative_below()).filter(|d| d.is_finite()),
        sets,
        region,
        width_anywhere: bound.width(f32::INFINITY),
        ahead: codebook.horizon(),
        curve,
        at_most: args.at_most,
        exceeded,
        plot: args.plot.as_ref().map(|p| p.display().to_string()),
    };
    let exit_code = u8::from(exceeded == Some(true));
    Ok(Done { exit_code, ..Done::new(&report, print::certified(&report)) })
}

/// A policy's own envelope, or the one given for memories.
fn envelope(args: &CertifyArgs, holding: &ConstraintSet) -> Result<Envelope> {
    if holding.neighbors > 1 {
        return Err(Error::new(Kind::Settings, "the theorem is of policies held by their nearest memory")
            .at(args.policy.display().to_string())
            .expected("--k 1")
            .found(holding.neighbors.to_string()));
    }
    match (holding.envelope, args.lambda) {
        (Some(_), Some(_)) => Err(Error::new(Kind::Settings, "a policy has a lambda and an L of its own")
            .at("--lambda")
            .next("leave the option out, or name memories")),
        (Some(_), None) if args.amplitude.is_some() => {
            Err(Error::new(Kind::Settings, "a policy has a lambda and an L of its own")
                .at("--amplitude")
                .next("leave the option out, or name memories"))
        }
        (Some(envelope), None) => Ok(envelope),
        (None, Some(lambda)) => {
            Ok(Envelope { lambda, amplitude: args.amplitude.unwrap_or(1.0), activation: Activation::Clamp })
        }
        (None, None) => Err(Error::new(Kind::Settings, "memories have no lambda of their own")
            .at(args.policy.display().to_string())
            .expected("--lambda with them")
            .next("give --lambda, or name a policy")),
    }
}

fn promise(bound: &Bound, d: f32) -> Promise {
    Promise { d_i: d, bound: bound.at(d), vacuous: bound.is_vacuous(d), width: bound.width(d) }
}

fn plain(name: &str, bound: &Bound, coverage: &Coverage, states: usize) -> Set {
    Set {
        name: name.into(),
        states,
        median: coverage.median,
        p95: coverage.p95,
        promise: promise(bound, coverage.max),
        at: coverage.isolated.to_string(),
        seed: None,
        elsewhere: None,
        outside: None,
    }
}

fn set(
    name: &str,
    codebook: &Codebook,
    envelope: Envelope,
    bound: &Bound,
    data: &Demonstrations,
    is_own: bool,
) -> Set {
    let elsewhere = if is_own { isolation_leave_one_episode_out(codebook, data) } else { None };
    let premise = premise(codebook, envelope, data);
    Set {
        elsewhere: elsewhere
            .map(|c| Elsewhere { promise: promise(bound, c.max), at: c.isolated.to_string() }),
        outside: Some(Outside {
            steps: premise.outside,
            farthest: premise.max_excess,
            at: premise.at.to_string(),
        }),
        ..plain(name, bound, &isolation(codebook, data), data.n_steps())
    }
}

/// Over every state between the smallest and the largest numbers of the listed ones.
fn region(codebook: &Codebook, bound: &Bound, listed: &[f32]) -> Region {
    let n_obs = codebook.n_obs();
    let ends = |choose: fn(f32, f32) -> f32, start: f32| {
        listed.chunks_exact(n_obs).fold(vec![start; n_obs], |mut end, state| {
            end.iter_mut().zip(state).for_each(|(e, &x)| *e = choose(*e, x));
            end
        })
    };
    let (low, high) = (ends(f32::min, f32::INFINITY), ends(f32::max, f32::NEG_INFINITY));
    let cover = bound_isolation(codebook, &low, &high, SearchBudget::default());
    let Promise { bound, vacuous, width, .. } = promise(bound, cover.upper);
    Region { dimensions: n_obs, cover, bound, vacuous, width }
}

/// Shares of the states that become memories along the curve; the last point is all of them.
const SHARES: [f64; 7] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5];

/// d_I over the data, for growing codebooks chosen from it. With one seed, `random` and `kcenter` choose a beginning of
/// one order, so that theirs are nested; the gas learns anew.
fn curve(own: Option<&Demonstrations>, ignore: Vec<usize>, bound: &Bound) -> Result<Vec<Point>> {
    let Some(data) = own else {
        return Err(Error::new(Kind::Mismatch, "a curve needs the data the memories were learned from")
            .at("--curve")
            .next("name that file with --states"));
    };
    let mut counts: Vec<usize> =
        SHARES.iter().map(|share| ((share * data.n_steps() as f64).round() as usize).max(1)).collect();
    counts.dedup();
    let mut points = Vec::new();
    for (by, nested) in
        [(SelectionMethod::Gas, false), (SelectionMethod::Random, true), (SelectionMethod::Kcenter, true)]
    {
        let ways = counts.iter().map(|&count| (by, Amount::Count(count)));
        for (way, amount) in ways.chain([(SelectionMethod::All, Amount::Fraction(1.0))]) {
            let settings =
                LearnSettings { selection: way, amount, ignore: ignore.clone(), ..Default::default() };
            // More than there are distinct states is refused: the last point has those.
            let Ok(learned) = learn(data, &settings) else { continue };
            let elsewhere = isolation_leave_one_episode_out(&learned.codebook, data);
            points.push(Point {
                by,
                nested,
                memories: learned.codebook.len(),
                promise: promise(bound, learned.coverage.max),
                elsewhere: elsewhere.map(|c| promise(bound, c.max)),
            });
        }
    }
    Ok(points)
}
