//! The content hash of a codebook.

use sha2::{Digest as _, Sha256};

use super::{Codebook, CodebookParts};

impl Codebook {
    /// SHA-256, as hexadecimal, over everything that training with these memories depends on: the scale, the memories with their
    /// sources and edges, and how they were selected. Names of dimensions do not count, nor the action sequences after memories and the
    /// records of episodes, which follow from the demonstrations.
    pub fn fingerprint(&self) -> String {
        // All fields, so that a new one is not forgotten.
        let CodebookParts {
            scale,
            states,
            actions,
            future_actions: _,
            sources,
            edges,
            smooth_neighbors,
            selection,
            seed,
            data,
            n_states,
            episodes: _,
            encoding,
            names: _,
            units,
            origin: _,
        } = &self.parts;
        let mut hash = Sha256::new();
        // Each list begins with its length, so that no two codebooks give the same bytes.
        let mut number = |n: u64| hash.update(n.to_le_bytes());
        [*smooth_neighbors as u64, *seed, *n_states as u64].into_iter().for_each(&mut number);
        for text in [Some(selection), Some(data), encoding.as_ref()] {
            hash.update([u8::from(text.is_some())]);
            let text = text.map_or("", String::as_str);
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
        for values in [&scale.mean, &scale.std, states, actions] {
            hash.update((values.len() as u64).to_le_bytes());
            values.iter().for_each(|v| hash.update(v.to_le_bytes()));
        }
        let sources = sources.iter().map(|s| [s.episode, s.step]).collect();
        for pairs in [&sources, edges] {
            hash.update((pairs.len() as u64).to_le_bytes());
            pairs.iter().flatten().for_each(|n| hash.update(n.to_le_bytes()));
        }
        if !units.is_identity() {
            for values in units.scales() {
                values.iter().for_each(|v| hash.update(v.to_le_bytes()));
            }
            for k in units.relative_to() {
                hash.update(k.map_or(u64::MAX, |k| k as u64).to_le_bytes());
            }
        }
        for angle in units.angles() {
            hash.update((angle.dimension as u64).to_le_bytes());
            hash.update(angle.unit.period().to_le_bytes());
        }
        units.turn_centers().iter().for_each(|c| hash.update(c.to_le_bytes()));
        hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{ActionUnits, DimensionNames, Origin, Scale, Step};

    fn parts() -> CodebookParts {
        CodebookParts {
            scale: Scale { mean: vec![0.0, 1.0], std: vec![1.0, 2.0], angles: vec![] },
            states: vec![0.0, 1.0, 2.0, 3.0],
            actions: vec![0.1, -0.1],
            future_actions: Vec::new(),
            sources: vec![Step { episode: 0, step: 3 }, Step { episode: 1, step: 2 }],
            edges: vec![[0, 1]],
            smooth_neighbors: 1,
            selection: "gas".into(),
            seed: 0,
            data: "d".into(),
            n_states: 9,
            episodes: Vec::new(),
            encoding: None,
            names: DimensionNames::default(),
            units: ActionUnits::default(),
            origin: Origin::default(),
        }
    }

    fn fingerprint(change: impl FnOnce(&mut CodebookParts)) -> String {
        let mut parts = parts();
        change(&mut parts);
        Codebook::new(parts).unwrap().fingerprint()
    }

    #[test]
    fn the_fingerprint_depends_on_whatever_training_depends_on() {
        let original = fingerprint(|_| ());
        let changes: [fn(&mut CodebookParts); 13] = [
            |p| p.scale.mean[0] = 0.5,
            |p| p.scale.std[1] = f32::INFINITY,
            |p| p.states[3] = 4.0,
            |p| p.actions[1] = 0.0,
            |p| p.sources[1].step = 1,
            |p| p.edges.clear(),
            |p| p.smooth_neighbors = 10,
            |p| p.selection = "random".into(),
            |p| p.seed = 5,
            |p| p.data = "e".into(),
            |p| p.n_states = 10,
            |p| p.encoding = Some(String::new()),
            |p| p.units = ActionUnits::new(vec![0.0], vec![2.0], vec![], [2, 1]).unwrap(),
        ];
        let mut all: Vec<String> = changes.into_iter().map(fingerprint).collect();
        all.push(original.clone());
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 14);
        assert_eq!(fingerprint(|p| p.future_actions = vec![0.5; 2]), original);
        let names = DimensionNames { state_names: Some(vec!["x".into(), "y".into()]), action_names: None };
        assert_eq!(fingerprint(|p| p.names = names), original);
    }
}
