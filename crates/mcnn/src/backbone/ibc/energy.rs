//! The energy of several actions for one observation, and its gradient with respect to them, as acting needs it.

use crate::backbone::{Layers, packed::PackedWeights, product::add_product, product::widest};

/// The layers of an energy in the layout of acting.
#[derive(Debug, Clone, PartialEq)]
pub struct Energy {
    n_act: usize,
    observation: Vec<f32>, // [n_obs, first width]: the weights of the first layer that the observation has
    biases: Vec<Vec<f32>>, // of each layer
    forward: Vec<PackedWeights>, // of the actions in the first layer, then of the other layers
    back: Vec<PackedWeights>, // the same, transposed
}

/// Buffers. They grow once.
#[derive(Debug, Default)]
pub struct EnergyBuffers {
    start: Vec<f32>,       // what the observation and the bias contribute to the first layer
    values: Vec<Vec<f32>>, // the output of each layer after its activation: [n, width]
    delta: Vec<f32>,
    before: Vec<f32>,
}

impl EnergyBuffers {
    /// The energies of the last [`Energy::rate`]: `[n]`.
    pub fn energies(&self) -> &[f32] {
        self.values.last().expect("energies that have been computed")
    }
}

impl Energy {
    pub fn new(layers: &Layers, n_act: usize) -> Self {
        let n_obs = layers.ends()[0] - n_act;
        let (first, bias) = layers.iter().next().expect("at least one layer");
        let (observation, of_actions) = first.split_at(n_obs * bias.len());
        let others =
            layers.iter().zip(layers.widths()).skip(1).map(|((weight, _), &inputs)| (weight, inputs));
        let (mut forward, mut back) = (Vec::new(), Vec::new());
        for (weight, inputs) in std::iter::once((of_actions, n_act)).chain(others) {
            let outputs = weight.len() / inputs;
            let transposed: Vec<f32> =
                (0..outputs).flat_map(|o| (0..inputs).map(move |i| weight[i * outputs + o])).collect();
            forward.push(PackedWeights::new(weight, inputs));
            back.push(PackedWeights::new(&transposed, outputs));
        }
        let biases = layers.iter().map(|(_, bias)| bias.to_vec()).collect();
        Self { n_act, observation: observation.to_vec(), biases, forward, back }
    }

    pub fn n_act(&self) -> usize {
        self.n_act
    }

    /// Sets the observation that actions are rated for.
    pub fn observe(&self, observation: &[f32], buffers: &mut EnergyBuffers) {
        let EnergyBuffers { start, .. } = buffers;
        start.clear();
        start.extend_from_slice(&self.biases[0]);
        add_product(observation, observation.len(), &self.observation, start);
    }

    /// Computes the energies of `actions`, `[n, n_act]`.
    pub fn rate(&self, actions: &[f32], buffers: &mut EnergyBuffers) {
        let EnergyBuffers { start, values, .. } = buffers;
        let n = actions.len() / self.n_act;
        values.resize_with(self.forward.len(), Vec::new);
        for (k, weight) in self.forward.iter().enumerate() {
            let (done, rest) = values.split_at_mut(k);
            let output = &mut rest[0];
            output.clear();
            let bias = if k == 0 { &*start } else { &self.biases[k] };
            (0..n).for_each(|_| output.extend_from_slice(bias));
            weight.add_product(done.last().map_or(actions, |input| input), output);
            if k + 1 < self.forward.len() {
                relu(output);
            }
        }
    }

    /// Writes the gradient of each energy of the last [`rate`](Self::rate) with respect to its action: `[n, n_act]`.
    pub fn gradients(&self, gradients: &mut Vec<f32>, buffers: &mut EnergyBuffers) {
        let EnergyBuffers { values, delta, before, .. } = buffers;
        let n = values.last().map_or(0, Vec::len);
        delta.clear();
        delta.resize(n, 1.0);
        for (k, weight) in self.back.iter().enumerate().rev() {
            let [_, inputs] = weight.ends();
            before.clear();
            before.resize(n * inputs, 0.0);
            weight.add_product(delta, before);
            if k > 0 {
                where_active(before, &values[k - 1]);
            }
            std::mem::swap(delta, before);
        }
        gradients.clone_from(delta);
    }
}

widest! {
    fn relu<'a>(values: &'a mut [f32]) {
        values.iter_mut().for_each(|value| *value = value.max(0.0));
    }

    /// Sets gradients to 0 where the output of ReLU is.
    fn where_active<'a>(gradients: &'a mut [f32], outputs: &'a [f32]) {
        for (gradient, output) in gradients.iter_mut().zip(outputs) {
            *gradient = if *output > 0.0 { *gradient } else { 0.0 };
        }
    }
}
