//! The episodes that memories come from: which of them coincide, and whether other episodes are independent of them.

use std::collections::HashMap;

use super::{Codebook, CodebookParts};
use crate::{
    data::{Demonstrations, EpisodeRecord, KnownEpisodes},
    error::Result,
};

impl Codebook {
    /// The group of an episode of the source data: the number of the first episode it coincides with ([`Demonstrations::groups`]), or
    /// its own.
    pub fn group(&self, episode: u32) -> u32 {
        self.groups.get(&episode).copied().unwrap_or(episode)
    }

    /// The same memories, with records of the episodes they were selected from. Files of earlier versions have none.
    ///
    /// # Errors
    /// If the memories were learned from other data.
    pub fn with_records_of(self, data: &Demonstrations) -> Result<Self> {
        self.check_data(data)?;
        if !self.parts.episodes.is_empty() {
            return Ok(self);
        }
        let episodes = data.records(&self.parts.scale);
        Self::new(CodebookParts { episodes, ..self.parts })
    }

    /// For every episode of `data` the number of the episode of the memories' data with which it (nearly) coincides, if there is one:
    /// a copy, also with other rounding, cut short, joined with others, or with other actions. Distances to the memories from such
    /// an episode are not those of a new one. Compared are records of all episodes of that data; of files of earlier versions the
    /// memories' states, so that an episode with fewer than two memories is not recognized.
    ///
    /// # Errors
    /// If the data are in another space ([`check_space`](Self::check_space)).
    pub fn known_episodes(&self, data: &Demonstrations) -> Result<Vec<Option<u32>>> {
        self.check_space(data)?;
        let of_memories;
        let records = if self.parts.episodes.is_empty() {
            of_memories = self.records_of_memories();
            &of_memories
        } else {
            &self.parts.episodes
        };
        let known = KnownEpisodes::new(records, &self.parts.scale);
        Ok((0..data.n_episodes()).map(|k| known.find(data, k).map(|record| record.number)).collect())
    }

    /// Records of the episodes that have memories, with the memories' states as samples. Their actions may be averages, so that nothing
    /// is known of the contents.
    fn records_of_memories(&self) -> Vec<EpisodeRecord> {
        let hash = KnownEpisodes::hash(&self.parts.scale);
        let mut records: HashMap<u32, EpisodeRecord> = HashMap::new();
        for (i, source) in self.parts.sources.iter().enumerate() {
            let number = source.episode;
            let record = records.entry(number).or_insert(EpisodeRecord {
                number,
                group: number,
                steps: 0,
                content: 0,
                samples: Vec::new(),
            });
            record.steps = record.steps.max(source.step + 1);
            record.samples.push([source.step, hash(self.state(i))]);
        }
        let mut records: Vec<EpisodeRecord> = records.into_values().collect();
        records.sort_unstable_by_key(|record| record.number);
        records
    }

    /// The records with those of some episodes of other data, numbered from `first` on.
    pub(super) fn records_with(
        &self,
        data: &Demonstrations,
        which: &[usize],
        first: u32,
    ) -> Vec<EpisodeRecord> {
        let mut records = match self.parts.episodes.is_empty() {
            true => self.records_of_memories(),
            false => self.parts.episodes.clone(),
        };
        let known = KnownEpisodes::new(&records, &self.parts.scale);
        let new: Vec<EpisodeRecord> = data.records(&self.parts.scale);
        let of_number: HashMap<u32, usize> = (0..data.n_episodes()).map(|k| (data.number(k), k)).collect();
        let added: Vec<EpisodeRecord> = which
            .iter()
            .map(|&k| EpisodeRecord {
                number: first + k as u32,
                group: match known.find(data, k) {
                    Some(record) => record.group,
                    None => first + of_number[&new[k].group] as u32,
                },
                ..new[k].clone()
            })
            .collect();
        records.extend(added);
        records
    }
}
