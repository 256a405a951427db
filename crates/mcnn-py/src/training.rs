//! `mcnn.Trainer`: a training run, step by step.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use mcnn::{
    backbone::{Architecture, BackboneKind, KINDS},
    data::Demonstrations,
    envelope::Form,
    file,
    memory::{LearnSettings, learn},
    optimizer::OptimizerDefaults,
    seed::Seed,
    train::{Lambda, Run, TrainSettings},
};
use pyo3::{
    prelude::*,
    types::{PyBool, PyDict},
};

use crate::{
    demonstrations::{PyDemonstrations, in_units_of},
    error::{argument, raise},
    memories::PyMemories,
    policy::PyPolicy,
    session::lock,
    workers::{self, cores, pool},
};

/// A training run, step by step: `for step, loss in trainer: ...`. Arguments as those of `train`, and:
///
/// hidden: widths of hidden layers. batch: rows of a mini-batch. lr: learning rate. form: "project" or "mix". amplitude: L, above 0.
/// backbone_options: settings of the backbone by their names on the command line, such as {"diffusion_steps": 5}. threads: of one step;
/// results do not depend on it. resume: a checkpoint to continue, with the same data and settings.
#[pyclass(frozen, module = "mcnn")]
pub struct Trainer {
    run: Mutex<Run>,
    threads: usize,
    /// Gradient steps of the whole run.
    #[pyo3(get)]
    steps: u64,
}

#[pymethods]
impl Trainer {
    #[new]
    #[pyo3(signature = (demos, memories=None, backbone="mlp", members=None, steps=None, lam=None, seed=0, validation_fraction=None, *,
        hidden=None, batch=None, lr=None, form=None, amplitude=1.0, backbone_options=None, threads=None, resume=None))]
    #[allow(clippy::too_many_arguments)] // the arguments of a Python function
    fn new(
        py: Python<'_>,
        demos: &PyDemonstrations,
        memories: Option<&PyMemories>,
        backbone: &str,
        members: Option<usize>,
        steps: Option<u64>,
        lam: Option<&Bound<'_, PyAny>>,
        seed: u64,
        validation_fraction: Option<f64>,
        hidden: Option<Vec<usize>>,
        batch: Option<usize>,
        lr: Option<f64>,
        form: Option<&str>,
        amplitude: f32,
        backbone_options: Option<&Bound<'_, PyDict>>,
        threads: Option<usize>,
        resume: Option<PathBuf>,
    ) -> PyResult<Self> {
        let backbone = architecture(backbone, backbone_options)?;
        let lambda = lam.map_or(Ok(Lambda::Auto), lambda)?;
        let form = form.map_or(Ok(Form::Project), envelope_form)?;
        let of_optimizer = backbone.optimizer_defaults();
        let OptimizerDefaults { lr, batch, optimizer } = OptimizerDefaults {
            lr: lr.unwrap_or(of_optimizer.lr),
            batch: batch.unwrap_or(of_optimizer.batch),
            ..of_optimizer
        };
        let members = members.unwrap_or(backbone.members());
        if threads.is_some_and(|n| !(1..=1024).contains(&n)) {
            return Err(argument("threads", "1 to 1024", format!("{}", threads.unwrap_or(0))));
        }
        let threads = threads.unwrap_or((backbone.micro_batches(batch) * members).clamp(1, cores()));
        let settings = TrainSettings {
            hidden: hidden.unwrap_or_else(|| backbone.default_hidden()),
            lambda,
            amplitude,
            form,
            members,
            combine: TrainSettings::default_combine(&backbone),
            steps: steps
                .unwrap_or_else(|| TrainSettings::default_steps(&backbone, batch, demos.data.n_steps())),
            batch,
            lr,
            optimizer,
            validation_fraction: validation_fraction.unwrap_or(TrainSettings::default().validation_fraction),
            seed: Seed(seed),
            backbone,
            ..TrainSettings::default()
        };
        let steps = settings.steps;
        let given = memories.map(|memories| memories.codebook.clone());
        let run = workers::run(py, || {
            let data: Arc<Demonstrations> = match &given {
                Some(codebook) => in_units_of(codebook, &demos.data)?,
                None => demos.data.clone(),
            };
            let codebook = match given {
                Some(codebook) => Arc::unwrap_or_clone(codebook),
                None => learn(&data, &LearnSettings::for_policy(&data, settings.seed))?.codebook,
            };
            codebook.check_space(&data)?;
            let names = codebook.parts().names.clone().or(data.names());
            let codebook = codebook.with_names(names)?;
            match resume {
                Some(path) => Run::resume(&data, codebook, settings, file::read_checkpoint(&path)?),
                None => Run::new(&data, codebook, settings),
            }
        })?;
        Ok(Self { run: Mutex::new(run), threads, steps })
    }

    /// Takes steps until the time is over, at least one; None for a single step. Returns (steps taken so far, loss), or None if the run is
    /// done. Other Python threads run meanwhile.
    #[pyo3(signature = (milliseconds=None))]
    fn advance(&self, py: Python<'_>, milliseconds: Option<f64>) -> PyResult<Option<(u64, f32)>> {
        let most = Duration::try_from_secs_f64(milliseconds.unwrap_or(0.0) / 1000.0)
            .map_err(|_| argument("milliseconds", "a time of 0 or more", format!("{milliseconds:?}")))?;
        let pool = pool(self.threads)?;
        let last = py.detach(|| {
            pool.install(|| {
                let mut run = lock(&self.run);
                let start = Instant::now();
                let mut last = None;
                let at_once = if most.is_zero() { 1 } else { u64::MAX };
                while let Some(steps) = run.steps(at_once) {
                    last = steps.last().map(|stepped| (stepped.step, stepped.loss));
                    if start.elapsed() >= most {
                        break;
                    }
                }
                last
            })
        });
        if let Some((step, loss)) = last
            && !loss.is_finite()
        {
            let error = mcnn::Error::new(mcnn::error::Kind::Settings, "the loss is not finite");
            return Err(raise(
                error.at(format!("step {step}")).found(loss.to_string()).next("use a smaller lr"),
            ));
        }
        Ok(last)
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<(u64, f32)>> {
        self.advance(py, None)
    }

    /// The policy of the networks as they are now.
    fn policy(&self, py: Python<'_>) -> PyResult<PyPolicy> {
        workers::run(py, || Ok(PyPolicy::new(lock(&self.run).policy(), None)))
    }

    /// The mean squared error of the actions of the validation episodes; None if there are none.
    fn validation_loss(&self, py: Python<'_>) -> PyResult<Option<f64>> {
        workers::run(py, || Ok(lock(&self.run).validation().map(|validation| validation.loss)))
    }

    /// Writes a checkpoint, which `resume` continues.
    fn save_checkpoint(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        let checkpoint = py.detach(|| lock(&self.run).checkpoint());
        let checkpoint = checkpoint
            .ok_or_else(|| argument("lam", "above 0, for a network to train", "0: nothing to save"))?;
        py.detach(|| file::write_checkpoint(&path, &checkpoint)).map_err(raise)
    }

    /// Steps taken so far.
    #[getter]
    fn step(&self, py: Python<'_>) -> u64 {
        py.detach(|| lock(&self.run).steps_taken())
    }

    /// Whether all steps have been taken.
    #[getter]
    fn done(&self, py: Python<'_>) -> bool {
        py.detach(|| lock(&self.run).done())
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        format!("Trainer: step {} of {}", self.step(py), self.steps)
    }
}

/// A backbone by its name, with options as on the command line.
fn architecture(name: &str, options: Option<&Bound<'_, PyDict>>) -> PyResult<Architecture> {
    let kind = BackboneKind::named(name).ok_or_else(|| {
        let names: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
        argument("backbone", names.join(", "), format!("{name:?}"))
    })?;
    let mut given = Vec::new();
    for (key, value) in options.into_iter().flat_map(|options| options.iter()) {
        let option = key.to_string().replace('_', "-");
        let known: Vec<_> = kind.options().iter().map(|info| info.name).collect();
        if !known.contains(&option.as_str()) {
            let expected = match known.is_empty() {
                true => format!("no options of {name}"),
                false => known.join(", ").replace('-', "_"),
            };
            return Err(argument("backbone_options", expected, key.to_string()));
        }
        let text = match value.cast::<PyBool>() {
            Ok(value) => value.is_true().to_string(),
            Err(_) => value.to_string(),
        };
        given.push((option, text));
    }
    let pairs: Vec<_> = given.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    kind.with_options(&pairs).map_err(|e| {
        argument(&format!("backbone_options, {}", e.option.replace('-', "_")), e.expected, e.found)
    })
}

/// lambda from a number or a text.
pub fn lambda(value: &Bound<'_, PyAny>) -> PyResult<Lambda> {
    let expected = "a number of 0 or more, math.inf, \"auto\", or \"weight:W\" with W above 0 and below 1";
    let refuse = || argument("lam", expected, value.repr().map_or(String::new(), |text| text.to_string()));
    if let Ok(number) = value.extract::<f64>() {
        return if number >= 0.0 { Ok(Lambda::Value(number as f32)) } else { Err(refuse()) };
    }
    value.extract::<String>().ok().and_then(|text| text.parse().ok()).ok_or_else(refuse)
}

/// The form of the envelope by its name.
pub fn envelope_form(name: &str) -> PyResult<Form> {
    serde_json::from_value(serde_json::Value::String(name.into()))
        .map_err(|_| argument("form", "\"project\" or \"mix\"", format!("{name:?}")))
}
