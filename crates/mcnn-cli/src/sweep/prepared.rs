//! What the runs of a plan need: their demonstrations, the task, and encoders where the demonstrations are embeddings.

use std::{collections::HashMap, path::Path};

use mcnn::{Error, Result, data::Demonstrations, error::Kind, task::Task, vision::Encoder};

use super::settings::Settings;
use crate::{
    args::EpisodeArgs,
    commands::{
        Keep,
        recordings::{Recordings, read_to_learn},
    },
    say::say,
    task_encoder, tasks,
};

/// What runs of a plan need.
pub struct Prepared {
    task: Box<dyn Task>,
    data: Data,
    encoders: Encoders,
}

impl Prepared {
    /// Reads the data of the runs and prepares their task. There must be at least one run. Notes on the data go to stderr.
    ///
    /// # Errors
    /// Data that cannot be read or do not fit the task, and a task that cannot be prepared.
    pub fn read(plan: &Path, runs: &[Settings]) -> Result<Self> {
        let data = data(plan, runs)?;
        let task =
            tasks::named(&runs[0].task, &runs[0].task_options()).map_err(|e| e.within(plan.display()))?;
        let encoders = encoders(plan, task.as_ref(), runs, &data)?;
        Ok(Self { task, data, encoders })
    }

    pub fn task(&self) -> &dyn Task {
        self.task.as_ref()
    }

    /// Identifies a run in results: its settings and the content hash of its data.
    pub fn key(&self, run: &Settings) -> (String, String) {
        (run.key(), self.data[&run.data].1.clone())
    }

    /// The demonstrations of a run, and the encoder of its policy.
    pub fn inputs(&self, run: &Settings) -> (&Demonstrations, Option<&Encoder>) {
        (&self.data[&run.data].0, self.encoders[&run.data].as_ref())
    }
}

type Data = HashMap<String, (Demonstrations, String)>;

/// Reads every data file of the plan once. Values are the demonstrations and their fingerprint, by file.
fn data(plan: &Path, runs: &[Settings]) -> Result<Data> {
    let mut all = Data::new();
    for (i, run) in runs.iter().enumerate() {
        if !all.contains_key(&run.data) {
            let place = || format!("{}: data, {:?}", plan.display(), runs[i].data);
            let (file, everything) = ([run.file(plan)], EpisodeArgs::default());
            let Recordings { data, warnings } =
                read_to_learn(&file, &run.input(), &everything, &run.units(), None, Keep::InMemory)
                    .map_err(|e| e.within(place()))?;
            warnings.iter().for_each(|warning| say(format!("warning: {}: {warning}", file[0].display())));
            let print = data.fingerprint();
            all.insert(run.data.clone(), (data, print));
        }
    }
    Ok(all)
}

/// The encoder of the policies of each data file; `None` for plain states.
type Encoders = HashMap<String, Option<Encoder>>;

/// Finds the encoder of each data file, and checks that the data fit the task.
fn encoders(plan: &Path, task: &dyn Task, runs: &[Settings], data: &Data) -> Result<Encoders> {
    let spec = task.spec();
    let mut encoders = Encoders::new();
    for run in runs {
        if encoders.contains_key(&run.data) {
            continue;
        }
        let data = &data[&run.data].0;
        let place = |e: Error| e.within(format!("data, {:?}", run.data));
        let encoder =
            task_encoder::for_states(data.encoding(), data.n_obs(), None, spec, &run.weights(plan)?)
                .map_err(place)?;
        let n_obs = encoder.as_ref().map_or(spec.n_obs, Encoder::width);
        if (data.n_obs(), data.n_act()) != (n_obs, spec.n_act) {
            let widths = |obs, act| format!("{obs}-dimensional observations, {act}-dimensional actions");
            return Err(Error::new(Kind::Mismatch, "the demonstrations do not fit the task")
                .at(format!("task {:?}, data {:?}", spec.name, run.data))
                .expected(widths(n_obs, spec.n_act))
                .found(widths(data.n_obs(), data.n_act()))
                .next("name the task the demonstrations came from"));
        }
        encoders.insert(run.data.clone(), encoder);
    }
    Ok(encoders)
}
