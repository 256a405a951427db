//! The candidates of a race: settings of acting that can be changed without training.

use mcnn::{
    Error, Result,
    envelope::{Envelope, Form},
    error::Kind,
    policy::{ActingSettings, Combine, Policy},
    train::{Lambda, TrainThrough},
};
use serde::{Deserialize, Serialize};

use crate::args::{CandidateArgs, KnobArgs, trained_through, warn_of_training_through_the_envelope};

/// Weights at the median distance of the calibration that the grid tries, beside 0 (lambda inf).
const WEIGHTS: [f32; 5] = [0.1, 0.25, 0.5, 0.8, 0.95];

/// Memories retrieved that the grid tries.
const COUNTS: [usize; 3] = [5, 10, 30];

/// Limit of the candidates.
const MAX_CANDIDATES: usize = 1000;

/// Settings of acting, as values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// A number or "inf".
    pub lambda: Lambda,
    pub amplitude: f32,
    /// The form of the envelope.
    pub envelope: Form,
    /// Memories that a retrieval-conditioned network predicts from, or that VINN averages; null for other networks.
    pub k: Option<usize>,
    /// Networks that act; 0 for 1-NN and VINN.
    pub members: usize,
    /// How they act together; null if there are fewer than two.
    pub combine: Option<Combine>,
}

/// A candidate: what to set in the policy of the file, and the settings that it then has.
#[derive(Debug, Clone)]
pub struct Candidate {
    knobs: KnobArgs,
    pub settings: Settings,
    /// Memory weight at the median distance of the calibration; null without a calibration.
    pub weight: Option<f32>,
}

impl Candidate {
    /// The policy of the file with the candidate's settings.
    pub fn policy(&self, file: &Policy) -> Result<Policy> {
        self.knobs.set(file.clone())
    }
}

impl Settings {
    fn of(policy: &Policy) -> Self {
        let ActingSettings { envelope, neighbors, combine, .. } = policy.acting_settings();
        let members = policy.members().len();
        Self {
            lambda: Lambda::Value(envelope.lambda),
            amplitude: envelope.amplitude,
            envelope: envelope.form,
            k: match (policy.retrieved(), members) {
                (0, 0) => Some(neighbors),
                (0, _) => None,
                (k, _) => Some(k),
            },
            members,
            combine: (members > 1).then_some(combine),
        }
    }

    /// Whether two policies that differ in these settings alone act alike. The forms differ where the box is neither empty nor
    /// everything.
    fn acts_as(&self, other: &Self) -> bool {
        let either = [Lambda::Value(0.0), Lambda::Value(f32::INFINITY)].contains(&self.lambda);
        let form = if either { self.envelope } else { other.envelope };
        *self == Self { envelope: form, ..*other }
    }
}

/// The candidates of the given lists, or of the default grid, after the settings of the file, which are candidate 0. Settings
/// that act as earlier ones are left out.
///
/// # Errors
/// If a setting is out of range or one that the policy does not have, or there are too many candidates.
pub fn candidates(policy: &Policy, given: &CandidateArgs) -> Result<Vec<Candidate>> {
    let lists = if given.is_empty() { default_grid(policy) } else { given.clone() };
    let mut knobs = vec![KnobArgs::default()];
    extend(&mut knobs, &lists.lambda, |knobs, value| knobs.lambda = Some(value))?;
    extend(&mut knobs, &lists.amplitude, |knobs, value| knobs.amplitude = Some(value))?;
    extend(&mut knobs, &lists.envelope, |knobs, value| knobs.envelope = Some(value))?;
    extend(&mut knobs, &lists.k, |knobs, value| knobs.k = Some(value))?;
    extend(&mut knobs, &lists.members, |knobs, value| knobs.members = Some(value))?;
    extend(&mut knobs, &lists.combine, |knobs, value| knobs.combine = Some(value))?;
    let median = median_distance(policy);
    let mut candidates: Vec<Candidate> = Vec::new();
    for knobs in [KnobArgs::default()].into_iter().chain(knobs) {
        let changed = knobs.set(policy.clone())?;
        let settings = Settings::of(&changed);
        if !candidates.iter().any(|candidate| candidate.settings.acts_as(&settings)) {
            let weight = median.map(|d| changed.envelope().region(d).weight);
            candidates.push(Candidate { knobs, settings, weight });
        }
    }
    let own = candidates[0].settings;
    let same_box = |c: &Candidate| {
        (c.settings.lambda, c.settings.amplitude, c.settings.envelope)
            == (own.lambda, own.amplitude, own.envelope)
    };
    if !candidates.iter().all(same_box) && trained_through(policy) == TrainThrough::Envelope {
        warn_of_training_through_the_envelope();
    }
    Ok(candidates)
}

/// Weights at the median distance and both forms for a network; counts of memories for a network that retrieves, and for 1-NN
/// and VINN.
fn default_grid(policy: &Policy) -> CandidateArgs {
    let mut grid = CandidateArgs::default();
    if !policy.members().is_empty() {
        grid.lambda.push(Lambda::Value(f32::INFINITY));
        grid.lambda.extend(WEIGHTS.map(Lambda::Weight));
        grid.envelope = vec![Form::Project, Form::Mix];
    }
    if policy.members().is_empty() || policy.retrieved() > 0 {
        grid.k = COUNTS.into_iter().filter(|k| *k <= policy.codebook().len()).collect();
    }
    grid
}

/// Every element of `knobs` with every one of `values`.
fn extend<T: Copy>(knobs: &mut Vec<KnobArgs>, values: &[T], set: impl Fn(&mut KnobArgs, T)) -> Result<()> {
    if values.is_empty() {
        return Ok(());
    }
    if knobs.len() * values.len() > MAX_CANDIDATES {
        return Err(Error::new(Kind::Settings, "there are too many candidates")
            .expected(format!("{MAX_CANDIDATES} at most"))
            .found(format!("{} or more", knobs.len() * values.len()))
            .next("give shorter lists"));
    }
    let with = |knobs: &KnobArgs, value: T| {
        let mut knobs = knobs.clone();
        set(&mut knobs, value);
        knobs
    };
    *knobs = knobs.iter().flat_map(|knobs| values.iter().map(move |value| with(knobs, *value))).collect();
    Ok(())
}

/// The median distance of the calibration, from which weights are counted; `None` without a calibration.
fn median_distance(policy: &Policy) -> Option<f32> {
    // The lambda at which the weight there is 1/2.
    let half = Lambda::Weight(0.5).for_calibration(policy.calibration()).ok()?;
    Some(Envelope { lambda: half, ..Envelope::default() }.half_distance())
}
