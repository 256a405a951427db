//! Comparison of exported graphs with the library, state by state: onnxruntime runs the graphs in Python.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use mcnn::{
    Error, Result,
    data::{Demonstrations, Step},
    error::Kind,
    policy::{Policy, Session},
    seed::{Rng, Seed},
};
use serde_json::json;

use crate::{
    Graphs,
    network::{self, Denoising},
    policy,
};

/// The program that runs the graphs.
const PROGRAM: &str = include_str!("../../../python/onnx_check.py");
/// The most steps that are compared.
const MOST_STEPS: usize = 10_000;
/// The most differences of states that onnxruntime computes at once: 64 MB.
const DIFFERENCES: usize = 1 << 24;

/// The largest difference in one output, and where it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// Its size.
    pub size: f64,
    /// The first step that has it.
    pub at: Step,
}

/// How a policy's graphs differ from the policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Steps that were compared: the first 10,000 at most.
    pub steps: usize,
    /// Of the actions, in the data's units.
    pub action: Difference,
    /// Of the actions, relative to the half range of their dimension; the same as `action` for actions in [-1, 1].
    pub scaled_action: Difference,
    /// Of the distances, in standardized units.
    pub distance: Difference,
    /// Of the weights.
    pub weight: Difference,
    /// Steps with another memory: the nearest two are equally near up to rounding.
    pub other_memories: usize,
}

/// One step as the library acts.
struct Row {
    at: Step,
    action: Vec<f32>,
    distance: f32,
    weight: f32,
    memory: usize,
    prediction: usize, // of all predictions
    chunk_step: usize,
}

/// The steps, and the arrays that the graphs are given.
#[derive(Default)]
struct Run {
    rows: Vec<Row>,
    newest: Vec<f32>,             // [rows, n_obs]
    windows: Vec<f32>,            // [rows, window, n_obs], the last `lengths` of each
    lengths: Vec<f32>,            // [rows]
    chunk_windows: Vec<f32>,      // [predictions, window, n_obs]
    chunk_observations: Vec<f32>, // [predictions, n_obs]
    noise: Vec<Vec<Vec<f32>>>,    // [denoising steps + 1][acting members][predictions, ...]
    members: Vec<f32>,            // [predictions], the member drawn for each; empty if all act
    predictions: usize,
}

/// Acts on recorded states with a policy and with its graphs. `python`: an interpreter with onnxruntime.
///
/// # Errors
/// If the states are not of the policy's dimensions, a file cannot be written, or onnxruntime fails.
pub fn compare(policy: &Policy, graphs: &Graphs, data: &Demonstrations, python: &Path) -> Result<Comparison> {
    policy.codebook().check_space(data)?;
    let denoising = matches!(graphs, Graphs::Denoising { .. }).then(|| Denoising::of(policy));
    let run = act(policy, data, denoising.as_ref())?;
    let folder = Folder::new()?;
    let io = |what: &str, path: &Path, e: &std::io::Error| Error::io(what, path, e);
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.0.join(name);
        fs::write(&path, bytes).map_err(|e| io("writing", &path, &e))
    };
    let mut shapes = serde_json::Map::new();
    for (name, shape, values) in run.arrays(policy, graphs, denoising.as_ref()) {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        write(name, &bytes)?;
        shapes.insert(name.into(), json!(shape));
    }
    let (steps, whole_chunks) = match graphs {
        Graphs::Policy(model) => {
            write("policy.onnx", &model.bytes)?;
            (0, false)
        }
        Graphs::Denoising { step, constrain, steps, whole_chunks } => {
            write("step.onnx", &step.bytes)?;
            write("constrain.onnx", &constrain.bytes)?;
            (*steps, *whole_chunks)
        }
    };
    let of_memories = policy.codebook().len() * policy.codebook().n_features();
    let batch = (DIFFERENCES / of_memories).clamp(1, 256);
    let request = json!({"arrays": shapes, "batch": batch, "steps": steps, "whole_chunks": whole_chunks});
    write("request.json", request.to_string().as_bytes())?;
    run_program(python, &folder.0)?;
    let read = |name: &str, width: usize| -> Result<Vec<f64>> {
        let path = folder.0.join(format!("{name}.f64"));
        let bytes = fs::read(&path).map_err(|e| io("reading", &path, &e))?;
        if bytes.len() != 8 * width * run.rows.len() {
            return Err(failed("outputs of another length than the data"));
        }
        Ok(bytes.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect())
    };
    Ok(run.compared(
        policy,
        [read("action", data.n_act())?, read("distance", 1)?, read("weight", 1)?, read("memory", 1)?],
    ))
}

/// Acts along the episodes, up to [`MOST_STEPS`].
fn act(policy: &Policy, data: &Demonstrations, denoising: Option<&Denoising>) -> Result<Run> {
    let mut run = Run::default();
    if let Some(denoising) = denoising {
        run.noise = vec![vec![Vec::new(); network::acting_members(policy)]; denoising.steps() + 1];
    }
    let window = policy.horizons().observation;
    let n_obs = data.n_obs();
    for k in 0..data.n_episodes() {
        let seed = Seed(0).nth(u64::from(data.number(k)));
        let mut session = policy.session_with_seed(seed);
        let mut rngs = noise_generators(seed, policy.members().len());
        let mut draw = network::is_drawn(policy).then(|| Session::draw_seed(seed).rng());
        let mut seen: Vec<f32> = Vec::new();
        for (t, i) in data.episode(k).enumerate() {
            if run.rows.len() == MOST_STEPS {
                return Ok(run);
            }
            let state = &data.state(i)[..];
            seen.extend_from_slice(state);
            let length = (t + 1).min(window);
            let recent = &seen[seen.len() - length * n_obs..];
            let mut action = vec![0.0; data.n_act()];
            let constrained = session.act(state, &mut action)?;
            if constrained.chunk_step == 0 {
                run.predictions += 1;
                // The oldest observation is repeated.
                run.chunk_windows.extend((length..window).flat_map(|_| &recent[..n_obs]).copied());
                run.chunk_windows.extend_from_slice(recent);
                run.chunk_observations.extend_from_slice(state);
                if let Some(denoising) = denoising {
                    let size = denoising.shape(data.n_act()).iter().product();
                    if let Some(draw) = &mut draw {
                        let member = draw.below(rngs.len());
                        run.members.push(member as f32);
                        run.draw(denoising, 0, size, &mut rngs[member]);
                    } else {
                        rngs.iter_mut().enumerate().for_each(|(m, rng)| run.draw(denoising, m, size, rng));
                    }
                }
            }
            run.newest.extend_from_slice(state);
            run.windows.extend(std::iter::repeat_n(0.0, (window - length) * n_obs));
            run.windows.extend_from_slice(recent);
            run.lengths.push(length as f32);
            run.rows.push(Row {
                at: Step { episode: data.number(k), step: t as u32 },
                action,
                distance: constrained.retrieval.distance,
                weight: constrained.region.weight,
                memory: constrained.retrieval.memory,
                prediction: run.predictions - 1,
                chunk_step: constrained.chunk_step,
            });
        }
    }
    Ok(run)
}

/// The random numbers that a session's networks denoise from.
fn noise_generators(seed: Seed, members: usize) -> Vec<Rng> {
    (0..members).map(|k| Session::member_seed(seed, k).rng()).collect()
}

impl Run {
    /// Draws the noise of one prediction of an acting member, in the order in which the network does.
    fn draw(&mut self, denoising: &Denoising, member: usize, size: usize, rng: &mut Rng) {
        let has_noise = denoising.has_noise();
        for (noise, has_noise) in self.noise.iter_mut().zip(has_noise) {
            let values = (0..size).map(|_| if has_noise { rng.normal() as f32 } else { 0.0 });
            noise[member].extend(values);
        }
    }

    /// The arrays of the request with their shapes.
    fn arrays(
        &self,
        policy: &Policy,
        graphs: &Graphs,
        denoising: Option<&Denoising>,
    ) -> Vec<(&'static str, Vec<usize>, Vec<f32>)> {
        let n_obs = policy.codebook().n_obs();
        let (rows, window) = (self.rows.len(), policy.horizons().observation);
        let Some(denoising) = denoising else {
            let Graphs::Policy(model) = graphs else { unreachable!("two graphs denoise") };
            return match policy::takes_window(policy) {
                true => vec![
                    ("observations", vec![rows, window, n_obs], self.windows.clone()),
                    ("lengths", vec![rows], self.lengths.clone()),
                ],
                false => {
                    debug_assert!(model.inputs[0].starts_with("observation ["));
                    vec![("observations", vec![rows, n_obs], self.newest.clone())]
                }
            };
        };
        let predictions = self.predictions;
        let observed =
            if denoising.is_chunk { vec![predictions, window, n_obs] } else { vec![predictions, n_obs] };
        let of_rows = |of: fn(&Row) -> usize| self.rows.iter().map(|row| of(row) as f32).collect::<Vec<_>>();
        let mut noise = vec![self.noise.len(), network::acting_members(policy), predictions];
        noise.extend(denoising.shape(policy.codebook().n_act()));
        let drawn = (!self.members.is_empty()).then(|| ("member", vec![predictions], self.members.clone()));
        let arrays = vec![
            ("observations", observed, self.chunk_windows.clone()),
            ("noise", noise, self.noise.concat().concat()),
            ("newest", vec![rows, n_obs], self.newest.clone()),
            ("chunk_observation", vec![predictions, n_obs], self.chunk_observations.clone()),
            ("prediction", vec![rows], of_rows(|row| row.prediction)),
            ("chunk_step", vec![rows], of_rows(|row| row.chunk_step)),
        ];
        arrays.into_iter().chain(drawn).collect()
    }

    fn compared(&self, policy: &Policy, [action, distance, weight, memory]: [Vec<f64>; 4]) -> Comparison {
        let n_act = policy.codebook().n_act();
        let largest = |of: &dyn Fn(usize) -> f64| {
            let mut largest = Difference { size: 0.0, at: self.rows[0].at };
            for (i, row) in self.rows.iter().enumerate() {
                let size = of(i);
                if size > largest.size || size.is_nan() && !largest.size.is_nan() {
                    largest = Difference { size, at: row.at };
                }
            }
            largest
        };
        let actions = |by: &dyn Fn(usize, f64) -> f64| {
            largest(&|i| {
                let found = &action[i * n_act..][..n_act];
                let pairs = found.iter().zip(&self.rows[i].action).enumerate();
                pairs.map(|(k, (a, b))| by(k, difference(*a, *b))).fold(0.0, worse)
            })
        };
        let [_, half] = policy.codebook().units().scales();
        let scaled = |k: usize, size: f64| match half.get(k) {
            Some(half) if *half > 0.0 => size / f64::from(*half),
            _ => size,
        };
        Comparison {
            steps: self.rows.len(),
            action: actions(&|_, size| size),
            scaled_action: actions(&scaled),
            distance: largest(&|i| difference(distance[i], self.rows[i].distance)),
            weight: largest(&|i| difference(weight[i], self.rows[i].weight)),
            other_memories: self.rows.iter().zip(&memory).filter(|(r, m)| r.memory as f64 != **m).count(),
        }
    }
}

/// The difference of two numbers; 0 for equal infinities.
fn difference(found: f64, expected: f32) -> f64 {
    let expected = f64::from(expected);
    if found == expected { 0.0 } else { (found - expected).abs() }
}

/// The larger of two differences; NaN is larger than every number.
fn worse(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
}

fn run_program(python: &Path, folder: &Path) -> Result<()> {
    let output = Command::new(python).arg("-c").arg(PROGRAM).arg(folder).output();
    let output = output.map_err(|e| failed(&e.to_string()).at(python.display().to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(failed(stderr.trim_end().lines().last().unwrap_or("nothing on stderr")))
}

fn failed(found: &str) -> Error {
    Error::new(Kind::Task, "onnxruntime did not run the graph").at("--check").found(found)
}

/// Numbers the folders of this process.
static FOLDERS: AtomicUsize = AtomicUsize::new(0);

/// A temporary folder.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        let path = std::env::temp_dir();
        let own = path.join(format!("mcnn-onnx-{}-{}", std::process::id(), FOLDERS.fetch_add(1, Relaxed)));
        fs::create_dir(&own).map_err(|e| Error::io("creating the folder", &own, &e))?;
        Ok(Self(own))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0); // nothing depends on it
    }
}
