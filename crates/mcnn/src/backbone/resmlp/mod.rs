//! Diffusion over a chunk of actions by a residual MLP. Starting from noise, the network predicts the clean chunk from the noisy
//! one, the diffusion step and the newest observations, and some of the noise is removed (Ho et al., 2020; over chunks, Chi et
//! al., 2023).
//!
//! ```text
//! input    (noisy chunk [horizon, n_act], 32 sinusoids of t, observations [window, n_obs]), concatenated -> linear, width
//! block    x + linear(Mish(linear(Mish(layer norm(x)))))
//! network  input, blocks, Mish, linear -> [horizon, n_act]
//! ```
//!
//! Blocks that normalize before they compute are those of He et al., 2016, and Xiong et al., 2020. The chunk begins with the action for
//! the newest observation: of actions t to t + horizon - 1 the first ones are executed. Every prediction of the clean chunk is
//! constrained before the next denoising step. The last one is the output.

mod layout;
mod net;
mod norm;
mod settings;

pub use net::ResMlpNet;
pub use settings::ResMlpSettings;

use std::sync::Arc;

use super::{
    ActingState, Arrays, Backbone, BackboneSettings, Constrain, InvalidSetting, Level, TrainableNet,
    denoise::sinusoids, episode::fill_window, layers::concatenate_arrays, mish::mish, product::add_product,
};
use crate::{
    error::{Error, Kind, Result},
    seed::Seed,
};
use layout::Layout;

/// Sinusoids of a diffusion step.
const TIME: usize = 32;

/// What standardized observations are multiplied by, so that most lie in [-1, 1], as those that diffusion_policy scales to their range.
const OBSERVED: f32 = 0.4;

/// A residual MLP that acts.
#[derive(Debug, Clone, PartialEq)]
pub struct ResMlp {
    settings: ResMlpSettings,
    layout: Arc<Layout>,
    parameters: Vec<f32>,
    levels: Vec<Level>,    // [sample_steps]
    starts: Vec<Vec<f32>>, // [sample_steps, width]: the bias of the first layer plus the contribution of the diffusion step
}

impl ResMlp {
    /// A network of random weights, initialized as PyTorch's layers. `hidden`: the widths of the blocks, which are equal.
    ///
    /// # Panics
    /// If the settings or the widths are out of range.
    pub fn random(
        n_obs: usize,
        hidden: &[usize],
        n_act: usize,
        settings: ResMlpSettings,
        seed: Seed,
    ) -> Self {
        settings.validate(hidden).expect("settings and widths in their ranges");
        let layout = Layout::new(n_obs, [hidden[0], hidden.len()], n_act, &settings);
        let mut parameters = vec![0.0; layout.len];
        for (k, linear) in layout.linears().enumerate() {
            let mut rng = seed.fork(&k.to_string()).rng();
            let bound = 1.0 / (linear.inputs as f64).sqrt();
            let of_layer = linear.weight().start..linear.bias().end;
            parameters[of_layer].fill_with(|| rng.between(-bound, bound) as f32);
        }
        layout.blocks.iter().for_each(|block| parameters[block.scale.clone()].fill(1.0));
        Self::from_parts(settings, Arc::new(layout), parameters)
    }

    fn from_parts(settings: ResMlpSettings, layout: Arc<Layout>, parameters: Vec<f32>) -> Self {
        debug_assert_eq!(parameters.len(), layout.len);
        let levels = settings.denoising().inference_levels();
        let (input, chunk) = (&layout.input, layout.output.outputs);
        let of_time = &parameters[input.weight()][chunk * input.outputs..][..TIME * input.outputs];
        let start = |level: &Level| {
            let mut waves = [0.0; TIME];
            sinusoids(level.t, &mut waves);
            let mut start = parameters[input.bias()].to_vec();
            add_product(&waves, TIME, of_time, &mut start);
            start
        };
        let starts = levels.iter().map(start).collect();
        Self { settings, layout, parameters, levels, starts }
    }

    /// The settings.
    pub fn settings(&self) -> &ResMlpSettings {
        &self.settings
    }

    /// Width of an observation.
    pub fn n_obs(&self) -> usize {
        self.layout.n_obs
    }

    /// Width of an action.
    pub fn n_act(&self) -> usize {
        self.layout.n_act
    }

    /// The number of blocks.
    pub fn n_blocks(&self) -> usize {
        self.layout.blocks.len()
    }

    /// The number of sinusoids that a diffusion step is embedded in.
    pub fn n_sinusoids(&self) -> usize {
        TIME
    }

    /// What standardized observations are multiplied by at the input.
    pub fn observation_factor(&self) -> f32 {
        OBSERVED
    }

    /// Values in the layout of the parameters, as arrays by name.
    pub(crate) fn to_arrays(&self, values: &[f32]) -> Arrays {
        let arrays = self.layout.arrays().into_iter();
        arrays.map(|array| (array.name, (array.shape, values[array.range].to_vec()))).collect()
    }

    /// The network of arrays.
    ///
    /// # Errors
    /// If they are not those of such a network.
    fn load(settings: ResMlpSettings, arrays: &Arrays) -> Result<Self> {
        let unfit = |name: &str| {
            Error::new(Kind::File, "arrays that are not those of a residual MLP").at(name.to_string())
        };
        let shape = |name: &str| arrays.get(name).map(|(shape, _)| shape.as_slice());
        let (Some(&[inputs, width]), Some(&[_, chunk])) = (shape("input.weight"), shape("output.weight"))
        else {
            return Err(unfit("input.weight, output.weight"));
        };
        let blocks = (0..).take_while(|k| arrays.contains_key(&format!("block.{k}.first.weight"))).count();
        settings.validate(&vec![width; blocks]).map_err(InvalidSetting::into_error)?;
        let n_act = chunk / settings.horizon;
        let n_obs = inputs.saturating_sub(chunk + TIME) / settings.window;
        let fits = n_act * settings.horizon == chunk && chunk + TIME + n_obs * settings.window == inputs;
        if !fits || n_act == 0 || n_obs == 0 || n_act > 1 << 16 || n_obs > 1 << 20 {
            return Err(unfit("input.weight").found(format!("{inputs} inputs and {chunk} outputs")));
        }
        let layout = Layout::new(n_obs, [width, blocks], n_act, &settings);
        let expected = layout.arrays();
        let arrays_of = expected.iter().map(|array| (array.name.as_str(), array.shape.as_slice()));
        let parameters = concatenate_arrays(arrays, arrays_of, unfit)?;
        Ok(Self::from_parts(settings, Arc::new(layout), parameters))
    }
}

/// Buffers of acting.
#[derive(Debug, Default)]
struct Buffers {
    window: Vec<f32>,          // [window, n_obs]
    of_observations: Vec<f32>, // their contribution to the first layer
    noisy: Vec<f32>,           // [horizon, n_act]
    values: Vec<f32>,          // between the blocks: [width]
    normed: Vec<f32>,
    between: Vec<f32>,
}

impl Backbone for ResMlp {
    fn settings(&self) -> &dyn BackboneSettings {
        &self.settings
    }

    fn widths(&self) -> [usize; 2] {
        [self.n_obs(), self.n_act()]
    }

    fn is_stochastic(&self) -> bool {
        true
    }

    fn predict(&self, observations: &[f32], constrain: Constrain, state: &mut ActingState) {
        let ActingState { rng, workspace, output, .. } = state;
        let (layout, parameters) = (&*self.layout, &self.parameters[..]);
        let buffers: &mut Buffers = workspace.buffers();
        let (chunk, width) = (layout.output.outputs, layout.width);
        let (of_chunk, rest) = parameters[layout.input.weight()].split_at(chunk * width);
        fill_window(observations, [self.settings.window, layout.n_obs], &mut buffers.window);
        buffers.window.iter_mut().for_each(|x| *x *= OBSERVED);
        // The contribution of the observations is the same in every denoising step.
        buffers.of_observations.clear();
        buffers.of_observations.resize(width, 0.0);
        add_product(
            &buffers.window,
            buffers.window.len(),
            &rest[TIME * width..],
            &mut buffers.of_observations,
        );
        buffers.noisy.clear();
        buffers.noisy.extend((0..chunk).map(|_| rng.normal() as f32));
        for (step, level) in self.levels.iter().enumerate().rev() {
            let Buffers { of_observations, noisy, values, normed, between, .. } = &mut *buffers;
            values.clear();
            values.extend(self.starts[step].iter().zip(&*of_observations).map(|(a, b)| a + b));
            add_product(noisy, chunk, of_chunk, values);
            for block in &layout.blocks {
                let [scale, shift] = [&block.scale, &block.shift].map(|range| &parameters[range.clone()]);
                norm::normalize(values, scale, shift, normed);
                mish(normed);
                block.first.forward_one(parameters, normed, between);
                mish(between);
                values.iter_mut().zip(&parameters[block.second.bias()]).for_each(|(x, bias)| *x += bias);
                add_product(between, width, &parameters[block.second.weight()], values);
            }
            mish(values);
            layout.output.forward_one(parameters, values, output);
            level.to_clean(output, noisy, self.settings.prediction);
            if step > 0 {
                level.denoise(noisy, output, constrain, rng);
            }
        }
    }

    fn save_tensors(&self) -> Arrays {
        self.to_arrays(&self.parameters)
    }

    fn to_trainable(&self) -> (Box<dyn TrainableNet>, Vec<f32>) {
        let (net, parameters) = ResMlpNet::new(self);
        (Box::new(net), parameters)
    }
}

#[cfg(test)]
mod tests;
