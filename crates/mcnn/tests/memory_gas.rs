//! The growing neural gas compared, sample by sample, with a slow reference implementation of the steps of Fritzke's paper.

use mcnn::{
    memory::{Gas, GasSettings},
    seed::Seed,
};

/// Fritzke's algorithm, literally: every error is decayed at every sample, edges are in one list, the search is brute force.
struct Reference {
    settings: GasSettings,
    nodes: Vec<Vec<f32>>,
    errors: Vec<f64>,
    edges: Vec<(usize, usize, u32)>,
    samples: usize,
    removed: usize,
}

fn distance2(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

impl Reference {
    fn neighbors(&self, i: usize) -> Vec<usize> {
        let mut all: Vec<usize> = self
            .edges
            .iter()
            .filter_map(|&(a, b, _)| {
                if a == i {
                    Some(b)
                } else if b == i {
                    Some(a)
                } else {
                    None
                }
            })
            .collect();
        all.sort();
        all
    }

    fn sample(&mut self, x: &[f32]) {
        self.samples += 1;
        // 1. The nearest and the second nearest node.
        let mut order: Vec<usize> = (0..self.nodes.len()).collect();
        order.sort_by(|&a, &b| distance2(x, &self.nodes[a]).total_cmp(&distance2(x, &self.nodes[b])));
        let (n1, n2) = (order[0], order[1]);
        // 2. The winner's error; 3. it and its neighbors move.
        self.errors[n1] += f64::from(distance2(x, &self.nodes[n1]).sqrt());
        for (i, eps) in std::iter::once((n1, self.settings.eps_b))
            .chain(self.neighbors(n1).into_iter().map(|n| (n, self.settings.eps_n)))
        {
            for (n, x) in self.nodes[i].iter_mut().zip(x) {
                *n += eps * (x - *n);
            }
        }
        // 4. Its edges age. 5. The edge to the second nearest node gets age 0.
        for edge in self.edges.iter_mut().filter(|e| e.0 == n1 || e.1 == n1) {
            edge.2 += 1;
        }
        self.edges.retain(|e| (e.0, e.1) != (n1.min(n2), n1.max(n2)));
        self.edges.push((n1.min(n2), n1.max(n2), 0));
        // 6. Old edges are removed, and nodes without edges with them.
        let max_age = self.settings.max_age;
        let touched: Vec<usize> =
            self.edges.iter().filter(|e| e.2 > max_age).flat_map(|e| [e.0, e.1]).collect();
        self.edges.retain(|e| e.2 <= max_age);
        let mut bare: Vec<usize> = touched.into_iter().filter(|&i| self.neighbors(i).is_empty()).collect();
        bare.sort();
        bare.dedup();
        for i in bare.into_iter().rev() {
            let last = self.nodes.len() - 1;
            self.nodes.swap_remove(i);
            self.errors.swap_remove(i);
            for e in &mut self.edges {
                let rename = |n: usize| if n == last { i } else { n };
                let (a, b) = (rename(e.0), rename(e.1));
                (e.0, e.1) = (a.min(b), a.max(b));
            }
            self.removed += 1;
        }
        // 7. A node is inserted between the node of largest error and its neighbor of largest error.
        if self.samples.is_multiple_of(self.settings.insert_every) && self.nodes.len() < self.settings.max {
            let worst = |of: Vec<usize>| {
                of.into_iter().rev().max_by(|&a, &b| self.errors[a].total_cmp(&self.errors[b])).unwrap()
            };
            let q = worst((0..self.nodes.len()).filter(|&i| !self.neighbors(i).is_empty()).collect());
            let f = worst(self.neighbors(q));
            let r = self.nodes.len();
            self.nodes.push(self.nodes[q].iter().zip(&self.nodes[f]).map(|(a, b)| 0.5 * (a + b)).collect());
            self.edges.retain(|e| (e.0, e.1) != (q.min(f), q.max(f)));
            self.edges.push((q, r, 0));
            self.edges.push((f, r, 0));
            self.errors[q] *= self.settings.alpha;
            self.errors[f] *= self.settings.alpha;
            self.errors.push(self.errors[q]);
        }
        // 8. All errors decay.
        self.errors.iter_mut().for_each(|e| *e *= self.settings.decay);
    }
}

/// Points on three separate curves, so that the graph splits and nodes are removed.
fn samples(n: usize, seed: u64) -> Vec<f32> {
    let mut rng = Seed(seed).rng();
    (0..n)
        .flat_map(|i| {
            let (t, which) = (rng.uniform() * 6.0, i % 3);
            let center = which as f64 * 5.0;
            [center + t.cos(), t.sin(), 0.1 * rng.normal()].map(|v| v as f32)
        })
        .collect()
}

fn compare(settings: GasSettings, seed: u64) -> (usize, usize) {
    let rows = samples(900, seed);
    let mut gas = Gas::new(&rows, 3, settings.clone(), &mut Seed(seed).rng());
    let mut reference = Reference {
        nodes: gas.nodes().chunks(3).map(<[f32]>::to_vec).collect(),
        errors: vec![0.0; gas.len()],
        edges: vec![],
        samples: 0,
        removed: 0,
        settings,
    };
    for (step, x) in rows.chunks(3).cycle().take(4000).enumerate() {
        gas.sample(x);
        reference.sample(x);
        assert_eq!(gas.nodes(), reference.nodes.concat(), "nodes after sample {step}");
        let mut edges: Vec<_> =
            reference.edges.iter().map(|&(a, b, age)| ([a as u32, b as u32], age)).collect();
        edges.sort();
        assert_eq!(gas.edges(), edges, "edges after sample {step}");
        for (i, &expected) in reference.errors.iter().enumerate() {
            assert!(
                (gas.error(i) - expected).abs() <= 1e-9 * expected.max(1e-12),
                "error of {i} after sample {step}"
            );
        }
    }
    (reference.nodes.len(), reference.removed)
}

#[test]
fn the_growing_gas_equals_the_reference_sample_by_sample() {
    let mut removed = 0;
    for seed in 0..4 {
        let settings = GasSettings {
            max_age: [1, 2, 4, 50][seed as usize],
            insert_every: 20,
            ..GasSettings::growing(60, 4, 900)
        };
        assert_eq!(settings.start, 2);
        let (nodes, gone) = compare(settings, seed);
        assert!(nodes > 30, "it grew: {nodes}");
        removed += gone;
    }
    assert!(removed > 10, "nodes were removed: {removed}");
}

#[test]
fn the_fixed_gas_equals_the_reference_sample_by_sample() {
    for seed in 0..2 {
        let (nodes, _) = compare(GasSettings::fixed(50, 1), seed);
        assert!(nodes <= 50);
    }
}

#[test]
fn errors_do_not_underflow() {
    // Without rescaling, the product of the decays would be 0 after about 1.5 million samples.
    let rows = samples(30, 1);
    let settings = GasSettings { decay: 0.5, insert_every: usize::MAX, ..GasSettings::fixed(5, 100) };
    let mut gas = Gas::new(&rows, 3, settings, &mut Seed(1).rng());
    gas.train(&rows, Seed(2));
    assert!((0..gas.len()).all(|i| gas.error(i).is_finite()));
    assert!((0..gas.len()).any(|i| gas.error(i) > 0.0));
}
