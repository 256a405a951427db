//! Training by hand against Burn's autodiff.

use burn::{
    module::{Module as _, ModuleVisitor, Param},
    optim::GradientsParams,
    tensor::{Device, Tensor, TensorData},
};

use super::{oracle::BurnBet, *};
use crate::backbone::Batch;

/// What a batch is made of.
struct Case {
    bet: Bet,
    observations: Vec<f32>,
    actions: Vec<f32>,
    real: Vec<bool>,
}

fn normal(n: usize, rng: &mut Rng) -> Vec<f32> {
    (0..n).map(|_| rng.normal() as f32).collect()
}

impl Case {
    fn new(settings: BetSettings, rows: usize, n_obs: usize, n_act: usize) -> Self {
        let mut rng = Seed(21).rng();
        let places = rows * settings.window;
        let centers = normal(settings.buckets * n_act, &mut rng);
        let mut arrays = Arrays::new();
        Bet::random(n_obs, n_act, settings, &centers, Seed(22)).put(&mut arrays);
        for (name, (shape, values)) in arrays.iter_mut().filter(|(name, _)| *name != "centers") {
            let (around, by) = match shape.len() {
                1 if name.ends_with("scale") => (1.0, 0.2),
                1 => (0.0, 0.2),
                n => (0.0, 1.0 / (shape[n - 2] as f64).sqrt()),
            };
            values.iter_mut().for_each(|v| *v = (around + by * rng.normal()) as f32);
        }
        Self {
            bet: Bet::take(settings, &arrays).unwrap(),
            observations: normal(places * n_obs, &mut rng),
            actions: normal(places * n_act, &mut rng),
            real: (0..places).map(|i| i % 5 != 3).collect(),
        }
    }

    fn count(&self) -> usize {
        self.real.iter().filter(|real| **real).count()
    }

    fn wanted(&self, i: usize) -> f32 {
        0.7 * self.actions[i]
    }

    /// Loss, proposals and gradient of some of the rows.
    fn by_hand(&self, rows: std::ops::Range<usize>, room: &mut BetRoom) -> (f64, Vec<f32>, Vec<f32>) {
        let (net, numbers) = BetNet::new(&self.bet);
        let (n_obs, n_act, window) = (self.bet.n_obs(), self.bet.n_act(), self.bet.settings.window);
        let places = rows.start * window..rows.end * window;
        let own = places.start * n_act..places.end * n_act;
        let batch = Batch {
            observations: &self.observations[places.start * n_obs..places.end * n_obs],
            actions: &self.actions[own.clone()],
            real: &self.real[places],
            count: self.count(),
        };
        let (mut gradient, mut found) = (vec![f32::NAN; numbers.len()], Vec::new());
        let share = 1.0 / (self.count() * n_act) as f32;
        let loss = net.train(
            &numbers,
            &batch,
            Seed(5),
            &mut |proposals, weights, slopes| {
                found = proposals.to_vec();
                let weights = weights.unwrap();
                let mut loss = 0.0;
                for (k, i) in own.clone().enumerate() {
                    let counts = if self.real[i / n_act] { weights[k] * share } else { 0.0 };
                    let error = proposals[k] - self.wanted(i);
                    slopes[k] = 2.0 * counts * error;
                    loss += f64::from(counts * error * error);
                }
                loss
            },
            &mut gradient,
            room,
        );
        (loss, found, gradient)
    }

    /// The same by autodiff, of all rows.
    fn by_burn(&self) -> (f64, Vec<f32>, Vec<f32>) {
        let device = Device::flex().autodiff();
        let net = BurnBet::new(&self.bet, &device);
        let n_act = self.bet.n_act();
        let tensor = |values: Vec<f32>, width| {
            let shape = [values.len() / width, width];
            Tensor::<2>::from_data(TensorData::new(values, shape), &device)
        };
        let observations = tensor(self.observations.clone(), self.bet.n_obs());
        let proposed = net.propose(observations, &self.actions, &self.real, Seed(5));
        let share = 1.0 / (self.count() * n_act) as f32;
        let counts = self.real.iter().map(|real| if *real { share } else { 0.0 }).collect();
        let wanted = (0..self.actions.len()).map(|i| self.wanted(i)).collect();
        let squares = (proposed.proposal.clone() - tensor(wanted, n_act)).square() * proposed.weights;
        let loss = (squares * tensor(counts, 1)).sum() + proposed.own;
        let gradients = GradientsParams::from_grads(loss.backward(), &net);
        let mut flat = Flat { gradients, found: Vec::new() };
        net.visit(&mut flat);
        flat.found.sort_by_key(|(id, _)| *id);
        (
            f64::from(loss.into_scalar::<f32>()),
            proposed.proposal.into_data().try_into_vec().unwrap(),
            flat.found.into_iter().flat_map(|(_, values)| values).collect(),
        )
    }
}

/// Gradients by their parameters' numbers.
struct Flat {
    gradients: GradientsParams,
    found: Vec<(u64, Vec<f32>)>,
}

impl ModuleVisitor for Flat {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let gradient = self.gradients.get::<D>(param.id).expect("every parameter has a gradient");
        self.found.push((param.id.val(), gradient.into_data().try_into_vec::<f32>().unwrap()));
    }
}

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |most, v| most.max(v.abs()))
}

/// Two gradients array by array, by the largest number of each; arrays that are rounding alone by the largest of all.
fn same(bet: &Bet, found: &[f32], expected: &[f32], within: f32, what: &str) {
    assert_eq!(found.len(), expected.len());
    let (net, _) = BetNet::new(bet);
    let mut all = Arrays::new();
    let (found, expected) = [found, expected].map(|flat| net.numbers(flat)).into();
    expected.put(&mut all);
    let most = all.values().map(|(_, values)| largest(values)).fold(0.0, f32::max);
    let mut mine = Arrays::new();
    found.put(&mut mine);
    for (name, (_, expected)) in all.iter().filter(|(name, _)| *name != "centers") {
        let size = largest(expected).max(1e-3 * most);
        for (k, (a, b)) in mine[name].1.iter().zip(expected).enumerate() {
            assert!((a - b).abs() <= within * size, "{what}, {name} {k}: {a} {b}, of {size}");
        }
    }
}

#[test]
fn loss_proposals_and_gradients_are_those_of_autodiff() {
    let base = BetSettings { layers: 2, heads: 2, width: 12, window: 4, buckets: 6, ..Default::default() };
    let mut room = BetRoom::default();
    for dropout in [0.0, 0.3] {
        for (settings, rows, n_obs, n_act) in [
            (base, 5, 5, 2),
            (BetSettings { heads: 1, width: 7, window: 1, layers: 1, gamma: 0.0, ..base }, 33, 3, 1),
            (BetSettings { heads: 3, width: 45, buckets: 40, offset_weight: 3.0, ..base }, 16, 4, 3),
            (BetSettings { layers: 3, heads: 6, width: 120, window: 10, buckets: 64, ..base }, 20, 45, 24),
        ] {
            let case = Case::new(BetSettings { dropout, ..settings }, rows, n_obs, n_act);
            let what = format!("{rows} rows, {:?}", case.bet.settings);
            let (loss, proposals, gradient) = case.by_hand(0..rows, &mut room);
            let (expected, expected_proposals, expected_gradient) = case.by_burn();
            assert!((loss - expected).abs() < 1e-5 * expected, "{what}: {loss} {expected}");
            let size = largest(&expected_proposals);
            for (a, b) in proposals.iter().zip(&expected_proposals) {
                assert!((a - b).abs() < 1e-5 * size, "{what}: {a} {b}");
            }
            same(&case.bet, &gradient, &expected_gradient, 1e-4, &what);
        }
    }
}

#[test]
fn parts_of_a_batch_add_up_to_the_whole() {
    let settings = BetSettings {
        layers: 2,
        heads: 2,
        width: 12,
        window: 4,
        buckets: 6,
        dropout: 0.0,
        ..Default::default()
    };
    let (case, mut room) = (Case::new(settings, 24, 5, 2), BetRoom::default());
    let (loss, _, gradient) = case.by_hand(0..24, &mut room);
    let parts = [0..9, 9..24].map(|rows| case.by_hand(rows, &mut room));
    let together: Vec<f32> = parts[0].2.iter().zip(&parts[1].2).map(|(a, b)| a + b).collect();
    assert!((loss - parts[0].0 - parts[1].0).abs() < 1e-6 * loss);
    same(&case.bet, &together, &gradient, 1e-5, "parts");
}

#[test]
fn numbers_come_back_and_decay_is_for_weights_of_layers() {
    let case = Case::new(BetSettings { layers: 2, ..Default::default() }, 1, 5, 2);
    let (net, numbers) = BetNet::new(&case.bet);
    assert_eq!(net.numbers(&numbers), case.bet);
    let decaying: Vec<f32> = net.decaying().into_iter().flat_map(|place| numbers[place].to_vec()).collect();
    let mut arrays = Arrays::new();
    case.bet.put(&mut arrays);
    let mut expected: Vec<f32> = arrays
        .iter()
        .filter(|(name, _)| name.ends_with(".weight"))
        .flat_map(|(_, (_, v))| v.clone())
        .collect();
    assert_eq!(decaying.len(), expected.len());
    let sorted = |mut values: Vec<f32>| {
        values.sort_by(f32::total_cmp);
        values
    };
    expected = sorted(expected);
    assert_eq!(sorted(decaying), expected);
}
