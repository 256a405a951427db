//! A retrieval-conditioned network: it is given a memory beside the observation and predicts by how much the action wanted
//! differs from the memory's. Acting averages the predictions from the nearest memories.
//!
//! ```text
//! p_j(x) = a_j + F(x, x - s_j, a_j)                x the observation, s_j and a_j state and action of memory j
//! g(x)   = mean of clamp(p_j(x), -1, 1)            over the k nearest memories j
//! F        2 n_obs + n_act -> hidden layers, ReLU -> n_act; the last layer starts at zero, so that p_j = a_j
//! ```
//!
//! Training takes pairs of a demonstrated step and a memory of another episode near it, and the output of a row is `p_j`.
//! Related: regression on pairs (twin neural network regression, Wetzel et al., 2022) and policies conditioned on retrieved
//! demonstrations (REGENT, Sridhar et al., 2025).
//!
//! The sums of the first layer are linear in x, s_j and a_j. With its weights `W = [W_x; W_d; W_a]` and its bias b they are
//! `x (W_x + W_d) + code_j`, where `code_j = b - s_j W_d + a_j W_a` is computed once for each memory
//! ([`Backbone::encode_memories`]). Only the layers after it are computed for each memory retrieved, as one product of matrices.

mod net;
#[cfg(test)]
mod net_tests;
mod settings;
#[cfg(test)]
mod tests;

pub use net::RetrievalNet;
pub use settings::RetrievalSettings;

use super::{
    ActingState, Arrays, Backbone, BackboneSettings, Constrain, InvalidSetting, Layers, Neighbors,
    TrainableNet, layers::clear_and_reserve, packed::PackedWeights, product::add_product, product::widest,
};
use crate::{
    error::{Error, Kind, Result},
    seed::Seed,
};

/// A retrieval-conditioned network that acts.
#[derive(Debug, Clone, PartialEq)]
pub struct RetrievalMlp {
    settings: RetrievalSettings,
    layers: Layers,             // 2 n_obs + n_act, hidden layers, n_act
    observation: Vec<f32>,      // [n_obs, code width]: W_x + W_d
    packed: Vec<PackedWeights>, // the weights of the layers after the first
}

impl RetrievalMlp {
    /// A network whose last layer is zero, so that it predicts the action of the memory; the other layers are random, as
    /// [`Layers::random`] draws them. `hidden`: widths of the hidden layers.
    ///
    /// # Panics
    /// If a width is 0 or the settings are out of range.
    pub fn random(
        n_obs: usize,
        hidden: &[usize],
        n_act: usize,
        settings: RetrievalSettings,
        seed: Seed,
    ) -> Self {
        assert!(n_obs > 0, "an observation of no dimensions");
        let random = Layers::random(&[&[2 * n_obs + n_act], hidden, &[n_act]].concat(), seed);
        let mut layers: Vec<_> = random.iter().map(|(w, b)| (w.to_vec(), b.to_vec())).collect();
        let (weight, bias) = layers.last_mut().expect("at least one layer");
        weight.fill(0.0);
        bias.fill(0.0);
        let layers = Layers::new(random.widths().to_vec(), layers).expect("the same widths");
        Self::new(settings, layers).expect("the widths fit")
    }

    /// A network of given layers.
    ///
    /// # Errors
    /// If a setting is out of range, or the widths are not those of such a network.
    pub fn new(settings: RetrievalSettings, layers: Layers) -> Result<Self> {
        settings.validate(&[]).map_err(InvalidSetting::into_error)?;
        let [inputs, n_act] = layers.ends();
        if inputs <= n_act || !(inputs - n_act).is_multiple_of(2) {
            let what = "layers that are not those of a retrieval-conditioned network";
            return Err(Error::new(Kind::File, what)
                .at("0.weight")
                .expected(format!("2 n_obs + {n_act} inputs, for {n_act} outputs"))
                .found(format!("{inputs} inputs")));
        }
        let n_obs = (inputs - n_act) / 2;
        let (first, bias) = layers.iter().next().expect("at least one layer");
        let (of_x, rest) = first.split_at(n_obs * bias.len());
        let observation = of_x.iter().zip(rest).map(|(x, d)| x + d).collect();
        let packed = layers.iter().zip(layers.widths()).skip(1);
        let packed = packed.map(|((weight, _), &inputs)| PackedWeights::new(weight, inputs)).collect();
        Ok(Self { settings, layers, observation, packed })
    }

    /// The settings.
    pub fn settings(&self) -> &RetrievalSettings {
        &self.settings
    }

    /// The layers of F.
    pub fn layers(&self) -> &Layers {
        &self.layers
    }

    /// Width of an observation.
    pub fn n_obs(&self) -> usize {
        let [inputs, n_act] = self.layers.ends();
        (inputs - n_act) / 2
    }

    /// Width of an action.
    pub fn n_act(&self) -> usize {
        self.layers.ends()[1]
    }

    /// Width of a memory's code: the outputs of the first layer.
    pub fn code_width(&self) -> usize {
        self.layers.widths()[1]
    }
}

/// Buffers of acting.
#[derive(Debug, Default)]
struct Buffers {
    observation: Vec<f32>, // the contribution of the observation to the first layer: [code width]
    input: Vec<f32>,       // of a layer: [k, inputs]
    values: Vec<f32>,      // its output: [k, outputs]
}

impl Backbone for RetrievalMlp {
    fn settings(&self) -> &dyn BackboneSettings {
        &self.settings
    }

    fn widths(&self) -> [usize; 2] {
        [self.n_obs(), self.n_act()]
    }

    fn encode_memories(&self, states: &[f32], actions: &[f32]) -> Vec<f32> {
        let (n_obs, n_act, n) = (self.n_obs(), self.n_act(), actions.len() / self.n_act());
        assert_eq!(
            [states.len(), actions.len()],
            [n * n_obs, n * n_act],
            "states and actions of the same memories"
        );
        let (weight, bias) = self.layers.iter().next().expect("at least one layer");
        let mut input = Vec::with_capacity(n * (n_obs + n_act));
        for (state, action) in states.chunks_exact(n_obs).zip(actions.chunks_exact(n_act)) {
            input.extend(state.iter().map(|s| -s));
            input.extend_from_slice(action);
        }
        let mut codes = bias.repeat(n);
        add_product(&input, n_obs + n_act, &weight[n_obs * bias.len()..], &mut codes);
        codes
    }

    fn predict(&self, observation: &[f32], _: Constrain, state: &mut ActingState) {
        let ActingState { workspace, neighbors: Neighbors { codes, actions }, output, .. } = state;
        let ([n_obs, n_act], width) = (self.widths(), self.code_width());
        let k = actions.len() / n_act;
        assert_eq!(observation.len(), n_obs, "an observation of another width than the network");
        assert!(k > 0, "a retrieval-conditioned network needs memories: none were set before the prediction");
        assert_eq!(
            [codes.len(), actions.len()],
            [k * width, k * n_act],
            "codes and actions of memories of other widths than the network"
        );
        let Buffers { observation: of_observation, input, values } = workspace.buffers();
        of_observation.clear();
        of_observation.resize(width, 0.0);
        add_product(observation, n_obs, &self.observation, of_observation);
        clear_and_reserve(k * self.layers.max_width(), [&mut *input, &mut *values]); // the layers swap them
        values.extend_from_slice(codes);
        add_to_rows(values, of_observation);
        let biases = self.layers.iter().skip(1).map(|(_, bias)| bias);
        for (weight, bias) in self.packed.iter().zip(biases) {
            relu(values);
            std::mem::swap(input, values);
            values.clear();
            (0..k).for_each(|_| values.extend_from_slice(bias));
            weight.add_product(input, values);
        }
        output.clear();
        output.resize(n_act, 0.0);
        mean_of_clamped(values, actions, output);
    }

    fn save_tensors(&self) -> Arrays {
        let mut tensors = Arrays::new();
        self.layers.save_tensors("", &mut tensors);
        tensors
    }

    fn to_trainable(&self) -> (Box<dyn TrainableNet>, Vec<f32>) {
        let (net, parameters) = RetrievalNet::new(self);
        (Box::new(net), parameters)
    }
}

widest! {
    /// Adds a row to each of some rows.
    fn add_to_rows<'a>(rows: &'a mut [f32], add: &'a [f32]) {
        for row in rows.chunks_exact_mut(add.len()) {
            row.iter_mut().zip(add).for_each(|(value, add)| *value += add);
        }
    }

    fn relu<'a>(values: &'a mut [f32]) {
        values.iter_mut().for_each(|value| *value = value.max(0.0));
    }

    /// The mean over memories of `clamp(action + difference, -1, 1)`, both `[k, n_act]`, into `mean`, `[n_act]` zeros.
    fn mean_of_clamped<'a>(differences: &'a [f32], actions: &'a [f32], mean: &'a mut [f32]) {
        let n_act = mean.len();
        for (difference, action) in differences.chunks_exact(n_act).zip(actions.chunks_exact(n_act)) {
            for (sum, (d, a)) in mean.iter_mut().zip(difference.iter().zip(action)) {
                *sum += (a + d).clamp(-1.0, 1.0);
            }
        }
        let k = (actions.len() / n_act) as f32;
        mean.iter_mut().for_each(|sum| *sum /= k);
    }
}
