//! The records of episodes in files of memories and policies. Files of earlier versions have none.

use super::{
    broken,
    bundle::{Array, Bundle},
};
use crate::{data::EpisodeRecord, error::Result};

/// Adds `records.episodes`, [episodes, (number, group, steps, content hash in two halves)], and `records.samples`,
/// [samples, (index of the episode, step, hash)].
pub(super) fn save(records: &[EpisodeRecord], bundle: &mut Bundle) {
    if records.is_empty() {
        return;
    }
    let halves = |content: u64| [(content >> 32) as u32, content as u32];
    let episode = |r: &EpisodeRecord| {
        let [high, low] = halves(r.content);
        [r.number, r.group, r.steps, high, low]
    };
    let of_samples = |(k, r): (usize, &EpisodeRecord)| -> Vec<[u32; 3]> {
        r.samples.iter().map(|&[step, hash]| [k as u32, step, hash]).collect()
    };
    let samples: Vec<[u32; 3]> = records.iter().enumerate().flat_map(of_samples).collect();
    let episodes: Vec<u32> = records.iter().flat_map(episode).collect();
    bundle.put("records.episodes", vec![records.len(), 5], Array::U32(episodes.into()));
    bundle.put("records.samples", vec![samples.len(), 3], Array::U32(samples.concat().into()));
}

/// The records; none if the file has none.
pub(super) fn load(bundle: &mut Bundle) -> Result<Vec<EpisodeRecord>> {
    if !bundle.has("records.episodes") {
        return Ok(Vec::new());
    }
    let record = |r: &[u32]| EpisodeRecord {
        number: r[0],
        group: r[1],
        steps: r[2],
        content: u64::from(r[3]) << 32 | u64::from(r[4]),
        samples: Vec::new(),
    };
    let mut records: Vec<EpisodeRecord> =
        bundle.take_u32("records.episodes", 5)?.chunks_exact(5).map(record).collect();
    for sample in bundle.take_u32("records.samples", 3)?.chunks_exact(3) {
        let Some(record) = records.get_mut(sample[0] as usize) else {
            return Err(broken("a sample is of an episode without a record").at("records.samples"));
        };
        record.samples.push([sample[1], sample[2]]);
    }
    Ok(records)
}
