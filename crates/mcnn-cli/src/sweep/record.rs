//! A run as the table sees it: of `mcnn sweep`, or of a peer, another program's policy on the same task (`bench/peers`).

use mcnn::{
    task::{adroit::Rewards, name_with_options},
    train::Lambda,
};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::{Map, Value};

use super::{results::Line, settings::Settings};

/// A task and the demonstrations learned from.
#[derive(Debug, Serialize, Clone)]
pub struct Column {
    pub task: String,
    pub data: String,
    /// Content hash of the demonstrations.
    pub fingerprint: String,
    /// Dimensions of the state that were ignored, as in a plan.
    pub ignore: String,
    /// Episodes of the demonstrations, where the results say it.
    pub demonstrations: Option<usize>,
}

impl PartialEq for Column {
    /// Results of earlier versions do not say the number of demonstrations.
    fn eq(&self, other: &Self) -> bool {
        (&self.task, &self.data, &self.fingerprint, &self.ignore)
            == (&other.task, &other.data, &other.fingerprint, &other.ignore)
    }
}

impl Column {
    /// Task and data, as the head of a column.
    pub fn title(&self) -> String {
        format!("{} / {}{}", self.task, self.data, self.ignored())
    }

    /// The task as it is learned, without the name of the data.
    pub fn task_title(&self) -> String {
        format!("{}{}", self.task, self.ignored())
    }

    fn ignored(&self) -> String {
        if self.ignore.is_empty() { String::new() } else { format!(" without {}", self.ignore) }
    }
}

/// How a run was evaluated. Runs of one column are compared, so they have the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    pub episodes: usize,
    pub first_seed: u64,
    pub reward: Rewards,
}

/// A run.
#[derive(Debug, Clone)]
pub struct Record {
    /// Identifies the run.
    pub key: (String, String),
    pub column: Column,
    pub evaluation: Evaluation,
    pub seed: u64,
    /// What distinguishes methods, and settings without effect in this run.
    pub settings: Map<String, Value>,
    pub without_effect: &'static [&'static str],
    /// The method in a few words; different methods may have the same.
    pub name: String,
    /// Whether all seeds give the same run.
    pub is_deterministic: bool,
    pub returns: Vec<Option<f64>>,
    pub reference: Option<[f64; 2]>,
    pub weight: Option<f64>,
    pub training_seconds: Option<f64>,
    pub seconds: f64,
    pub error: Option<String>,
}

/// Settings that do not belong to a method: those of the column and of its evaluation.
const NOT_OF_METHOD: [&str; 8] =
    ["seed", "task", "task_options", "data", "ignore", "episodes", "first_seed", "reward"];

impl Record {
    /// The settings of the method: without those that have no effect, and those that are null.
    pub fn method(&self) -> Map<String, Value> {
        let counts = |key: &str| !self.without_effect.contains(&key);
        let counted = self.settings.iter().filter(|(key, value)| counts(key) && !value.is_null());
        counted.map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}

impl From<Line> for Record {
    fn from(line: Line) -> Self {
        let s = &line.settings;
        let column = Column {
            task: s.task_name(),
            data: stem(&s.data),
            fingerprint: line.data.clone(),
            ignore: s.ignore.to_string(),
            demonstrations: line.demonstrations,
        };
        Self {
            key: line.key(),
            column,
            evaluation: Evaluation { episodes: s.episodes, first_seed: s.first_seed, reward: s.reward },
            seed: s.seed,
            settings: of_method(s),
            without_effect: s.without_effect(),
            name: name(s),
            is_deterministic: s.is_deterministic(),
            weight: line.eval.as_ref().and_then(|eval| eval["weight"].as_f64()),
            returns: line.returns,
            reference: line.reference,
            training_seconds: line.training_seconds,
            seconds: line.seconds,
            error: line.error,
        }
    }
}

fn stem(data: &str) -> String {
    crate::beside::stem(std::path::Path::new(data))
}

fn of_method(settings: &impl Serialize) -> Map<String, Value> {
    let Ok(Value::Object(mut map)) = serde_json::to_value(settings) else {
        unreachable!("settings are plain values")
    };
    map.retain(|key, _| !NOT_OF_METHOD.contains(&key.as_str()));
    map
}

/// A method of `mcnn sweep` in a few words.
fn name(s: &Settings) -> String {
    let backbone = match s.backbone.kind().name {
        "mlp" => "MLP",
        "bet" => "BeT",
        "unet" => "U-Net",
        "resmlp" => "residual MLP",
        "ibc" => "IBC",
        other => other,
    };
    let networks = if s.members == 1 { backbone.into() } else { format!("{} x {backbone}", s.members) };
    match s.lambda {
        Lambda::Value(0.0) if s.neighbors == 1 => "1-NN".into(),
        Lambda::Value(0.0) => format!("VINN (k = {})", s.neighbors),
        Lambda::Value(f32::INFINITY) => format!("{networks}, no memories"),
        _ => format!("MCNN, {networks}"),
    }
}

/// A result of a peer, as `bench/peers/run.py` writes it.
#[derive(Debug, Deserialize)]
pub struct PeerLine {
    /// The peer and its method, such as "imitation_bc".
    peer: String,
    settings: PeerSettings,
    data: String,
    demonstrations: usize,
    returns: Vec<Option<f64>>,
    reference: Option<[f64; 2]>,
    training_seconds: Option<f64>,
    seconds: f64,
    error: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct PeerSettings {
    task: String,
    data: String,
    /// How long it trains: "recommended", or seconds such as "60 s".
    budget: String,
    seed: u64,
    episodes: usize,
    first_seed: u64,
    #[serde(default)]
    reward: Rewards,
    #[serde(default)]
    task_options: Map<String, Value>,
}

impl PeerLine {
    /// Whether the text of a line is a peer's.
    pub fn is_in(text: &[u8]) -> bool {
        #[derive(Deserialize)]
        struct Probe {
            peer: Option<IgnoredAny>,
        }
        serde_json::from_slice::<Probe>(text).is_ok_and(|probe| probe.peer.is_some())
    }
}

impl From<PeerLine> for Record {
    fn from(line: PeerLine) -> Self {
        let s = &line.settings;
        let mut settings = of_method(s);
        settings.insert("peer".into(), line.peer.clone().into());
        let identity = serde_json::to_string(&(&line.peer, s)).expect("settings are plain values");
        Self {
            key: (identity, line.data.clone()),
            column: Column {
                task: name_with_options(&s.task, &s.task_options),
                data: stem(&s.data),
                fingerprint: line.data,
                ignore: String::new(),
                demonstrations: Some(line.demonstrations),
            },
            evaluation: Evaluation { episodes: s.episodes, first_seed: s.first_seed, reward: s.reward },
            seed: s.seed,
            settings,
            without_effect: &[],
            name: format!("{}, {}", line.peer, s.budget),
            is_deterministic: false,
            returns: line.returns,
            reference: line.reference,
            weight: None,
            training_seconds: line.training_seconds,
            seconds: line.seconds,
            error: line.error,
        }
    }
}
