//! The checkpoint of an interrupted run: the parameters and Adam's state as they lie in memory, and what identifies the run.

use std::path::Path;

use safetensors::{Dtype, tensor::TensorView};
use serde::{Deserialize, Serialize};

use super::Run;
use crate::{
    atomic,
    error::{Error, Kind, Result},
    vision::{Objective, Preset, Tensors},
};

const VERSION: u32 = 2;

/// Everything that the result of a run depends on. A run resumes only from a checkpoint with an equal identity, so that it ends
/// with the bytes of an uninterrupted run.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Identity {
    kind: String,
    version: u32,
    network: String,
    preset: Preset,
    #[serde(rename = "by")]
    objective: Objective,
    steps: u64,
    batch: usize,
    lr: f64,
    augment: usize,
    #[serde(alias = "check_on")] // version 1
    validation_fraction: f64,
    seed: u64,
    data: String,
}

#[derive(Serialize, Deserialize)]
struct Header {
    step: u64,
    run: String, // an `Identity` as JSON
}

impl Run {
    fn identity(&self) -> Identity {
        let settings = &self.settings;
        Identity {
            kind: "encoder run".into(),
            version: VERSION,
            network: self.net.conv.to_string(),
            preset: self.data.preset,
            objective: settings.objective,
            steps: settings.steps,
            batch: settings.batch,
            lr: settings.lr,
            augment: settings.augment,
            validation_fraction: settings.validation_fraction,
            seed: settings.seed.0,
            data: self.data.fingerprint(),
        }
    }

    /// Writes a checkpoint of the run as it is now.
    ///
    /// # Errors
    /// Of the file system.
    pub fn save(&mut self, path: &Path) -> Result<()> {
        let run = serde_json::to_string(&self.identity()).expect("plain values");
        let text = serde_json::to_string(&Header { step: self.step, run }).expect("plain values");
        let mut arrays: Vec<(String, Vec<u8>)> = Vec::new();
        self.for_each_array(|name, values| {
            arrays.push((name, values.iter().flat_map(|v| v.to_le_bytes()).collect()));
            Ok(())
        })?;
        let views = arrays.iter().map(|(name, bytes)| {
            (name, TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes).expect("four bytes a value"))
        });
        let file = safetensors::serialize(views, Some([("mcnn".to_owned(), text)].into())).expect("they fit");
        atomic::write(path, &file)
    }

    /// Resumes from a checkpoint of version 1 or 2.
    ///
    /// # Errors
    /// A file that is damaged, or that is the checkpoint of another run.
    pub fn resume(&mut self, path: &Path) -> Result<()> {
        let mut tensors = Tensors::open(path)?;
        let header = tensors.metadata().and_then(|text| serde_json::from_str::<Header>(text).ok());
        let expected = self.identity();
        let found = header.as_ref().and_then(|header| serde_json::from_str::<Identity>(&header.run).ok());
        let is_same = found.is_some_and(|found| {
            (1..=VERSION).contains(&found.version) && Identity { version: VERSION, ..found } == expected
        });
        let step = match header {
            Some(Header { step, .. }) if is_same && step <= self.settings.steps => step,
            other => {
                let found: String =
                    other.map_or("no run".into(), |header| header.run.chars().take(600).collect());
                return Err(Error::new(Kind::Mismatch, "an interrupted run trained something else")
                    .at(path.display().to_string())
                    .expected(serde_json::to_string(&expected).expect("plain values"))
                    .found(found)
                    .next("--force starts a new run; or give the options of the interrupted run"));
            }
        };
        self.for_each_array(|name, values| {
            values.copy_from_slice(&tensors.read(&name, &[values.len()])?);
            Ok(())
        })?;
        let parameters = self.adam.moments.mean.len();
        self.adam.moments.validate(parameters, step).map_err(|fault| {
            Error::new(Kind::File, "the checkpoint of an interrupted run is damaged")
                .at(path.display().to_string())
                .found(fault)
                .next("--force starts a new run")
        })?;
        self.step = step;
        self.net.update_backward();
        Ok(())
    }

    /// Calls `each` with the name and the values of every array of a checkpoint, in order: of layer `i` the parameters
    /// (`weights.i`, `bias.i`), and of each Adam's running means of the gradient (`.mean.1`) and of its square (`.mean.2`).
    fn for_each_array(&mut self, mut each: impl FnMut(String, &mut [f32]) -> Result<()>) -> Result<()> {
        let (mut mean, mut square) = (&mut self.adam.moments.mean[..], &mut self.adam.moments.square[..]);
        for (i, layer) in self.net.layers.iter_mut().enumerate() {
            for (name, parameters) in ["weights", "bias"].into_iter().zip(layer.parameters_mut()) {
                let len = parameters.len();
                each(format!("{name}.{i}"), parameters)?;
                each(format!("{name}.{i}.mean.1"), mean.split_off_mut(..len).expect("Adam's state"))?;
                each(format!("{name}.{i}.mean.2"), square.split_off_mut(..len).expect("Adam's state"))?;
            }
        }
        Ok(())
    }
}
