//! Growing neural gas (Fritzke, "A growing neural gas network learns topologies", NeurIPS 1994): nodes that approximate the
//! distribution of the data, and edges between nodes that were nearest and second nearest to the same sample.
//!
//! Its steps are Fritzke's but for one: the winner's error grows by its distance to the sample, as in the library that the authors
//! of MCNN used, where Fritzke adds the squared distance. The constants are that library's, too ([`GasSettings::growing`]). With
//! squares the largest distances get smaller and the median larger.

use std::{cmp::Ordering, collections::BinaryHeap};

use nearest::Table;

use super::rows::Rows;
use crate::seed::{Rng, Seed};

/// The parameters of the gas, in Fritzke's notation.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct GasSettings {
    /// Initial nodes: 2 for the growing form; `max` for the fixed-size form of the authors of MCNN.
    pub start: usize,
    /// The maximum number of nodes.
    pub max: usize,
    /// Passes over the shuffled data.
    pub epochs: usize,
    /// The step size of the winner: the share of its distance to the sample by which it moves.
    pub eps_b: f32,
    /// The step size of the winner's neighbors in the graph.
    pub eps_n: f32,
    /// Edges older than this are removed, and nodes without edges with them.
    pub max_age: u32,
    /// A node is inserted every `insert_every` samples while there are fewer than `max`.
    pub insert_every: usize,
    /// The factor applied to the errors of the two nodes between which a node is inserted.
    pub alpha: f64,
    /// The factor applied to all errors at every sample.
    pub decay: f64,
}

impl GasSettings {
    /// The growing form, from 2 nodes, with the defaults of the library used by the authors (eps_b 0.2, eps_n 0.05, age 100; Fritzke:
    /// 0.2, 0.006 and 50) and a decay of 0.9995 (Fritzke: 0.995).
    /// Nodes are inserted every 100 samples (Fritzke), or more often if `max` would not be reached half-way through the
    /// `n_samples * epochs` samples.
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

    /// The authors' form: it starts with `max` random nodes, so that nodes move but are rarely added or removed.
    pub fn fixed(max: usize, epochs: usize) -> Self {
        Self { start: max, insert_every: 100, ..Self::growing(max, epochs, 0) }
    }
}

/// The gas: nodes, their errors and the graph. It is trained one [`sample`](Gas::sample) at a time.
#[derive(Debug, Clone)]
pub struct Gas {
    settings: GasSettings,
    dim: usize,
    nodes: Vec<f32>,                   // [n, dim]
    table: Table,                      // the same rows in the layout of the search
    errors: Vec<f64>,                  // [n], in units of `error_scale`
    error_heap: BinaryHeap<HeapEntry>, // an entry for each current error, and outdated ones
    error_scale: f64, // the product of all decays: decaying every error is one multiplication
    links: Vec<Vec<(u32, u32)>>, // [n], (neighbor, age), stored for both nodes of an edge
    samples: u64,
}

/// The error of a node when it was pushed. Ordered by error; of equal errors that of the first node is greater.
#[derive(Debug, Clone, Copy)]
struct HeapEntry {
    error: f64,
    node: usize,
}

impl Ord for HeapEntry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.error.total_cmp(&other.error).then(other.node.cmp(&self.node))
    }
}

impl PartialOrd for HeapEntry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for HeapEntry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for HeapEntry {}

impl Gas {
    /// A gas whose initial nodes are distinct random rows of the data. `rows`: `[n, dim]`.
    ///
    /// # Panics
    /// If there are fewer rows than initial nodes.
    pub fn new(rows: &[f32], dim: usize, settings: GasSettings, rng: &mut Rng) -> Self {
        Self::of(&Rows::new(rows, dim), settings, rng)
    }

    /// The same of rows that may be in a file.
    pub(super) fn of(rows: &Rows, settings: GasSettings, rng: &mut Rng) -> Self {
        let (n, dim) = (rows.len(), rows.dim());
        assert!(settings.start <= n, "{} initial nodes, {n} rows", settings.start);
        let mut gas = Self {
            dim,
            nodes: Vec::with_capacity(settings.max * dim),
            table: Table::new(dim),
            errors: Vec::new(),
            error_heap: BinaryHeap::new(),
            error_scale: 1.0,
            links: Vec::new(),
            samples: 0,
            settings,
        };
        let mut order = rng.permutation(n);
        order.truncate(gas.settings.start);
        for i in order {
            gas.push(&rows.row(i), 0.0);
        }
        gas
    }

    /// Trains on every row once per epoch, in a random order of its own for each epoch.
    pub fn train(&mut self, rows: &[f32], seed: Seed) {
        self.train_on(&Rows::new(rows, self.dim), seed);
    }

    /// The same of rows that may be in a file.
    pub(super) fn train_on(&mut self, rows: &Rows, seed: Seed) {
        for epoch in 0..self.settings.epochs {
            let order = seed.nth(epoch as u64).rng().permutation(rows.len());
            for (k, &i) in order.iter().enumerate() {
                if let Some(&next) = order.get(k + 1) {
                    rows.prefetch(next);
                }
                if rows.is_unreadable() {
                    return;
                }
                self.sample(&rows.row(i));
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
        self.set_error(winner, self.errors[winner] + f64::from(first.d2.sqrt()) / self.error_scale);
        self.move_towards(winner, x, self.settings.eps_b);
        for k in 0..self.links[winner].len() {
            let (neighbor, age) = self.links[winner][k];
            self.move_towards(neighbor as usize, x, self.settings.eps_n);
            self.links[winner][k].1 = age + 1;
            self.set_age_one_way(neighbor as usize, winner as u32, age + 1);
        }
        if let Some(second) = second {
            self.set_age(winner, second.index, 0);
        }
        self.remove_old_edges(winner);
        if self.samples.is_multiple_of(self.settings.insert_every as u64) && self.len() < self.settings.max {
            self.insert();
        }
        self.error_scale *= self.settings.decay;
        if self.error_scale < 1e-200 {
            self.errors.iter_mut().for_each(|e| *e *= self.error_scale);
            self.error_scale = 1.0;
            self.rebuild_heap();
        }
    }

    /// The number of nodes.
    pub fn len(&self) -> usize {
        self.errors.len()
    }

    /// Whether there is no node.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All nodes: `[n, dim]`.
    pub fn nodes(&self) -> &[f32] {
        &self.nodes
    }

    /// The error of a node.
    pub fn error(&self, i: usize) -> f64 {
        self.errors[i] * self.error_scale
    }

    /// The sorted edges with their ages, each once, the smaller node first.
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
        self.error_heap.push(HeapEntry { error, node: self.errors.len() - 1 });
        self.links.push(Vec::new());
    }

    fn set_error(&mut self, i: usize, error: f64) {
        self.errors[i] = error;
        self.error_heap.push(HeapEntry { error, node: i });
        if self.error_heap.len() > 4 * self.len() + 64 {
            self.rebuild_heap();
        }
    }

    fn rebuild_heap(&mut self) {
        self.error_heap =
            (self.errors.iter().enumerate()).map(|(node, &error)| HeapEntry { error, node }).collect();
    }

    /// The node of largest error among those with edges, the first of several.
    fn node_of_largest_error(&mut self) -> Option<usize> {
        let mut without_edges = Vec::new(); // few: a node gets its first error and an edge at the same sample
        let found = loop {
            let Some(&entry) = self.error_heap.peek() else { break None };
            if self.errors.get(entry.node) != Some(&entry.error) {
                self.error_heap.pop(); // outdated: the error has changed
            } else if self.links[entry.node].is_empty() {
                without_edges.extend(self.error_heap.pop());
            } else {
                break Some(entry.node);
            }
        };
        self.error_heap.extend(without_edges);
        found
    }

    fn move_towards(&mut self, i: usize, x: &[f32], share: f32) {
        let node = &mut self.nodes[i * self.dim..][..self.dim];
        for (n, x) in node.iter_mut().zip(x) {
            *n += share * (x - *n);
        }
        self.table.set(i, node);
    }

    /// Sets the age of an edge for both its nodes; adds the edge if there is none.
    fn set_age(&mut self, a: usize, b: usize, age: u32) {
        self.set_age_one_way(a, b as u32, age);
        self.set_age_one_way(b, a as u32, age);
    }

    /// Sets the age of an edge for the node `from` alone.
    fn set_age_one_way(&mut self, from: usize, to: u32, age: u32) {
        match self.links[from].iter_mut().find(|(other, _)| *other == to) {
            Some(link) => link.1 = age,
            None => self.links[from].push((to, age)),
        }
    }

    /// Removes an edge.
    fn unlink(&mut self, a: usize, b: usize) {
        self.links[a].retain(|&(other, _)| other as usize != b);
        self.links[b].retain(|&(other, _)| other as usize != a);
    }

    /// Removes the winner's edges that are too old, and the nodes that lose their last edge. Only the winner's edges have
    /// aged, so no other edge can be too old; the winner keeps the new edge to the second nearest node.
    fn remove_old_edges(&mut self, winner: usize) {
        let limit = self.settings.max_age;
        let mut without_edges: Vec<usize> = Vec::new();
        for k in (0..self.links[winner].len()).rev() {
            let (other, age) = self.links[winner][k];
            if age > limit {
                self.unlink(winner, other as usize);
                without_edges.push(other as usize);
            }
        }
        if without_edges.is_empty() {
            return; // the common case, without allocation
        }
        without_edges.retain(|&i| self.links[i].is_empty());
        without_edges.sort_unstable();
        without_edges.dedup();
        for &i in without_edges.iter().rev() {
            self.remove(i); // in descending order: a removal renumbers only the last node
        }
    }

    /// Removes a node without edges; the last node gets its number.
    fn remove(&mut self, i: usize) {
        let last = self.len() - 1;
        self.nodes.copy_within(last * self.dim.., i * self.dim);
        self.nodes.truncate(last * self.dim);
        self.table.swap_remove(i);
        self.errors.swap_remove(i);
        self.links.swap_remove(i);
        if i != last {
            self.error_heap.push(HeapEntry { error: self.errors[i], node: i });
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

    /// Inserts a node half-way between the node of largest error, q, and its neighbor of largest error, f.
    fn insert(&mut self) {
        let Some(q) = self.node_of_largest_error() else { return };
        let by_error = |a: &usize, b: &usize| self.errors[*a].total_cmp(&self.errors[*b]).then(b.cmp(a));
        let f = self.links[q].iter().map(|l| l.0 as usize).max_by(by_error).expect("q has a neighbor");
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
