//! `mcnn replay`: a recorded episode in its simulator, as a video.

use std::sync::atomic::Ordering;

use mcnn::{
    Error, Result,
    act::Act as _,
    data::{Parts, Selection, Simulator, read_parts, read_simulator},
    error::Kind,
    file,
    policy::Policy,
    seed::Seed,
    task::{Environment, Recorded, Task, scale_action},
};
use serde::Serialize;

use super::{Done, claim_output};
use crate::{
    args::ReplayArgs,
    interrupt, print,
    progress::Progress,
    say::say,
    tasks,
    video::{Caption, Column, VideoWriter},
};

/// The video of a recorded episode.
#[derive(Serialize)]
pub struct ReplayReport {
    pub task: String,
    pub episode: usize,
    pub steps: usize,
    /// How the episode was replayed: "state" (the recorded simulator states were set) or "actions" (the recorded actions were
    /// executed after a reset with the recorded seed).
    pub replayed_by: &'static str,
    /// Largest difference between a recorded and a replayed observation, in any dimension.
    pub max_difference: f32,
    /// The step with the largest difference.
    pub max_difference_step: usize,
    pub file: String,
    pub frames: usize,
    pub interrupted: bool,
}

/// A recorded episode: its first row in the tables, and its number of steps.
struct Episode<'a> {
    parts: &'a Parts,
    simulator: &'a Simulator,
    first: usize,
    steps: usize,
}

impl Episode<'_> {
    /// The recorded observation and simulator state of a step.
    fn recorded(&self, step: usize) -> Recorded<'_> {
        let row = self.first + step;
        fn of(table: &Option<(usize, Vec<f32>)>, row: usize) -> Option<&[f32]> {
            table.as_ref().map(|(width, rows)| &rows[row * width..(row + 1) * width])
        }
        Recorded {
            observation: &self.parts.states[row * self.parts.n_obs..(row + 1) * self.parts.n_obs],
            qpos: of(&self.simulator.qpos, row),
            qvel: of(&self.simulator.qvel, row),
        }
    }

    fn action(&self, step: usize) -> &[f32] {
        let row = self.first + step;
        &self.parts.actions[row * self.parts.n_act..(row + 1) * self.parts.n_act]
    }
}

pub fn run(args: &ReplayArgs) -> Result<Done> {
    let _claim = claim_output(&args.output())?;
    let (_, parts) = read_parts(&args.data, &Selection::default())?;
    let simulator = read_simulator(&args.data)?;
    let named = |e: Error| e.within(args.data.display());
    let episode = find(&parts, &simulator, args.episode).map_err(named)?;
    let policy = args.policy.as_deref().map(file::read_policy).transpose()?.map(|(policy, _)| policy);
    let widths = |obs, act| format!("{obs}-dimensional observations, {act}-dimensional actions");
    let name =
        args.task.clone().or_else(|| tasks::with_dimensions(parts.n_obs, parts.n_act)).ok_or_else(|| {
            named(
                Error::new(Kind::Settings, "the task of the recording is not known from its dimensions")
                    .found(widths(parts.n_obs, parts.n_act))
                    .next("name it with --task"),
            )
        })?;
    let task = tasks::drawn(&name, &args.task_options.options())?;
    let (obs, act) = (task.spec().n_obs, task.spec().n_act);
    let all = [(parts.n_obs, parts.n_act, "the recording")]
        .into_iter()
        .chain(policy.as_ref().map(|p| (p.n_obs(), p.n_act(), "the policy")));
    for (n_obs, n_act, what) in all {
        if (n_obs, n_act) != (obs, act) {
            return Err(named(
                Error::new(Kind::Mismatch, format!("{what} does not fit the task"))
                    .at(format!("task {name}"))
                    .expected(widths(obs, act))
                    .found(widths(n_obs, n_act)),
            ));
        }
    }
    let seed = args.from_seed.or_else(|| simulator.seeds.as_ref()?.get(args.episode).copied());
    let report = replay(args, &episode, policy.as_ref(), task.as_ref(), seed)?;
    let exit_code = if report.interrupted { 130 } else { 0 };
    Ok(Done { exit_code, ..Done::new(&report, print::replay(&report)) })
}

/// Looks up an episode of the recording.
fn find<'a>(parts: &'a Parts, simulator: &'a Simulator, episode: usize) -> Result<Episode<'a>> {
    let Some(&end) = parts.ends.get(episode) else {
        return Err(Error::new(Kind::Settings, "there is no such episode")
            .at(format!("--episode {episode}"))
            .expected(format!("0 to {}", parts.ends.len() - 1)));
    };
    for (name, table) in [("infos/qpos", &simulator.qpos), ("infos/qvel", &simulator.qvel)] {
        if let Some((width, rows)) = table
            && rows.len() != width * parts.n_steps()
        {
            return Err(Error::new(Kind::Data, "keys with different numbers of steps")
                .at(name)
                .expected(parts.n_steps().to_string())
                .found((rows.len() / width.max(&1)).to_string()));
        }
    }
    let first = if episode == 0 { 0 } else { parts.ends[episode - 1] };
    Ok(Episode { parts, simulator, first, steps: end - first })
}

/// Replays the episode and writes the video.
fn replay(
    args: &ReplayArgs,
    episode: &Episode,
    policy: Option<&Policy>,
    task: &dyn Task,
    seed: Option<u64>,
) -> Result<ReplayReport> {
    let mut writer = VideoWriter::new(&args.video, &|line| say(line))?;
    let mut column = Column::default();
    let mut environment = task.start_with_pictures()?;
    let n_obs = task.spec().n_obs;
    let mut observation = vec![0.0; n_obs];
    let by_actions = reset(args, episode, environment.as_mut(), seed, &mut observation)?;
    let flag = interrupt::flag();
    let mut acting = policy.map(|p| p.start(Seed(0)));
    let mut action = vec![0.0; task.spec().n_act];
    // Recordings of the task itself have actions in its own units, those of `mcnn collect` in [-1, 1].
    let in_task_units = episode.parts.actions.iter().any(|a| a.abs() > 1.0);
    let mut progress = Progress::new("replaying", 0, episode.steps as u64);
    let (mut max_difference, mut max_difference_step) = (0.0, 0);
    let mut done = 0;
    while done < episode.steps && !flag.load(Ordering::Relaxed) {
        let (step, recorded) = (done, episode.recorded(done));
        done += 1;
        let mut caption = Caption { step, note: format!("episode {}", args.episode), ..Caption::default() };
        if let (Some(acting), Some(policy)) = (&mut acting, policy) {
            let decision = acting.act(recorded.observation, &mut action)?;
            caption.distance = decision.distance;
            caption.weight = decision.weight;
            caption.memory = decision.memory.map(|m| policy.codebook().source(m).to_string());
        }
        column.add_step(&caption);
        let shown = step.is_multiple_of(args.recording.video_every as usize);
        if shown && !by_actions {
            environment.restore_state(&recorded, &mut observation)?;
        }
        if shown || by_actions {
            let pairs = observation.iter().zip(recorded.observation);
            let difference = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            if difference > max_difference {
                (max_difference, max_difference_step) = (difference, step);
            }
        }
        if shown {
            let top_distance = column.largest_distance();
            writer.add_frame(&column.compose(&environment.picture()?, &caption, top_distance))?;
        }
        if by_actions {
            let recorded = episode.action(step);
            match in_task_units {
                true => scale_action(environment.action_bounds(), recorded, &mut action),
                false => action.copy_from_slice(recorded),
            }
            environment.step(&action, &mut observation)?;
        }
        progress.at(done as u64, &format!("difference {max_difference:.1e}"));
    }
    progress.finish();
    Ok(ReplayReport {
        task: task.spec().name.clone(),
        episode: args.episode,
        steps: done,
        replayed_by: if by_actions { "actions" } else { "state" },
        max_difference,
        max_difference_step,
        file: args.video.display().to_string(),
        frames: writer.finish()?,
        interrupted: flag.load(Ordering::Relaxed),
    })
}

/// Resets the environment to the start of the episode. Returns whether the episode is replayed by its actions: the simulator's
/// state cannot be set, or `--from-seed` is given.
fn reset(
    args: &ReplayArgs,
    episode: &Episode,
    environment: &mut dyn Environment,
    seed: Option<u64>,
    observation: &mut [f32],
) -> Result<bool> {
    if args.from_seed.is_none() {
        environment.reset(seed.unwrap_or(0), observation)?;
        let restored = environment.restore_state(&episode.recorded(0), observation);
        match (restored, seed) {
            (Ok(()), _) => return Ok(false),
            (Err(_), Some(_)) => {}
            (Err(e), None) => {
                return Err(e.within(args.data.display()).next(
                    "if you know the episode's seed, --from-seed SEED replays the recorded actions instead",
                ));
            }
        }
    }
    environment.reset(seed.unwrap_or(0), observation)?;
    Ok(true)
}
