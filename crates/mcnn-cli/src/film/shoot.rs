//! Filming episodes as they are run.

use std::{path::Path, sync::atomic::Ordering};

use mcnn::{Result, act::Act, eval::acting_seed, policy::Policy, task::Task};
use serde::Serialize;

use super::{Caption, Film};
use crate::{
    args::{Episodes, Video},
    commands::{check_folder, interrupted},
    progress::Progress,
    tasks,
};

/// A film that was made.
#[derive(Debug, Clone, Serialize)]
pub struct Filmed {
    pub file: String,
    pub frames: usize,
    /// The episodes filmed.
    pub episodes: Vec<Scene>,
    /// Ctrl-C ended it before its time.
    pub interrupted: bool,
}

/// One filmed episode.
#[derive(Debug, Clone, Serialize)]
pub struct Scene {
    pub seed: u64,
    #[serde(rename = "return")]
    pub ret: f64,
}

/// A film to be made, and a task that draws.
pub struct Studio {
    file: String,
    film: Film,
    task: Box<dyn Task>,
}

/// Makes sure that a film can be made: its name, its encoder, and a first picture of the task.
pub fn check(path: &Path, episodes: &Episodes) -> Result<Studio> {
    check_folder(path)?;
    let film = Film::new(path, &|line| eprintln!("{line}"))?;
    let task = tasks::drawn(&episodes.task, episodes.rollouts.reward)?;
    let mut environment = task.start_with_pictures()?;
    environment.reset(episodes.rollouts.seed(), &mut vec![0.0; task.spec().n_obs])?;
    environment.picture()?;
    drop(environment);
    Ok(Studio { file: path.display().to_string(), film, task })
}

impl Studio {
    /// Films the first episodes of a run from `first_seed`: the same seeds and the same actions, so the same episodes.
    /// Ctrl-C ends the film where it is, and what there is of it is kept.
    pub fn shoot(
        mut self,
        act: &dyn Act,
        policy: Option<&Policy>,
        first_seed: u64,
        how: &Video,
    ) -> Result<Filmed> {
        let spec = self.task.spec();
        let mut environment = self.task.start_with_pictures()?;
        let flag = interrupted()?;
        let stop = || flag.load(Ordering::Relaxed);
        let (episodes, every) = (how.video_episodes as usize, how.filming.video_every as usize);
        let mut progress = Progress::new("filming", 0, (episodes * spec.horizon) as u64);
        let mut observation = vec![0.0; spec.n_obs];
        let mut action = vec![0.0; spec.n_act];
        let mut scenes = Vec::new();
        for i in 0..episodes {
            let seed = first_seed.wrapping_add(i as u64);
            let mut acting = act.start(acting_seed(first_seed, i));
            self.film.start_episode();
            environment.reset(seed, &mut observation)?;
            let mut ret = 0.0;
            for step in 0..spec.horizon {
                let place = || format!("task {}, episode seed {seed}, step {step}", spec.name);
                let decision = acting.act(&observation, &mut action).map_err(|e| e.within(place()))?;
                let caption = Caption {
                    step,
                    distance: decision.distance,
                    weight: decision.weight,
                    memory: decision
                        .memory
                        .zip(policy)
                        .map(|(memory, policy)| policy.codebook().source(memory).to_string()),
                    note: format!("seed {seed}  return {ret:.1}"),
                };
                self.film.note(&caption);
                if step.is_multiple_of(every) || decision.stop {
                    self.film.add(&environment.picture()?, &caption)?;
                }
                if decision.stop {
                    break; // before the action, as in the evaluation
                }
                progress.at((i * spec.horizon + step) as u64, &format!("return {ret:.1}"));
                let outcome = environment.step(&action, &mut observation)?;
                ret += outcome.reward;
                if outcome.done || stop() {
                    break;
                }
            }
            scenes.push(Scene { seed, ret });
            if stop() {
                break;
            }
        }
        progress.finish();
        Ok(Filmed { file: self.file, frames: self.film.finish()?, episodes: scenes, interrupted: stop() })
    }
}
