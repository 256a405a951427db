//! Training of a small convolutional encoder, for frames on which no pretrained network fits. From the embedding of a frame, a
//! head predicts the demonstrated action or the frame itself ([`Objective`]). The head is discarded after training.
//!
//! The embedding has no ReLU, so that no dimension dies; the first ReLU of the head follows it. After training, each dimension
//! is standardized to mean 0 and standard deviation 1 over the training frames, in the weights of the last layer.
//!
//! A mini-batch is a function of the seed and the step. Gradients are summed in groups of a fixed size, and the groups in a
//! fixed order, so the same seed gives the same weights on any number of threads.

mod net;
mod recorded_frames;
mod state;
#[cfg(test)]
mod tests;

pub use recorded_frames::RecordedFrames;

use std::{path::Path, sync::Mutex};

use kernels::{Convolution, Gradient};
use rayon::prelude::*;

use crate::{
    error::{Error, Kind, Result},
    optimizer::{Adam, Moments, OptimizerSettings, StepArrays},
    seed::Seed,
    vision::{Conv, Design, EncoderInfo, Objective, Training, write_encoder},
};
use net::{Net, Row, Workspace};

/// Frames of a group, whose gradients are summed in one workspace. The last bits of the weights depend on it.
const GROUP: usize = 16;

/// Adam with PyTorch's defaults and cosine decay of the learning rate to 0.
const OPTIMIZER: OptimizerSettings = OptimizerSettings { cosine: true, ..OptimizerSettings::ADAM };

/// How an encoder is trained.
#[derive(Debug, Clone, PartialEq)]
pub struct EncoderSettings {
    /// What the head predicts.
    pub objective: Objective,
    /// Gradient steps.
    pub steps: u64,
    /// Frames of a mini-batch.
    pub batch: usize,
    /// The learning rate of the first step, which cosine decay reduces to 0.
    pub lr: f64,
    /// Dimension of the embedding.
    pub width: usize,
    /// Random shift: the largest shift in pixels, vertically and horizontally, with edges replicated (Kostrikov et al., 2020).
    pub augment: usize,
    /// The fraction of the episodes held out for validation.
    pub validation_fraction: f64,
    /// Seed of the initial weights, the mini-batches, the random shifts and the validation split.
    pub seed: Seed,
}

impl Default for EncoderSettings {
    fn default() -> Self {
        Self {
            objective: Objective::Action,
            steps: 2000,
            batch: 128,
            lr: 1e-3,
            width: 64,
            augment: 0,
            validation_fraction: 0.1,
            seed: Seed(0),
        }
    }
}

/// The result of a gradient step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stepped {
    /// Steps so far, with this one.
    pub step: u64,
    /// Mean squared error on the mini-batch, before the step.
    pub loss: f32,
}

/// Mean squared errors on the validation episodes.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Validation {
    /// Validation frames.
    pub frames: usize,
    /// Mean squared error of the network.
    pub loss: f64,
    /// Mean squared error of the constant prediction, the mean target of the training frames: the baseline.
    #[serde(rename = "guess")]
    pub baseline_loss: f64,
}

/// A training run.
#[derive(Debug)]
pub struct Run {
    data: RecordedFrames,
    settings: EncoderSettings,
    net: Net,
    adam: Adam,
    step: u64,
    training_rows: Vec<usize>,
    validation_rows: Vec<usize>,
    workspaces: Mutex<Vec<Workspace>>,
    gradients: Vec<Vec<Gradient>>, // by group
}

impl Run {
    /// A run before its first step, with random weights.
    ///
    /// # Errors
    /// Settings out of range, and frames of a size that the network does not take.
    pub fn new(data: RecordedFrames, settings: EncoderSettings) -> Result<Self> {
        let bad = |what: &str, expected: &str, found: String| {
            Err(Error::new(Kind::Settings, what).expected(expected).found(found))
        };
        let EncoderSettings { steps, batch, lr, augment, validation_fraction, .. } = settings;
        if steps == 0 {
            return bad("no steps of training", "1 or more", "0".into());
        }
        if !(1..=1 << 16).contains(&batch) {
            return bad("a batch out of range", "1 to 65,536 frames", batch.to_string());
        }
        if !(lr > 0.0 && lr <= 1.0) {
            return bad("a learning rate out of range", "above 0, at most 1", lr.to_string());
        }
        if !(0.0..1.0).contains(&validation_fraction) {
            return bad(
                "a validation fraction out of range",
                "0 to below 1",
                validation_fraction.to_string(),
            );
        }
        let side = data.size[0].min(data.size[1]);
        if augment > side / 2 {
            return bad(
                "shifts out of range",
                &format!("at most half a side, {} pixels", side / 2),
                augment.to_string(),
            );
        }
        let conv = Conv::new(data.size, settings.width)?;
        let net = Net::new(conv, settings.objective, &data, settings.seed);
        let gradients = net.gradients();
        let lengths: Vec<usize> =
            gradients.iter().flat_map(|gradient| [gradient.weights.len(), gradient.bias.len()]).collect();
        let [training_rows, validation_rows] =
            data.split(validation_fraction, settings.seed.fork("held out"));
        Ok(Self {
            adam: Adam::new(&lengths, &[], Moments::zeros(lengths.iter().sum())),
            gradients: vec![gradients; batch.div_ceil(GROUP)],
            net,
            data,
            settings,
            step: 0,
            training_rows,
            validation_rows,
            workspaces: Mutex::default(),
        })
    }

    /// The recording.
    pub fn data(&self) -> &RecordedFrames {
        &self.data
    }

    /// Steps taken so far.
    pub fn steps_taken(&self) -> u64 {
        self.step
    }

    /// The numbers of training and of validation frames.
    pub fn frames(&self) -> [usize; 2] {
        [self.training_rows.len(), self.validation_rows.len()]
    }

    /// The architecture of the encoder.
    pub fn network(&self) -> Conv {
        self.net.conv
    }

    /// Takes the next gradient step; `None` after the last.
    pub fn step(&mut self) -> Option<Stepped> {
        if self.step >= self.settings.steps {
            return None;
        }
        let mut rng = self.settings.seed.fork("batch").nth(self.step).rng();
        let max_shift = self.settings.augment;
        let batch: Vec<Row> = (0..self.settings.batch)
            .map(|_| {
                let row = self.training_rows[rng.below(self.training_rows.len())];
                let shift = [0, 1].map(|_| match max_shift {
                    0 => 0,
                    _ => rng.below(2 * max_shift + 1) as isize - max_shift as isize,
                });
                (row, shift)
            })
            .collect();
        let lr = OPTIMIZER.learning_rate(self.settings.lr, self.settings.steps, self.step);
        let loss = self.train_on(&batch, lr);
        Some(Stepped { step: self.step, loss: loss as f32 })
    }

    /// Takes a gradient step on a mini-batch with learning rate `lr`; returns its mean squared error before the step.
    fn train_on(&mut self, batch: &[Row], lr: f64) -> f64 {
        let n_values = batch.len() * self.net.outputs;
        let scale = 1.0 / n_values as f32;
        let (net, data, workspaces) = (&self.net, &self.data, &self.workspaces);
        let errors: Vec<f64> = (batch.par_chunks(GROUP).zip(&mut self.gradients))
            .map(|(rows, grad)| {
                with_workspace(workspaces, |workspace| workspace.loss_and_grad(net, data, rows, scale, grad))
            })
            .collect();
        let arrays = StepArrays {
            parameters: self.net.layers.iter_mut().flat_map(Convolution::parameters_mut).collect(),
            gradients: self.gradients[..errors.len()]
                .iter_mut()
                .map(|group| group.iter_mut().flat_map(Gradient::arrays_mut).collect())
                .collect(),
            ema: None,
        };
        self.adam.step(&OPTIMIZER, lr, self.step, arrays);
        self.step += 1;
        self.net.update_backward();
        errors.iter().sum::<f64>() / n_values as f64
    }

    /// The errors on the validation episodes; `None` if there are none.
    pub fn validate(&self) -> Option<Validation> {
        let targets = self.map_groups(&self.training_rows, |workspace, rows| {
            workspace.targets(&self.net, &self.data, rows).to_vec()
        });
        let mut mean = vec![0.0_f64; self.net.outputs];
        for target in targets.iter().flat_map(|t| t.chunks_exact(self.net.outputs)) {
            mean.iter_mut().zip(target).for_each(|(sum, &v)| *sum += f64::from(v));
        }
        mean.iter_mut().for_each(|v| *v /= self.training_rows.len() as f64);
        let errors = self.map_groups(&self.validation_rows, |workspace, rows| {
            let baseline_error = |target: &[f32]| {
                target.iter().zip(&mean).map(|(&t, m)| (f64::from(t) - m).powi(2)).sum::<f64>()
            };
            let targets = workspace.targets(&self.net, &self.data, rows).chunks_exact(self.net.outputs);
            let baseline = targets.map(baseline_error).sum::<f64>();
            [workspace.squared_error(&self.net, &self.data, rows), baseline]
        });
        let frames = self.validation_rows.len();
        let n_values = (frames * self.net.outputs) as f64;
        let mean = |k: usize| errors.iter().map(|e| e[k]).sum::<f64>() / n_values;
        (frames > 0).then(|| Validation { frames, loss: mean(0), baseline_loss: mean(1) })
    }

    /// Writes the encoder in its current state. Returns the file's fingerprint (SHA-256) and the indices of the embedding
    /// dimensions that are constant over the training frames.
    ///
    /// # Errors
    /// Weights or embeddings that are not finite, and errors of the file system.
    pub fn write(&self, path: &Path) -> Result<(String, Vec<usize>)> {
        let width = self.net.conv.width();
        let sums = self.map_groups(&self.training_rows, |workspace, rows| {
            let mut sums = vec![[0.0_f64; 2]; width];
            let embeddings = workspace.embed(&self.net, &self.data, rows);
            for row in embeddings.chunks_exact(embeddings.len() / rows.len()) {
                for ([sum, square], &v) in sums.iter_mut().zip(row) {
                    *sum += f64::from(v);
                    *square += f64::from(v).powi(2);
                }
            }
            sums
        });
        let n = self.training_rows.len() as f64;
        let total = |i: usize, k: usize| sums.iter().map(|s| s[i][k]).sum::<f64>() / n;
        let mean: Vec<f64> = (0..width).map(|i| total(i, 0)).collect();
        let mut std: Vec<f64> = (0..width).map(|i| (total(i, 1) - mean[i].powi(2)).max(0.0).sqrt()).collect();
        // A deviation that is rounding error is not scaled up to 1.
        let constant: Vec<usize> = (0..width).filter(|&i| std[i] <= 1e-6 * mean[i].abs().max(1e-6)).collect();
        constant.iter().for_each(|&i| std[i] = 1.0);
        let arrays = self.net.tensors(&mean, &std);
        if arrays.iter().flatten().any(|v| !v.is_finite()) {
            return Err(Error::new(Kind::Settings, "training diverged: weights that are NaN or infinite")
                .next("a smaller learning rate (lr)"));
        }
        let settings = &self.settings;
        let info = EncoderInfo {
            network: Design::Conv(self.net.conv),
            preset: self.data.preset,
            training: Training {
                objective: settings.objective,
                steps: self.step,
                batch: settings.batch,
                lr: settings.lr,
                augment: settings.augment,
                validation_fraction: settings.validation_fraction,
                seed: settings.seed.0,
                data: self.data.fingerprint(),
            },
        };
        Ok((write_encoder(path, self.net.conv, &info, &arrays)?, constant))
    }

    /// Applies `compute` to every group of frames, without random shifts. The results are in the order of the groups.
    fn map_groups<T: Send>(
        &self,
        rows: &[usize],
        compute: impl Fn(&mut Workspace, &[Row]) -> T + Sync,
    ) -> Vec<T> {
        let of_group = |rows: &[usize]| {
            let rows: Vec<Row> = rows.iter().map(|&row| (row, [0, 0])).collect();
            with_workspace(&self.workspaces, |workspace| compute(workspace, &rows))
        };
        rows.par_chunks(GROUP).map(of_group).collect()
    }
}

/// Calls `compute` with a workspace that no other thread uses.
fn with_workspace<T>(workspaces: &Mutex<Vec<Workspace>>, compute: impl FnOnce(&mut Workspace) -> T) -> T {
    let mut workspace = workspaces.lock().expect("no thread panics here").pop().unwrap_or_default();
    let result = compute(&mut workspace);
    workspaces.lock().expect("no thread panics here").push(workspace);
    result
}
