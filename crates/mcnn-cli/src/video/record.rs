//! Recording episodes as they are run: one policy, or several side by side on the same episodes.

use std::{path::Path, sync::atomic::Ordering};

use mcnn::{
    Result,
    act::{Act, Acting},
    eval::acting_seed,
    policy::Policy,
    task::{Environment, Picture, Task, scale_action},
};
use serde::Serialize;

use super::{
    Caption, Column, FPS, Label, VideoWriter,
    column::{Ending, side_by_side},
};
use crate::{
    args::{Episodes, Video},
    interrupt,
    progress::Progress,
    say::say,
    tasks,
};

/// Frames for which the end of an episode stays in the picture: a second.
const PAUSE: u32 = FPS;

/// A video that was recorded.
#[derive(Debug, Clone, Serialize)]
pub struct Recorded {
    pub file: String,
    pub frames: usize,
    pub episodes: Vec<RecordedEpisode>,
    /// Ctrl-C or another interruption ended the recording early.
    pub interrupted: bool,
}

/// One episode of a video.
#[derive(Debug, Clone, Serialize)]
pub struct RecordedEpisode {
    pub seed: u64,
    /// Each policy's return, from left to right.
    pub returns: Vec<f64>,
}

/// A policy to be recorded.
pub struct RecordedPolicy<'a> {
    pub act: &'a dyn Act,
    /// Where its memories are, if it has any.
    pub policy: Option<&'a Policy>,
    pub label: Option<Label>,
}

/// A video to be recorded, and a task that draws pictures.
pub struct Recorder {
    file: String,
    writer: VideoWriter,
    task: Box<dyn Task>,
}

/// One policy in a running episode.
struct Lane<'a> {
    policy: Option<&'a Policy>,
    column: Column,
    environment: Box<dyn Environment>,
    acting: Box<dyn Acting + 'a>,
    acts_in_data_units: bool,
    observation: Vec<f32>, // [n_obs]
    action: Vec<f32>,      // [n_act]
    ret: f64,
    success: Option<bool>,
    caption: Caption,
    /// The picture that goes with the caption; from the first frame on.
    picture: Option<Picture>,
}

impl Recorder {
    /// Makes sure that a video can be recorded before anything is run: its name, its encoder, and a first picture of the task.
    ///
    /// # Errors
    /// If one of them fails.
    pub fn open(path: &Path, episodes: &Episodes) -> Result<Self> {
        let writer = VideoWriter::new(path, &|line| say(line))?;
        let task = tasks::drawn(&episodes.task, &episodes.rollouts.settings.options())?;
        let mut environment = task.start_with_pictures()?;
        environment.reset(episodes.rollouts.seed(), &mut vec![0.0; task.spec().n_obs])?;
        environment.picture()?;
        drop(environment);
        Ok(Self { file: path.display().to_string(), writer, task })
    }

    /// Records the first episodes of an evaluation from `first_seed`: the same seeds and the same actions, so the same
    /// episodes. Ctrl-C ends the video early; the frames so far are kept.
    ///
    /// # Errors
    /// If a policy or the simulator fails, or the file cannot be written.
    pub fn record(
        mut self,
        policies: &[RecordedPolicy],
        first_seed: u64,
        options: &Video,
    ) -> Result<Recorded> {
        let horizon = self.task.spec().horizon;
        let flag = interrupt::flag();
        let stop = || flag.load(Ordering::Relaxed);
        let count = options.video_episodes as usize;
        let mut progress = Progress::new("recording", 0, (count * horizon) as u64);
        let mut episodes = Vec::new();
        for i in 0..count {
            let seed = first_seed.wrapping_add(i as u64);
            let mut lanes = self.start(policies, first_seed, i)?;
            for step in 0..horizon {
                let shown = step.is_multiple_of(options.recording.video_every as usize);
                for lane in lanes.iter_mut().filter(|lane| lane.caption.ended.is_none()) {
                    let place =
                        || format!("task {}, episode seed {seed}, step {step}", self.task.spec().name);
                    let last = step + 1 == horizon;
                    lane.advance(step, seed, shown, last).map_err(|e| e.within(place()))?;
                }
                if shown {
                    self.writer.add_frame(&frame(&lanes))?;
                }
                progress.at((i * horizon + step) as u64, &format!("seed {seed}"));
                if stop() || lanes.iter().all(|lane| lane.caption.ended.is_some()) {
                    break;
                }
            }
            let end = frame(&lanes);
            (0..PAUSE).try_for_each(|_| self.writer.add_frame(&end))?;
            episodes.push(RecordedEpisode { seed, returns: lanes.iter().map(|lane| lane.ret).collect() });
            if stop() {
                break;
            }
        }
        progress.finish();
        Ok(Recorded { file: self.file, frames: self.writer.finish()?, episodes, interrupted: stop() })
    }

    /// Every policy at the start of the i-th episode.
    fn start<'a>(&self, policies: &[RecordedPolicy<'a>], first_seed: u64, i: usize) -> Result<Vec<Lane<'a>>> {
        let spec = self.task.spec();
        let lane = |recorded: &RecordedPolicy<'a>| {
            let mut environment = self.task.start_with_pictures()?;
            let mut observation = vec![0.0; spec.n_obs];
            environment.reset(first_seed.wrapping_add(i as u64), &mut observation)?;
            Ok(Lane {
                policy: recorded.policy,
                column: Column::new(recorded.label.clone()),
                environment,
                acting: recorded.act.start(acting_seed(first_seed.wrapping_add(i as u64))),
                acts_in_data_units: recorded.act.acts_in_data_units(),
                observation,
                action: vec![0.0; spec.n_act],
                ret: 0.0,
                success: None,
                caption: Caption::default(),
                picture: None,
            })
        };
        policies.iter().map(lane).collect()
    }
}

impl Lane<'_> {
    /// Acts once. Takes the picture before the action where it is `shown`, and the last picture where the episode ends.
    fn advance(&mut self, step: usize, seed: u64, shown: bool, last: bool) -> Result<()> {
        let decision = self.acting.act(&self.observation, &mut self.action)?;
        let source = |(memory, policy): (usize, &Policy)| policy.codebook().source(memory).to_string();
        self.caption = Caption {
            step,
            distance: decision.distance,
            weight: decision.weight,
            memory: decision.memory.zip(self.policy).map(source),
            note: format!("seed {seed}  return {:.1}", self.ret),
            ended: None,
        };
        self.column.add_step(&self.caption);
        if shown {
            self.picture = Some(self.environment.picture()?);
        }
        if decision.stop {
            return self.finish(); // before the action, as in the evaluation
        }
        if self.acts_in_data_units {
            let action = self.action.clone();
            scale_action(self.environment.action_bounds(), &action, &mut self.action);
        }
        let outcome = self.environment.step(&self.action, &mut self.observation)?;
        self.ret += outcome.reward;
        self.success = outcome.success;
        self.caption.note = format!("seed {seed}  return {:.1}", self.ret);
        if outcome.done || last { self.finish() } else { Ok(()) }
    }

    /// Ends the episode: the last picture stays.
    fn finish(&mut self) -> Result<()> {
        if self.caption.ended.is_none() {
            self.picture = Some(self.environment.picture()?);
            self.caption.ended = Some(match self.success {
                Some(true) => Ending::Succeeded,
                Some(false) => Ending::Failed,
                None => Ending::Ended,
            });
        }
        Ok(())
    }
}

/// All policies beside each other; their curves of distances have the same scale.
fn frame(lanes: &[Lane]) -> Picture {
    let top = lanes.iter().map(|lane| lane.column.largest_distance()).fold(0.0, f32::max);
    let columns: Vec<Picture> = lanes
        .iter()
        .filter_map(|lane| Some(lane.column.compose(lane.picture.as_ref()?, &lane.caption, top)))
        .collect();
    side_by_side(&columns)
}
