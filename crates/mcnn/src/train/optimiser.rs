//! What moves the weights: Adam with decoupled weight decay, limits on gradients, and the course of the learning rate.

use std::collections::BTreeMap;

use burn::{
    module::{Module, ModuleVisitor, Param},
    optim::{AdamConfig, AdamWConfig, GradientsParams, ModuleOptimizer},
    tensor::{Bytes, DType, Tensor},
};
use burn_pack::{Reader, Scalar};

use super::TrainSettings;
use crate::{
    backbone::{Net, Optimiser},
    error::{Error, Kind, Result},
};

/// The optimiser of some settings for a network (Burn's own epsilon is 1e-5, PyTorch's 1e-8).
pub fn of(settings: &Optimiser, net: Option<&Net>) -> ModuleOptimizer {
    let [beta_1, beta_2] = settings.betas.map(|beta| beta as f32);
    let adam = AdamConfig::new().with_epsilon(1e-8).with_beta_1(beta_1).with_beta_2(beta_2).init();
    match net {
        Some(net) if settings.weight_decay > 0.0 => adam.with_group(
            net.decaying(),
            AdamWConfig::new()
                .with_epsilon(1e-8)
                .with_beta_1(beta_1)
                .with_beta_2(beta_2)
                .with_weight_decay(settings.weight_decay as f32)
                .build(),
            None,
        ),
        _ => adam,
    }
}

/// The optimiser of some settings for a network as its bytes, Burn's own record, have it after `step` steps.
///
/// Burn takes a record at its word and panics over one that does not fit. So it is compared first with the record of
/// an optimiser that took one step on this very network: the same tensors of the same shapes, finite, and as many steps.
///
/// # Errors
/// If the bytes are no such record.
pub fn restored(settings: &Optimiser, net: &Net, step: u64, bytes: Vec<u8>) -> Result<ModuleOptimizer> {
    let strange = |found: String| {
        Error::new(Kind::File, "the checkpoint's optimiser cannot be read")
            .found(found)
            .next("start anew with --force")
    };
    let mut gradients = GradientsParams::new();
    net.visit(&mut Zeros { gradients: &mut gradients });
    let mut example = of(settings, Some(net));
    let _ = example.step(0.0, net.clone(), gradients);
    let example = example.into_bytes().map_err(|e| strange(e.to_string()))?;
    let expected = Record::read(example).map_err(strange)?;
    let bytes = Bytes::from_bytes_vec(bytes);
    Record::read(bytes.clone()).and_then(|found| found.fits(&expected, step)).map_err(strange)?;
    of(settings, Some(net)).from_bytes(bytes).map_err(|e| strange(e.to_string()))
}

/// What a record of Burn's holds, but for the numbers of its tensors.
struct Record {
    tensors: BTreeMap<String, (DType, Vec<usize>, Option<u64>)>,
    scalars: BTreeMap<String, Scalar>,
    paths: BTreeMap<String, String>,
    finite: bool,
}

impl Record {
    fn read(bytes: Bytes) -> std::result::Result<Self, String> {
        let reader = Reader::from_bytes(bytes).map_err(|e| e.to_string())?;
        let (scalars, paths) = (reader.scalars().clone(), reader.metadata().clone());
        let (mut tensors, mut finite) = (BTreeMap::new(), true);
        for tensor in reader.into_tensors().map_err(|e| e.to_string())? {
            let (name, dtype, shape, id, bytes) = tensor.into_parts().map_err(|e| e.to_string())?;
            let (floats, rest) = bytes.as_chunks();
            finite &= rest.is_empty() && floats.iter().all(|b| f32::from_le_bytes(*b).is_finite());
            tensors.insert(name, (dtype, shape.to_vec(), id));
        }
        Ok(Self { tensors, scalars, paths, finite })
    }

    /// Whether this is a record after `step` steps of what `example` is of after one.
    fn fits(&self, example: &Self, step: u64) -> std::result::Result<(), String> {
        if step == 0 {
            return if self.tensors.is_empty() && self.scalars.is_empty() {
                Ok(())
            } else {
                Err("numbers before the first step".into())
            };
        }
        if let Some((name, _)) =
            self.tensors.iter().find(|(name, tensor)| example.tensors.get(*name) != Some(tensor))
        {
            return Err(format!("a tensor {name:.60} that does not fit the network"));
        }
        let as_expected = |(name, value): &(&String, &Scalar)| match name.ends_with(".time") {
            true => {
                u64::try_from(**value).is_ok_and(|time| time == step) && example.scalars.contains_key(*name)
            }
            false => example.scalars.get(*name) == Some(value),
        };
        if let Some((name, _)) = self.scalars.iter().find(|scalar| !as_expected(scalar)) {
            return Err(format!("a number {name:.60} that does not fit the network or its {step} steps"));
        }
        let whole = self.tensors.len() == example.tensors.len()
            && self.scalars.len() == example.scalars.len()
            && self.paths == example.paths;
        match (whole, self.finite) {
            (false, _) => Err("parts of it are missing".into()),
            (_, false) => Err("numbers that are NaN or infinite".into()),
            _ => Ok(()),
        }
    }
}

/// Gives every parameter a gradient of 0.
struct Zeros<'a> {
    gradients: &'a mut GradientsParams,
}

impl ModuleVisitor for Zeros<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.gradients.register(param.id, param.val().inner().zeros_like());
    }
}

/// The learning rate of a step, counted from 0: it rises in a straight line over the steps of warm-up, and where it is to,
/// falls along a half cosine that reaches 0 after the last step.
pub fn rate(settings: &TrainSettings, step: u64) -> f64 {
    let Optimiser { warm_up, cosine, .. } = settings.optimiser;
    let share = if step < warm_up {
        step as f64 / warm_up as f64
    } else if cosine {
        let done = (step - warm_up) as f64 / (settings.steps.saturating_sub(warm_up)).max(1) as f64;
        0.5 * (1.0 + (std::f64::consts::PI * done).cos())
    } else {
        1.0
    };
    settings.lr * share
}

/// Gradients, shortened to norm `most` together where they are longer; as they are where `most` is 0. As PyTorch's
/// `clip_grad_norm_` does, 1e-6 is added to the norm.
pub fn clipped(mut gradients: GradientsParams, net: &Net, most: f64) -> GradientsParams {
    if most == 0.0 {
        return gradients;
    }
    let mut squares = Squares { gradients: &gradients, sum: 0.0 };
    net.visit(&mut squares);
    let factor = most / (squares.sum.sqrt() + 1e-6);
    if factor < 1.0 {
        net.visit(&mut Shorten { gradients: &mut gradients, factor: factor as f32 });
    }
    gradients
}

struct Squares<'a> {
    gradients: &'a GradientsParams,
    sum: f64,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            self.sum += f64::from(gradient.square().sum().into_scalar::<f32>());
        }
    }
}

struct Shorten<'a> {
    gradients: &'a mut GradientsParams,
    factor: f32,
}

impl ModuleVisitor for Shorten<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            self.gradients.register(param.id, gradient * self.factor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_learning_rate_rises_and_falls_as_stated() {
        let with = |warm_up, cosine| TrainSettings {
            lr: 2.0,
            steps: 110,
            optimiser: Optimiser { warm_up, cosine, ..Optimiser::ADAM },
            ..TrainSettings::default()
        };
        assert_eq!(rate(&with(0, false), 77), 2.0);
        assert_eq!(
            (rate(&with(10, false), 0), rate(&with(10, false), 5), rate(&with(10, false), 50)),
            (0.0, 1.0, 2.0)
        );
        let course = with(10, true);
        assert_eq!((rate(&course, 5), rate(&course, 10)), (1.0, 2.0));
        assert!((rate(&course, 60) - 1.0).abs() < 1e-12 && rate(&course, 110) < 1e-12);
        let third = 10 + 100 / 4;
        assert!((rate(&course, third) - (1.0 + 0.5_f64.sqrt())).abs() < 1e-12);
    }
}
