//! A plan: a TOML file with lists. Every combination of their values is a run.

use std::path::Path;

use mcnn::{
    Error, Result,
    backbone::{InvalidSetting, KINDS},
    data::regular,
    envelope::{Activation, Form},
    error::Kind,
    memory::SelectionMethod,
    optimizer::OptimizerSettings,
    policy::{Combine, ConstrainAt},
    task::adroit::Rewards,
    train::{Bagging, Distances, Lambda, TrainSettings, TrainThrough},
};
use serde::Deserialize;

use super::{
    backbones::{BackboneName, BackboneTables, WithTables},
    settings::{InputSettings, Settings},
};
use crate::args::Dimensions;

/// A plan as in its file, except the settings of backbones. Lists are combined; all other values are the same for all
/// runs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plan {
    task: String,
    #[serde(default)]
    task_options: serde_json::Map<String, serde_json::Value>,
    data: Vec<String>,
    fraction: Option<Vec<f64>>,
    count: Option<Vec<usize>>,
    #[serde(default = "gas")]
    by: Vec<SelectionMethod>,
    #[serde(default = "ones", alias = "smooth")]
    smooth_neighbors: Vec<usize>,
    #[serde(default = "auto")]
    lambda: Vec<Lambda>,
    #[serde(default = "one", alias = "l")]
    amplitude: Vec<f32>,
    #[serde(default = "clamp")]
    activation: Vec<Activation>,
    #[serde(default = "project")]
    form: Vec<Form>,
    #[serde(default = "free")]
    train_through: Vec<TrainThrough>,
    #[serde(default = "executed")]
    constrain_at: Vec<ConstrainAt>,
    /// The backbone's default if none is given.
    #[serde(default = "unset")]
    members: Vec<Option<usize>>,
    #[serde(default)]
    bagging: Bagging,
    combine: Option<Combine>,
    #[serde(default = "mlp")]
    backbone: Vec<BackboneName>,
    seed: Vec<u64>,
    #[serde(skip)]
    tables: BackboneTables,
    #[serde(default)]
    reward: Rewards,
    #[serde(default)]
    clip_actions: bool,
    #[serde(default)]
    input: InputSettings,
    #[serde(default)]
    ignore: Dimensions,
    #[serde(default)]
    encoder: Vec<String>,
    epochs: Option<usize>,
    distances: Option<Distances>,
    #[serde(alias = "neighbours")]
    neighbors: Option<usize>,
    hidden: Option<Vec<usize>>,
    steps: Option<u64>,
    batch: Option<usize>,
    lr: Option<f64>,
    #[serde(alias = "optimiser")]
    optimizer: Option<OptimizerSettings>,
    #[serde(alias = "check_on")]
    validation_fraction: Option<f64>,
    episodes: Option<usize>,
    first_seed: Option<u64>,
}

fn gas() -> Vec<SelectionMethod> {
    vec![SelectionMethod::Gas]
}
fn ones() -> Vec<usize> {
    vec![1]
}
fn auto() -> Vec<Lambda> {
    vec![Lambda::Auto]
}
fn one() -> Vec<f32> {
    vec![1.0]
}
fn clamp() -> Vec<Activation> {
    vec![Activation::Clamp]
}
fn project() -> Vec<Form> {
    vec![Form::Project]
}
fn free() -> Vec<TrainThrough> {
    vec![TrainThrough::Free]
}
fn executed() -> Vec<ConstrainAt> {
    vec![ConstrainAt::Executed]
}
fn unset() -> Vec<Option<usize>> {
    vec![None]
}
fn mlp() -> Vec<BackboneName> {
    vec![BackboneName::mlp()]
}

/// Limit of the runs of one plan.
const MAX_RUNS: usize = 1_000_000;
/// Limit of the bytes that the runs' copies of its long settings take.
const MAX_COPIED_BYTES: usize = 1 << 28;

/// Limit of a plan file, in bytes. About a thousand are usual.
const MAX_BYTES: u64 = 1 << 20;

/// Reads a plan and lists its runs, each once.
///
/// # Errors
/// If the file cannot be read, or is not a plan: the place is the line and key.
pub fn read(path: &Path) -> Result<Vec<Settings>> {
    let length = regular(path)?;
    if length > MAX_BYTES {
        return Err(Error::new(Kind::Settings, "this is not a plan")
            .at(path.display().to_string())
            .expected(format!("at most {MAX_BYTES} bytes"))
            .found(format!("{length} bytes"))
            .next("docs/plan.toml is an example with every key"));
    }
    let text = std::fs::read_to_string(path).map_err(|e| Error::io("reading", path, &e))?;
    let WithTables { plan, tables }: WithTables<Plan> = toml::from_str(&text).map_err(|e| {
        let before = e.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let shown: String = text.lines().nth(line - 1).unwrap_or_default().trim().chars().take(200).collect();
        Error::new(Kind::Settings, "this is not a plan")
            .at(format!("{}: line {line}: {shown}", path.display()))
            .found(e.message().to_string())
            .next("docs/plan.toml is an example with every key")
    })?;
    runs(&Plan { tables: tables.with_defaults(), ..plan }).map_err(|e| e.within(path.display()))
}

fn runs(plan: &Plan) -> Result<Vec<Settings>> {
    let amounts: Vec<(Option<f64>, Option<usize>)> = match (&plan.fraction, &plan.count) {
        (Some(_), Some(_)) => {
            return Err(Error::new(Kind::Settings, "two keys that exclude each other").at("fraction, count"));
        }
        (None, Some(counts)) => counts.iter().map(|&n| (None, Some(n))).collect(),
        (Some(shares), None) => shares.iter().map(|&f| (Some(f), None)).collect(),
        (None, None) => vec![(Some(0.1), None)],
    };
    check(plan, amounts.len())?;
    let defaults = TrainSettings::default();
    let mut all: Vec<Settings> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    // The seed is the outermost loop, so that an interrupted sweep has some seeds of every method, not all seeds of some.
    let lists = [
        plan.seed.len(),
        plan.data.len(),
        plan.by.len(),
        amounts.len(),
        plan.smooth_neighbors.len(),
        plan.lambda.len(),
        plan.amplitude.len(),
        plan.activation.len(),
        plan.form.len(),
        plan.train_through.len(),
        plan.constrain_at.len(),
        plan.members.len(),
        plan.backbone.len(),
    ];
    for run in 0..lists.iter().product() {
        let [
            seed,
            data,
            by,
            amount,
            smooth,
            lambda,
            amplitude,
            activation,
            form,
            through,
            at,
            members,
            backbone,
        ] = digits(run, &lists);
        let (by, lambda, (fraction, count)) = (plan.by[by], plan.lambda[lambda], amounts[amount]);
        let settings = Settings {
            task: plan.task.clone(),
            task_options: plan.task_options.clone(),
            data: plan.data[data].clone(),
            by,
            fraction,
            count,
            smooth_neighbors: plan.smooth_neighbors[smooth],
            lambda,
            amplitude: plan.amplitude[amplitude],
            activation: plan.activation[activation],
            form: plan.form[form],
            train_through: plan.train_through[through],
            constrain_at: plan.constrain_at[at],
            members: plan.members[members]
                .unwrap_or(plan.tables.settings(plan.backbone[backbone].kind()).members()),
            bagging: plan.bagging,
            combine: plan.combine,
            backbone: plan.backbone[backbone],
            tables: BackboneTables::default(),
            seed: plan.seed[seed],
            reward: plan.reward,
            clip_actions: plan.clip_actions,
            input: plan.input.clone(),
            ignore: plan.ignore.clone(),
            encoder: plan.encoder.clone(),
            epochs: plan.epochs.unwrap_or(crate::args::epochs(by)),
            distances: plan.distances.unwrap_or(defaults.distances),
            neighbors: if lambda == Lambda::Value(0.0) { plan.neighbors.unwrap_or(1) } else { 1 },
            hidden: Vec::new(),
            steps: plan.steps,
            batch: 0,
            lr: 0.0,
            optimizer: OptimizerSettings::ADAM,
            validation_fraction: plan.validation_fraction.unwrap_or(defaults.validation_fraction),
            episodes: plan.episodes.unwrap_or(100),
            first_seed: plan.first_seed.unwrap_or(1000),
        };
        let settings = settings.without_ineffective(plan, amounts[0]).with_network(plan);
        if seen.insert(settings.key()) {
            all.push(settings);
        }
    }
    Ok(all)
}

/// The digits of a number whose places have the given bases, the first one the highest.
fn digits<const N: usize>(number: usize, bases: &[usize; N]) -> [usize; N] {
    let (mut rest, mut digits) = (number, [0; N]);
    for (digit, base) in digits.iter_mut().zip(bases).rev() {
        (*digit, rest) = (rest % base, rest / base);
    }
    digits
}

fn check(plan: &Plan, amounts: usize) -> Result<()> {
    let lists = [
        ("data", plan.data.len()),
        (if plan.count.is_some() { "count" } else { "fraction" }, amounts),
        ("by", plan.by.len()),
        ("smooth_neighbors", plan.smooth_neighbors.len()),
        ("lambda", plan.lambda.len()),
        ("amplitude", plan.amplitude.len()),
        ("activation", plan.activation.len()),
        ("form", plan.form.len()),
        ("train_through", plan.train_through.len()),
        ("constrain_at", plan.constrain_at.len()),
        ("members", plan.members.len()),
        ("backbone", plan.backbone.len()),
        ("seed", plan.seed.len()),
    ];
    if let Some((key, _)) = lists.iter().find(|(_, n)| *n == 0) {
        return Err(Error::new(Kind::Settings, "an empty list makes no runs")
            .at(*key)
            .expected("at least one value"));
    }
    let total = lists.iter().try_fold(1_usize, |product, (_, n)| product.checked_mul(*n));
    if total.is_none_or(|n| n > MAX_RUNS) {
        return Err(Error::new(Kind::Settings, "too many runs").expected(format!("at most {MAX_RUNS}")));
    }
    // Every run has a copy of the long settings.
    let longest = plan.data.iter().map(String::len).max().unwrap_or(0);
    let lengths = 8 * (plan.ignore.0.len() + plan.hidden.as_ref().map_or(0, Vec::len));
    let options = serde_json::to_string(&plan.task_options).map_or(0, |text| text.len());
    let each = plan.task.len() + options + longest + lengths;
    if total.is_none_or(|n| n.saturating_mul(each) > MAX_COPIED_BYTES) {
        return Err(Error::new(Kind::Settings, "too many runs with settings that are so long")
            .expected(format!(
                "runs times the bytes of task, task_options, data, ignore and hidden: at most {MAX_COPIED_BYTES}"
            ))
            .found(format!("{} runs, {each} bytes", total.unwrap_or(usize::MAX))));
    }
    let refuse = |key: &str, expected: &str, found: String| {
        Err(Error::new(Kind::Settings, "a setting out of range").at(key).expected(expected).found(found))
    };
    if let Some((i, f)) = plan.fraction.iter().flatten().enumerate().find(|(_, f)| !(**f > 0.0 && **f <= 1.0))
    {
        return refuse(&format!("fraction[{i}]"), "a share above 0, at most 1", f.to_string());
    }
    if let Some(i) = plan.count.iter().flatten().position(|n| *n == 0) {
        return refuse(&format!("count[{i}]"), "at least 1 memory", "0".into());
    }
    if let Some(i) = plan.smooth_neighbors.iter().position(|k| *k == 0) {
        return refuse(&format!("smooth_neighbors[{i}]"), "at least 1 step", "0".into());
    }
    if let Some((i, lambda)) = plan
        .lambda
        .iter()
        .enumerate()
        .find(|(_, lambda)| matches!(lambda, Lambda::Value(value) if value.is_nan() || *value < 0.0))
    {
        return refuse(
            &format!("lambda[{i}]"),
            "a number of 0 or more, \"inf\" or \"auto\"",
            lambda.to_string(),
        );
    }
    if let Some((i, l)) = plan.amplitude.iter().enumerate().find(|(_, l)| !(**l > 0.0 && l.is_finite())) {
        return refuse(&format!("amplitude[{i}]"), "a number above 0", l.to_string());
    }
    for kind in KINDS {
        let settings = plan.tables.settings(kind);
        let (default, used) =
            (settings.default_hidden(), plan.backbone.iter().any(|name| name.kind().name == kind.name));
        let hidden = plan.hidden.clone().filter(|_| used && !default.is_empty()).unwrap_or(default);
        if let Err(InvalidSetting { option, expected, found }) = settings.validate(&hidden) {
            let key =
                if option == "--hidden" { "hidden".into() } else { format!("{} ({option})", kind.name) };
            return refuse(&key, &expected, found);
        }
    }
    match plan.episodes {
        Some(n) if n == 0 || n > 1_000_000 => refuse("episodes", "1 to 1000000", n.to_string()),
        _ => Ok(()),
    }
}

impl Settings {
    /// With the settings that have no effect here set to the plan's first values, so that equal runs have equal settings: the
    /// memories with BC (lambda inf), the network with 1-NN and VINN (lambda 0), the number of memories where all states are
    /// memories, and the seed where nothing is random.
    fn without_ineffective(self, plan: &Plan, (fraction, count): (Option<f64>, Option<usize>)) -> Self {
        let first = |all: bool| if all { (fraction, count) } else { (self.fraction, self.count) };
        match self.lambda {
            Lambda::Value(0.0) => {
                let (fraction, count) = first(self.by == SelectionMethod::All);
                let (amplitude, activation, backbone) =
                    (plan.amplitude[0], plan.activation[0], plan.backbone[0]);
                let (form, members) = (plan.form[0], 1);
                let (train_through, constrain_at) = (plan.train_through[0], plan.constrain_at[0]);
                let seed = if self.is_deterministic() { plan.seed[0] } else { self.seed };
                let learned = Self { fraction, count, amplitude, activation, backbone, seed, ..self };
                Self { form, members, train_through, constrain_at, ..learned }
            }
            // A network that sees memories depends on them without the constraint, too.
            Lambda::Value(f32::INFINITY) if !self.sees_memories() => {
                let (by, smooth_neighbors) = (plan.by[0], plan.smooth_neighbors[0]);
                Self {
                    by,
                    smooth_neighbors,
                    fraction,
                    count,
                    form: plan.form[0],
                    train_through: plan.train_through[0],
                    constrain_at: plan.constrain_at[0],
                    epochs: plan.epochs.unwrap_or(crate::args::epochs(by)),
                    ..self
                }
            }
            _ => {
                let (fraction, count) = first(self.by == SelectionMethod::All);
                Self { fraction, count, ..self }
            }
        }
    }

    /// With the settings that depend on the backbone.
    fn with_network(self, plan: &Plan) -> Self {
        let kind = self.backbone.kind();
        let architecture = plan.tables.settings(kind);
        let default = architecture.default_hidden();
        let hidden = plan.hidden.clone().filter(|_| !default.is_empty()).unwrap_or(default);
        let tables = plan.tables.only(kind);
        let defaults = architecture.optimizer_defaults();
        let (lr, batch) = (plan.lr.unwrap_or(defaults.lr), plan.batch.unwrap_or(defaults.batch));
        let optimizer = plan.optimizer.unwrap_or(defaults.optimizer);
        Self { hidden, tables, lr, batch, optimizer, ..self }
    }
}
