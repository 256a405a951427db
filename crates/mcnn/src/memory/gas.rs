//! Growing neural gas (Fritzke, "A growing neural gas network learns topologies", NeurIPS 1994): nodes that spread
//! over the data, and edges between nodes that were nearest and second nearest to the same sample.

use std::{cmp::Ordering, collections::BinaryHeap};

use nearest::Table;

use crate::seed::{Rng, Seed};

/// The knobs of the gas, in Fritzke's terms.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct GasSettings {
    /// Nodes to start from: 2 is the growing form; as many as `max` is the fixed-size form of the authors of MCNN.
    pub start: usize,
    /// The most nodes there may be.
    pub max: usize,
    /// Passes over the shuffled data.
    pub epochs: usize,
    /// Share of the way to the sample that the winner moves.
    pub eps_b: f32,
    /// Share of the way that the winner's graph neighbors move.
    pub eps_n: f32,
    /// Edges older than this are dropped, and nodes that lose their last edge by it.
    pub max_age: u32,
    /// A node is inserted every so many samples while there are fewer than `max`.
    pub insert_every: usize,
    /// Factor on the errors of the two nodes between which a node is inserted.
    pub alpha: f64,
    /// Factor on all errors at every sample.
    pub decay: f64,
}

impl GasSettings {
    /// The defaults of the library the authors used (eps_b 0.2, eps_n 0.05, age 100), in the growing form: from 2
    /// nodes, inserting often enough that `max` is reached half-way through the `n_samples * epochs` samples, but
    /// not more often than Fritzke's every 100th sample where the data allow it.
    pub fn growing(max: usize, epochs: usize, n_samples: usize) -> Self {
        let insert_every = (n_samples * epochs / 2 / max.max(1)).clamp(1, 100);
        Self {
            start: 2.min(max),
            max,
            epochs,
            eps_b: 0.2,
            eps_n: 0.05,
            max_age: 100,
            insert_every,
            alpha: 0.5,
            decay: 0.9995,
        }
    }

    /// The authors' form: as many random nodes as there will be memories, moved but hardly ever added or dropped.
    pub fn fixed(max: usize, epochs: usize) -> Self {
        Self { start: max, insert_every: 100, ..Self::growing(max, epochs, 0) }
    }
}

/// A gas: its nodes, their errors, and the graph. It is grown one [`sample`](Gas::sample) at a time.
#[derive(Debug, Clone)]
pub struct Gas {
    settings: GasSettings,
    dim: usize,
    nodes: Vec<f32>,             // [n, dim], row by row: what moves
    table: Table,                // the same rows, laid out for searching
    errors: Vec<f64>,            // [n], to be multiplied by `worth`
    ranks: BinaryHeap<Rank>,     // an entry for each error there is, and for some that were
    worth: f64,                  // the product of all decays so far: decaying every error costs one product
    links: Vec<Vec<(u32, u32)>>, // [n], (neighbor, age), kept on both sides
    samples: u64,
}

/// An error that a node had. The largest first, of equal ones that of the lowest node.
#[derive(Debug, Clone, Copy)]
struct Rank {
    error: f64,
    node: usize,
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        self.error.total_cmp(&other.error).then(other.node.cmp(&self.node))
    }
}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Rank {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Rank {}

impl Gas {
    /// A gas whose first nodes are distinct rows of the data, drawn at random. `rows`: `[n, dim]`.
    ///
    /// # Panics
    /// If there are fewer rows than nodes to start from.
    pub fn new(rows: &[f32], dim: usize, settings: GasSettings, rng: &mut Rng) -> Self {
        let n = rows.len() / dim;
        assert!(settings.start <= n, "{} nodes to start from, {n} rows", settings.start);
        let mut gas = Self {
            dim,
            nodes: Vec::with_capacity(settings.max * dim),
            table: Table::new(dim),
            errors: Vec::new(),
            ranks: BinaryHeap::new(),
            worth: 1.0,
            links: Vec::new(),
            samples: 0,
            settings,
        };
        let mut order = rng.permutation(n);
        order.truncate(gas.settings.start);
        for i in order {
            gas.push(&rows[i * dim..][..dim], 0.0);
        }
        gas
    }

    /// Trains on every row once an epoch, in an order drawn anew from the seed.
    pub fn train(&mut self, rows: &[f32], seed: Seed) {
        for epoch in 0..self.settings.epochs {
            let order = seed.nth(epoch as u64).rng().permutation(rows.len() / self.dim);
            let dim = self.dim;
            let row = |i: usize| &rows[i * dim..][..dim];
            for (k, &i) in order.iter().enumerate() {
                if let Some(&next) = order.get(k + 1) {
                    nearest::prefetch(row(next));
                }
                self.sample(row(i));
            }
        }
    }

    /// One step of the algorithm on one sample.
    pub fn sample(&mut self, x: &[f32]) {
        self.samples += 1;
        let (Some(first), second) = self.table.two_nearest(x) else {
            return;
        };
        let winner = first.index;
        self.set_error(winner, self.errors[winner] + f64::from(first.d2.sqrt()) / self.worth);
        self.move_towards(winner, x, self.settings.eps_b);
        for k in 0..self.links[winner].len() {
            let (neighbor, age) = self.links[winner][k];
            self.move_towards(neighbor as usize, x, self.settings.eps_n);
            self.links[winner][k].1 = age + 1;
            self.set_age_of(neighbor as usize, winner as u32, age + 1);
        }
        if let Some(second) = second {
            self.set_age(winner, second.index, 0);
        }
        self.drop_old(winner);
        if self.samples.is_multiple_of(self.settings.insert_every as u64) && self.len() < self.settings.max {
            self.insert();
        }
        self.worth *= self.settings.decay;
        if self.worth < 1e-200 {
            self.errors.iter_mut().for_each(|e| *e *= self.worth);
            self.worth = 1.0;
            self.rank_anew();
        }
    }

    /// Nodes now.
    pub fn len(&self) -> usize {
        self.errors.len()
    }

    /// Whether there are no nodes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All nodes: `[n, dim]`.
    pub fn nodes(&self) -> &[f32] {
        &self.nodes
    }

    /// The error of a node.
    pub fn error(&self, i: usize) -> f64 {
        self.errors[i] * self.worth
    }

    /// The edges with their ages, each once with the smaller node first, in order.
    pub fn edges(&self) -> Vec<([u32; 2], u32)> {
        let mut all = Vec::new();
        for (i, links) in (0u32..).zip(&self.links) {
            all.extend(links.iter().filter(|(j, _)| i < *j).map(|&(j, age)| ([i, j], age)));
        }
        all.sort_unstable();
        all
    }

    fn push(&mut self, node: &[f32], error: f64) {
        self.nodes.extend_from_slice(node);
        self.table.push(node);
        self.errors.push(error);
        self.ranks.push(Rank { error, node: self.errors.len() - 1 });
        self.links.push(Vec::new());
    }

    fn set_error(&mut self, i: usize, error: f64) {
        self.errors[i] = error;
        self.ranks.push(Rank { error, node: i });
        if self.ranks.len() > 4 * self.len() + 64 {
            self.rank_anew();
        }
    }

    fn rank_anew(&mut self) {
        self.ranks = (self.errors.iter().enumerate()).map(|(node, &error)| Rank { error, node }).collect();
    }

    /// The node of largest error among those with edges, the lowest of several.
    fn worst(&mut self) -> Option<usize> {
        let mut bare = Vec::new(); // few: who has an error was nearest once, and has an edge since
        let found = loop {
            let Some(&rank) = self.ranks.peek() else { break None };
            if self.errors.get(rank.node) != Some(&rank.error) {
                self.ranks.pop(); // it has another error by now
            } else if self.links[rank.node].is_empty() {
                bare.extend(self.ranks.pop());
            } else {
                break Some(rank.node);
            }
        };
        self.ranks.extend(bare);
        found
    }

    fn move_towards(&mut self, i: usize, x: &[f32], share: f32) {
        let node = &mut self.nodes[i * self.dim..][..self.dim];
        for (n, x) in node.iter_mut().zip(x) {
            *n += share * (x - *n);
        }
        self.table.set(i, node);
    }

    /// Sets the age of an edge on both sides, making the edge where there is none.
    fn set_age(&mut self, a: usize, b: usize, age: u32) {
        self.set_age_of(a, b as u32, age);
        self.set_age_of(b, a as u32, age);
    }

    /// The same on the side of `from` alone.
    fn set_age_of(&mut self, from: usize, to: u32, age: u32) {
        match self.links[from].iter_mut().find(|(other, _)| *other == to) {
            Some(link) => link.1 = age,
            None => self.links[from].push((to, age)),
        }
    }

    fn unlink(&mut self, a: usize, b: usize) {
        self.links[a].retain(|&(other, _)| other as usize != b);
        self.links[b].retain(|&(other, _)| other as usize != a);
    }

    /// Drops the winner's edges that are too old, and nodes left without an edge by it. Only the winner's edges have
    /// aged, so no other edge can have passed the limit; the winner itself keeps the fresh edge to the runner-up.
    fn drop_old(&mut self, winner: usize) {
        let limit = self.settings.max_age;
        let mut bare: Vec<usize> = Vec::new();
        for k in (0..self.links[winner].len()).rev() {
            let (other, age) = self.links[winner][k];
            if age > limit {
                self.unlink(winner, other as usize);
                bare.push(other as usize);
            }
        }
        if bare.is_empty() {
            return; // nearly always; and nothing was allocated
        }
        bare.retain(|&i| self.links[i].is_empty());
        bare.sort_unstable();
        bare.dedup();
        for &i in bare.iter().rev() {
            self.remove(i); // from the highest down: a removal renames only the last node
        }
    }

    /// Removes a node without edges; the last node takes its number.
    fn remove(&mut self, i: usize) {
        let last = self.len() - 1;
        self.nodes.copy_within(last * self.dim.., i * self.dim);
        self.nodes.truncate(last * self.dim);
        self.table.swap_remove(i);
        self.errors.swap_remove(i);
        self.links.swap_remove(i);
        if i != last {
            self.ranks.push(Rank { error: self.errors[i], node: i });
            for k in 0..self.links[i].len() {
                let other = self.links[i][k].0 as usize;
                for link in &mut self.links[other] {
                    if link.0 as usize == last {
                        link.0 = i as u32;
                    }
                }
            }
        }
    }

    /// Inserts a node half-way between the node of largest error and its neighbor of largest error.
    fn insert(&mut self) {
        let Some(q) = self.worst() else { return };
        let before = |a: &usize, b: &usize| self.errors[*a].total_cmp(&self.errors[*b]).then(b.cmp(a));
        let f = self.links[q].iter().map(|l| l.0 as usize).max_by(before).expect("q has a neighbor");
        let middle: Vec<f32> = (0..self.dim)
            .map(|k| 0.5 * (self.nodes[q * self.dim + k] + self.nodes[f * self.dim + k]))
            .collect();
        self.set_error(q, self.errors[q] * self.settings.alpha);
        self.set_error(f, self.errors[f] * self.settings.alpha);
        let r = self.len();
        self.push(&middle, self.errors[q]);
        self.unlink(q, f);
        self.set_age(q, r, 0);
        self.set_age(f, r, 0);
    }
}
