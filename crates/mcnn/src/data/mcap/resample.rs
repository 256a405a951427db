//! Topics of different rates as steps of one.

use crate::{
    data::{check_positive, parquet::Budget},
    error::{Error, Kind, Result},
};

/// A silence of a topic that is reported, in seconds.
const SILENCE: f64 = 0.5;
/// The most steps for each message: a wrong time in one message would make more.
const MOST_STEPS: f64 = 100.0;

/// The messages of one key: times and rows of numbers.
#[derive(Debug, Default)]
pub(super) struct Track {
    logged: Vec<u64>,
    stamps: Vec<u64>, // of headers; 0 of a message without
    width: usize,
    values: Vec<f64>,
    times: Vec<u64>,  // nanoseconds, ascending
    rows: Vec<usize>, // of the times
}

impl Track {
    pub fn len(&self) -> usize {
        self.logged.len()
    }

    pub fn width(&self) -> usize {
        self.width
    }

    /// Adds a message. `stamp`: seconds and nanoseconds of its header, if it has one.
    ///
    /// # Errors
    /// Another number of values than before.
    pub fn add(&mut self, logged: u64, stamp: &[f64], values: Vec<f64>) -> Result<()> {
        if self.logged.is_empty() {
            self.width = values.len();
        }
        if values.len() != self.width {
            return Err(Error::new(Kind::Data, "messages with different numbers of values")
                .expected(format!("{} values, as the first message has", self.width))
                .found(values.len().to_string())
                .next("choose a part of the list: KEY.POSITION, or KEY:FIRST-LAST of lists of one length"));
        }
        self.logged.push(logged);
        self.stamps.push(match stamp {
            [seconds, nanoseconds] => {
                (*seconds as u64).saturating_mul(1_000_000_000).saturating_add(*nanoseconds as u64)
            }
            _ => 0,
        });
        self.values.extend(values);
        Ok(())
    }

    /// Whether all messages have a stamp.
    pub fn is_stamped(&self) -> bool {
        self.stamps.iter().all(|stamp| *stamp > 0)
    }

    /// Sorts the messages by their stamps, or by when they were logged.
    pub fn sort(&mut self, by_stamps: bool) {
        let times = if by_stamps { &self.stamps } else { &self.logged };
        self.rows = (0..times.len()).collect();
        self.rows.sort_by_key(|row| times[*row]);
        self.times = self.rows.iter().map(|row| times[*row]).collect();
    }

    /// The values of the `i`th message in time.
    pub fn row(&self, i: usize) -> &[f64] {
        &self.values[self.rows[i] * self.width..][..self.width]
    }

    /// Messages per second, by the median of the times between them; 0 if that is 0.
    pub fn rate(&self) -> f64 {
        let mut between: Vec<u64> = self.times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        between.sort_unstable();
        between
            .get(between.len() / 2)
            .filter(|median| **median > 0)
            .map_or(0.0, |median| 1e9 / *median as f64)
    }

    /// The times from which to which messages follow each other without a silence longer than `gap` seconds.
    fn runs(&self, gap: Option<f64>) -> Vec<[u64; 2]> {
        let mut runs: Vec<[u64; 2]> = Vec::new();
        for &time in &self.times {
            match runs.last_mut() {
                Some([_, last]) if gap.is_none_or(|gap| (time - *last) as f64 <= 1e9 * gap) => *last = time,
                _ => runs.push([time, time]),
            }
        }
        runs
    }

    /// The longest silence in seconds, and when it begins.
    fn silence(&self) -> Option<(f64, u64)> {
        let pairs = self.times.windows(2).map(|pair| (pair[1] - pair[0], pair[0]));
        pairs.max_by_key(|(length, _)| *length).map(|(length, start)| (length as f64 / 1e9, start))
    }
}

/// The steps: of each the message of every track, one step after another; and where each episode ends. Tracks are pairs with whether they
/// are of the action.
///
/// # Errors
/// A rate or a gap that is not above 0; topics that do not overlap in time; too many steps.
pub(super) fn episodes(
    tracks: &[(&Track, bool)],
    hz: f64,
    gap: Option<f64>,
    budget: &Budget,
    notes: &mut Vec<String>,
) -> Result<(Vec<usize>, Vec<usize>)> {
    check_positive(Some(hz), "--hz")?;
    check_positive(gap, "--gap")?;
    let together = tracks.iter().map(|(track, _)| track.runs(gap)).reduce(|a, b| intersect(&a, &b));
    let together = together.unwrap_or_default();
    let (mut steps, mut ends) = (Vec::new(), Vec::new());
    let mut left_out = 0;
    // A thousandth of a step: a tick that is a message's own time is not missed by rounding.
    let slack = (1e6 / hz) as u64;
    let width: usize = tracks.iter().map(|(track, _)| track.width).sum();
    let most = MOST_STEPS * tracks.iter().map(|(track, _)| track.len() as f64).sum::<f64>();
    for [start, end] in together {
        let n = (end - start) as f64 / 1e9 * hz;
        if n > most {
            return Err(Error::new(Kind::Data, "a recording of many more steps than messages")
                .expected(format!("at most {MOST_STEPS} steps for a message"))
                .found(format!("{n:.0} at {hz} steps per second"))
                .next("a message may have a wrong time; --gap SECONDS cuts where the times jump"));
        }
        budget.take((n as u64 + 1) * (8 * tracks.len() + 16 * width) as u64)?;
        let before = steps.len();
        for i in 0..=(n + 1e-3) as usize {
            let tick = start.saturating_add((i as f64 / hz * 1e9).round() as u64);
            let of = |(track, is_action): &(&Track, bool)| match is_action {
                true => Some(track.times.partition_point(|time| time.saturating_add(slack) < tick))
                    .filter(|at| *at < track.times.len()),
                false => {
                    track.times.partition_point(|time| *time <= tick.saturating_add(slack)).checked_sub(1)
                }
            };
            if let Some(step) = tracks.iter().map(of).collect::<Option<Vec<usize>>>() {
                steps.extend(step);
            }
        }
        // A state and an action alone are no behavior.
        if steps.len() - before < 2 * tracks.len() {
            left_out += 1;
            steps.truncate(before);
        } else {
            ends.push(steps.len() / tracks.len());
        }
    }
    if ends.is_empty() {
        return Err(Error::new(Kind::Data, "the topics have no time in common in which there are two steps")
            .next("choose topics that were recorded together, a higher --hz, or a longer --gap"));
    }
    if left_out > 0 {
        notes.push(format!("{left_out} pieces between gaps have fewer than two steps and are left out"));
    }
    if gap.is_none() {
        let longest = tracks.iter().filter_map(|(track, _)| track.silence());
        if let Some((seconds, _)) = longest.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(s, _)| *s > SILENCE) {
            notes.push(format!(
                "a topic is silent for up to {seconds:.1} s, during which its last message is repeated; --gap SECONDS ends episodes there"
            ));
        }
    }
    Ok((steps, ends))
}

/// The times in which both have messages.
fn intersect(a: &[[u64; 2]], b: &[[u64; 2]]) -> Vec<[u64; 2]> {
    let (mut i, mut j, mut both) = (0, 0, Vec::new());
    while i < a.len() && j < b.len() {
        let (start, end) = (a[i][0].max(b[j][0]), a[i][1].min(b[j][1]));
        if start <= end {
            both.push([start, end]);
        }
        if a[i][1] < b[j][1] { i += 1 } else { j += 1 }
    }
    both
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn track(times: &[u64]) -> Track {
        let mut track = Track::default();
        for (i, time) in times.iter().enumerate() {
            track.add(time * MS, &[], vec![i as f64]).unwrap();
        }
        track.sort(false);
        track
    }

    /// At 100 steps a second.
    fn at(
        tracks: &[(&Track, bool)],
        gap: Option<f64>,
        notes: &mut Vec<String>,
    ) -> Result<(Vec<usize>, Vec<usize>)> {
        episodes(tracks, 100.0, gap, &Budget::new(0), notes)
    }

    #[test]
    fn a_step_has_the_last_state_and_the_next_action() {
        let (state, action) = (track(&[0, 10, 20, 30, 40]), track(&[4, 24, 44]));
        let (steps, ends) = at(&[(&state, false), (&action, true)], None, &mut vec![]).unwrap();
        // Ticks at 4, 14, 24 and 34 ms.
        assert_eq!(steps, [0, 0, 1, 1, 2, 1, 3, 2]);
        assert_eq!(ends, [4]);
    }

    #[test]
    fn a_tick_at_a_messages_own_time_has_that_message_though_times_are_cut() {
        let mut track = Track::default();
        for i in 0..100 {
            track.add(1_000_000_000 * i / 30, &[], vec![i as f64]).unwrap();
        }
        track.sort(false);
        let both = [(&track, false), (&track, true)];
        let (steps, _) = episodes(&both, 30.0, None, &Budget::new(0), &mut vec![]).unwrap();
        assert!(steps.chunks(2).enumerate().all(|(i, step)| step == [i, i]), "{steps:?}");
        assert_eq!(super::tests::track(&[5, 5, 5]).rate(), 0.0);
    }

    #[test]
    fn a_gap_of_either_topic_ends_an_episode() {
        let state = track(&[0, 10, 20, 500, 510, 520, 530, 1200]);
        let action = track(&[0, 10, 20, 30, 505, 515, 525, 535, 1205]);
        let mut notes = Vec::new();
        let (steps, ends) = at(&[(&state, false), (&action, true)], Some(0.1), &mut notes).unwrap();
        assert_eq!((steps.len(), ends), (12, vec![3, 6]));
        assert_eq!(notes.len(), 0);
        let (_, ends) = at(&[(&state, false), (&action, true)], None, &mut notes).unwrap();
        assert_eq!(ends.len(), 1);
        assert!(notes[0].contains("silent for up to 0.7 s"), "{notes:?}");
        let apart = [(&track(&[0, 10]), false), (&track(&[20, 30]), true)];
        let error = at(&apart, None, &mut notes).unwrap_err().to_string();
        assert!(error.contains("no time in common"), "{error}");
        let far = [(&track(&[0, 10]), false), (&track(&[0, 10_000_000]), true)];
        assert!(at(&far, None, &mut notes).is_ok());
        let far = [(&track(&[0, 10_000_000]), false), (&track(&[0, 10_000_000]), true)];
        let error = at(&far, None, &mut notes).unwrap_err().to_string();
        assert!(error.contains("many more steps than messages"), "{error}");
        let budget = Budget::new(0);
        assert!(episodes(&apart, 0.0, None, &budget, &mut notes).unwrap_err().to_string().contains("--hz"));
    }
}
