//! A run on its way, as a file: weights and Adam's means, in the order they have in memory, and what it is a run of.

use std::path::Path;

use safetensors::{Dtype, tensor::TensorView};

use super::Run;
use crate::{
    atomic,
    error::{Error, Kind, Result},
    vision::Tensors,
};

impl Run {
    /// What a run is: one that goes on from its file ends on the same bytes.
    fn identity(&self) -> String {
        let s = &self.settings;
        let identity = serde_json::json!({
            "kind": "encoder run", "version": 1, "network": self.net.conv.to_string(), "preset": self.data.preset,
            "by": s.by, "steps": s.steps, "batch": s.batch, "lr": s.lr, "augment": s.augment, "validation_fraction": s.validation_fraction,
            "seed": s.seed, "data": self.data.fingerprint(),
        });
        identity.to_string()
    }

    /// Writes the run as it is now.
    ///
    /// # Errors
    /// Of the file system.
    pub fn save(&mut self, path: &Path) -> Result<()> {
        let text = serde_json::json!({ "step": self.step, "run": self.identity() }).to_string();
        let mut arrays: Vec<(String, Vec<u8>)> = Vec::new();
        self.arrays(|name, numbers| {
            arrays.push((name, numbers.iter().flat_map(|v| v.to_le_bytes()).collect()));
            Ok(())
        })?;
        let views = arrays.iter().map(|(name, bytes)| {
            (name, TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes).expect("four bytes a number"))
        });
        let file = safetensors::serialize(views, Some([("mcnn".to_owned(), text)].into())).expect("they fit");
        atomic::write(path, &file)
    }

    /// Goes on from where a run was saved.
    ///
    /// # Errors
    /// A file that is damaged, or of another run.
    pub fn resume(&mut self, path: &Path) -> Result<()> {
        let mut tensors = Tensors::open(path)?;
        let text = tensors.text().unwrap_or_default();
        let found: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
        let step = found["step"].as_u64().filter(|&step| step <= self.settings.steps);
        let (Some(step), true) = (step, found["run"] == self.identity()) else {
            return Err(Error::new(Kind::Mismatch, "an interrupted run trained something else")
                .at(path.display().to_string())
                .expected(self.identity())
                .found(found["run"].as_str().unwrap_or("no run").chars().take(600).collect::<String>())
                .next("--force begins anew; or give what that run was given"));
        };
        self.arrays(|name, numbers| {
            numbers.copy_from_slice(&tensors.read(&name, &[numbers.len()])?);
            Ok(())
        })?;
        self.step = step;
        self.adam.steps = step as i32;
        self.net.follow();
        Ok(())
    }

    fn arrays(&mut self, mut each: impl FnMut(String, &mut [f32]) -> Result<()>) -> Result<()> {
        for (i, (layer, means)) in self.net.layers.iter_mut().zip(&mut self.adam.means).enumerate() {
            let [weights, bias] = layer.numbers_mut();
            each(format!("weights.{i}"), weights)?;
            each(format!("bias.{i}"), bias)?;
            for (k, mean) in means.iter_mut().enumerate() {
                each(format!("weights.{i}.mean.{}", k + 1), &mut mean.weights)?;
                each(format!("bias.{i}.mean.{}", k + 1), &mut mean.bias)?;
            }
        }
        Ok(())
    }
}
