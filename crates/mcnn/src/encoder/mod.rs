//! Training a small network of frames, where no weights of a large one can be had: what its embedding of a frame foretells,
//! by a head that is thrown away afterwards, is the demonstrated action, or the frame itself.
//!
//! The embedding has no ReLU of its own, so that no dimension dies; the head's first is behind it. After training each
//! dimension is brought to mean 0 and deviation 1 over the frames trained on, in the weights of the last layer.
//!
//! A batch is a function of the seed and the step, and a step's sums are taken in groups of a fixed size, added in their
//! order: the same seed gives the same weights on any number of threads.

mod footage;
mod net;
mod state;
#[cfg(test)]
mod tests;

pub use footage::Footage;

use std::{path::Path, sync::Mutex};

use kernels::{Convolution, Gradient};
use rayon::prelude::*;

use crate::{
    error::{Error, Kind, Result},
    optimizer::{Adam, Moments, OptimizerSettings, StepArrays},
    seed::Seed,
    vision::{By, Conv, Design, EncoderInfo, Training, write_encoder},
};
use net::{Desk, Net, Row};

/// Frames whose gradients are added up together. What comes out depends on it, in the last bits.
const GROUP: usize = 16;

/// Adam with PyTorch's defaults; the learning rate falls to 0 along a half cosine.
const OPTIMIZER: OptimizerSettings = OptimizerSettings { cosine: true, ..OptimizerSettings::ADAM };

/// How an encoder is trained.
#[derive(Debug, Clone, PartialEq)]
pub struct EncoderSettings {
    /// What it learns from.
    pub by: By,
    /// Steps.
    pub steps: u64,
    /// Frames of a step.
    pub batch: usize,
    /// The learning rate of the first step; it falls to 0 along a half cosine.
    pub lr: f64,
    /// Numbers of an embedding.
    pub width: usize,
    /// Pixels by which frames are shifted, at most, up or down and left or right, their edges repeated (Kostrikov et al., 2020).
    pub augment: usize,
    /// The share of the episodes that is held out.
    pub validation_fraction: f64,
    /// Decides whatever is random.
    pub seed: Seed,
}

impl Default for EncoderSettings {
    fn default() -> Self {
        Self {
            by: By::Action,
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

/// What a step of training did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stepped {
    /// Steps so far, with this one.
    pub step: u64,
    /// Mean squared error on the step's frames, before it.
    pub loss: f32,
}

/// Mean squared errors on the episodes held out.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Check {
    /// Frames held out.
    pub frames: usize,
    /// Of the network.
    pub loss: f64,
    /// Of the one best guess for all frames, the mean over those trained on: what there is to beat.
    pub guess: f64,
}

/// A run of training.
#[derive(Debug)]
pub struct Run {
    data: Footage,
    settings: EncoderSettings,
    net: Net,
    adam: Adam,
    step: u64,
    rows: Vec<usize>,
    held: Vec<usize>,
    desks: Mutex<Vec<Desk>>,
    gradients: Vec<Vec<Gradient>>, // by group
}

impl Run {
    /// Before the first step.
    ///
    /// # Errors
    /// Settings out of range, and frames of a size that the network does not take.
    pub fn new(data: Footage, settings: EncoderSettings) -> Result<Self> {
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
                "a share held out that is out of range",
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
        let net = Net::new(conv, settings.by, &data, settings.seed);
        let gradients = net.gradients();
        let lengths: Vec<usize> =
            gradients.iter().flat_map(|gradient| [gradient.weights.len(), gradient.bias.len()]).collect();
        let [rows, held] = data.split(validation_fraction, settings.seed.fork("held out"));
        Ok(Self {
            adam: Adam::new(&lengths, &[], Moments::zeros(lengths.iter().sum())),
            gradients: vec![gradients; batch.div_ceil(GROUP)],
            net,
            data,
            settings,
            step: 0,
            rows,
            held,
            desks: Mutex::default(),
        })
    }

    /// The recording.
    pub fn data(&self) -> &Footage {
        &self.data
    }

    /// Steps taken so far.
    pub fn steps_taken(&self) -> u64 {
        self.step
    }

    /// Frames trained on, and held out.
    pub fn frames(&self) -> [usize; 2] {
        [self.rows.len(), self.held.len()]
    }

    /// Which network it is.
    pub fn network(&self) -> Conv {
        self.net.conv
    }

    /// The next step; `None` after the last.
    pub fn step(&mut self) -> Option<Stepped> {
        if self.step >= self.settings.steps {
            return None;
        }
        let mut rng = self.settings.seed.fork("batch").nth(self.step).rng();
        let most = self.settings.augment;
        let batch: Vec<Row> = (0..self.settings.batch)
            .map(|_| {
                let row = self.rows[rng.below(self.rows.len())];
                (
                    row,
                    [0, 1].map(
                        |_| if most == 0 { 0 } else { rng.below(2 * most + 1) as isize - most as isize },
                    ),
                )
            })
            .collect();
        let lr = OPTIMIZER.learning_rate(self.settings.lr, self.settings.steps, self.step);
        let loss = self.take(&batch, lr);
        Some(Stepped { step: self.step, loss: loss as f32 })
    }

    /// Takes one step on these frames, with learning rate `lr`; returns their mean squared error before it.
    fn take(&mut self, batch: &[Row], lr: f64) -> f64 {
        let numbers = batch.len() * self.net.outputs;
        let scale = 1.0 / numbers as f32;
        let (net, data, desks) = (&self.net, &self.data, &self.desks);
        let errors: Vec<f64> = (batch.par_chunks(GROUP).zip(&mut self.gradients))
            .map(|(rows, to)| with_desk(desks, |desk| desk.learn(net, data, rows, scale, to)))
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
        self.net.follow();
        errors.iter().sum::<f64>() / numbers as f64
    }

    /// The errors on the episodes held out; `None` where none were.
    pub fn check(&self) -> Option<Check> {
        let targets = self.over(&self.rows, |desk, rows| desk.targets(&self.net, &self.data, rows).to_vec());
        let mut mean = vec![0.0_f64; self.net.outputs];
        for target in targets.iter().flat_map(|t| t.chunks_exact(self.net.outputs)) {
            mean.iter_mut().zip(target).for_each(|(sum, &v)| *sum += f64::from(v));
        }
        mean.iter_mut().for_each(|v| *v /= self.rows.len() as f64);
        let errors = self.over(&self.held, |desk, rows| {
            let guess =
                |t: &[f32]| t.iter().zip(&mean).map(|(&t, m)| (f64::from(t) - m).powi(2)).sum::<f64>();
            let targets = desk.targets(&self.net, &self.data, rows).chunks_exact(self.net.outputs);
            let guess = targets.map(guess).sum::<f64>();
            [desk.error(&self.net, &self.data, rows), guess]
        });
        let numbers = (self.held.len() * self.net.outputs) as f64;
        let mean = |k: usize| errors.iter().map(|e| e[k]).sum::<f64>() / numbers;
        (numbers > 0.0).then(|| Check { frames: self.held.len(), loss: mean(0), guess: mean(1) })
    }

    /// Writes the encoder as it is now. Answers with the file's fingerprint, and which dimensions of an embedding did not
    /// vary over the frames trained on.
    ///
    /// # Errors
    /// Weights or embeddings that are not finite, and errors of the file system.
    pub fn write(&self, path: &Path) -> Result<(String, Vec<usize>)> {
        let width = self.net.conv.width();
        let sums = self.over(&self.rows, |desk, rows| {
            let mut sums = vec![[0.0_f64; 2]; width];
            let made = desk.embed(&self.net, &self.data, rows);
            for row in made.chunks_exact(made.len() / rows.len()) {
                for ([sum, square], &v) in sums.iter_mut().zip(row) {
                    *sum += f64::from(v);
                    *square += f64::from(v).powi(2);
                }
            }
            sums
        });
        let n = self.rows.len() as f64;
        let total = |i: usize, k: usize| sums.iter().map(|s| s[i][k]).sum::<f64>() / n;
        let mean: Vec<f64> = (0..width).map(|i| total(i, 0)).collect();
        let mut std: Vec<f64> = (0..width).map(|i| (total(i, 1) - mean[i].powi(2)).max(0.0).sqrt()).collect();
        // What is only rounding is not blown up.
        let constant: Vec<usize> = (0..width).filter(|&i| std[i] <= 1e-6 * mean[i].abs().max(1e-6)).collect();
        constant.iter().for_each(|&i| std[i] = 1.0);
        let arrays = self.net.tensors(&mean, &std);
        if arrays.iter().flatten().any(|v| !v.is_finite()) {
            return Err(Error::new(Kind::Settings, "training diverged: weights that are not numbers")
                .next("a smaller learning rate (lr)"));
        }
        let s = &self.settings;
        let info = EncoderInfo {
            network: Design::Conv(self.net.conv),
            preset: self.data.preset,
            training: Training {
                by: s.by,
                steps: self.step,
                batch: s.batch,
                lr: s.lr,
                augment: s.augment,
                validation_fraction: s.validation_fraction,
                seed: s.seed.0,
                data: self.data.fingerprint(),
            },
        };
        Ok((write_encoder(path, self.net.conv, &info, &arrays)?, constant))
    }

    /// Something of groups of frames as they are, in their order.
    fn over<T: Send>(&self, rows: &[usize], each: impl Fn(&mut Desk, &[Row]) -> T + Sync) -> Vec<T> {
        let group = |rows: &[usize]| {
            let rows: Vec<Row> = rows.iter().map(|&row| (row, [0, 0])).collect();
            with_desk(&self.desks, |desk| each(desk, &rows))
        };
        rows.par_chunks(GROUP).map(group).collect()
    }
}

fn with_desk<T>(desks: &Mutex<Vec<Desk>>, work: impl FnOnce(&mut Desk) -> T) -> T {
    let mut desk = desks.lock().expect("no thread panics here").pop().unwrap_or_default();
    let made = work(&mut desk);
    desks.lock().expect("no thread panics here").push(desk);
    made
}
