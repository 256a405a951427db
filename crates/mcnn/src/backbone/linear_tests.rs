//! A linear map: all that a backbone needs. `train/linear_tests.rs` trains, saves, loads and runs it.

use super::{Workspace as Buffers, *};
use crate::{error::Result, seed::Seed};

#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub struct LinearSettings;

impl Describe for LinearSettings {
    const NAME: &'static str = "linear";
    const TITLE: &'static str = "Linear";
    const METHODS: [&'static str; 2] = ["MCNN-Linear", "Linear-BC"];
}

impl BackboneSettings for LinearSettings {
    fn random(&self, n_obs: usize, _: &[usize], n_act: usize, _: &[f32], _: Seed) -> Network {
        Linear([n_obs, n_act], vec![0.0; n_obs * n_act]).into()
    }
    fn load_tensors(&self, tensors: &Arrays) -> Result<Network> {
        let (shape, weight) = &tensors["weight"];
        Ok(Linear([shape[0], shape[1]], weight.clone()).into())
    }
}

#[derive(Debug, Clone)]
struct Linear([usize; 2], Vec<f32>); // [n_obs, n_act] and as large a weight
impl Backbone for Linear {
    fn settings(&self) -> &dyn BackboneSettings {
        &LinearSettings
    }
    fn widths(&self) -> [usize; 2] {
        self.0
    }
    fn predict(&self, x: &[f32], _: Constrain, state: &mut ActingState) {
        state.output = vec![0.0; self.0[1]];
        product::add_product(x, self.0[0], &self.1, &mut state.output);
    }
    fn save_tensors(&self) -> Arrays {
        Arrays::from([("weight".into(), (self.0.to_vec(), self.1.clone()))])
    }
    fn to_trainable(&self) -> (Box<dyn TrainableNet>, Vec<f32>) {
        (Box::new(self.clone()), self.1.clone())
    }
}

impl TrainableNet for Linear {
    fn loss_and_grad(&self, w: &[f32], b: &Batch, _: Seed, f: LossFn, g: &mut [f32], _: &mut Buffers) -> f64 {
        let ([n, m], mut y) = (self.0, vec![0.0; b.actions.len()]);
        product::add_product(b.observations, n, w, &mut y);
        let mut dy = y.clone();
        let loss = f(&y, None, &mut dy);
        let rows = || b.observations.chunks(n).zip(dy.chunks(m));
        g.iter_mut().enumerate().for_each(|(k, g)| *g = rows().map(|(x, d)| x[k / m] * d[k % m]).sum());
        loss
    }
    fn to_network(&self, parameters: &[f32]) -> Network {
        Linear(self.0, parameters.to_vec()).into()
    }
}
