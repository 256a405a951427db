//! Rollouts: in order, the same on any number of threads, going on past failures; and what is summed up of them.

use mcnn::{
    act::{Act, Acting, Decision},
    error::{Error, Kind, Result},
    eval::{Episode, Run, Summary, collect, compare, demonstrate, rollout},
    expert::{Noise, Noisy, TaskExpert},
    seed::Seed,
    task::{
        Batch, Environment, Outcome, Spec, Task,
        drive::{Drive, Expert, HORIZON},
    },
};
use std::sync::atomic::{AtomicUsize, Ordering};

fn run(episodes: usize, threads: usize) -> Run {
    Run { episodes, first_seed: 100, threads, environments_per_worker: 1, trace: true }
}

/// Everything but the times.
fn timeless(episodes: &[Episode]) -> Vec<Episode> {
    let without = |e: &Episode| Episode { latencies: Vec::new(), ..e.clone() };
    episodes.iter().map(without).collect()
}

/// Counts: observation `[seed, t]`, reward t. Seed 103's simulator fails at step 2, and is of no use after.
struct Count {
    spec: Spec,
    started: AtomicUsize,
}

struct Counting {
    seed: u64,
    t: u64,
    broken: bool,
    state: [f64; 2], // seed and t
}

impl Count {
    fn new() -> Self {
        let spec = Spec {
            name: "count".into(),
            n_obs: 2,
            frame: None,
            n_act: 1,
            horizon: 6,
            reference: Some([5.0, 25.0]),
            parts: Vec::new(),
        };
        Self { spec, started: AtomicUsize::new(0) }
    }
}

/// The same with frames of 1 x 1 pixel, whose value is the step, and an expert that knows the seed, which frames do not show.
struct Seen(Count);

impl Task for Seen {
    fn spec(&self) -> &Spec {
        &self.0.spec
    }

    fn start(&self) -> Result<Box<dyn Environment>> {
        Ok(Box::new(Hidden { inner: self.0.start()?, seed: 0, t: 0 }))
    }

    fn start_with_expert(&self, n: usize) -> Result<Box<dyn Batch + '_>> {
        self.start_many(n)
    }
}

struct Hidden {
    inner: Box<dyn Environment>,
    seed: u64,
    t: u8,
}

impl Environment for Hidden {
    fn reset(&mut self, seed: u64, observation: &mut [f32]) -> Result<()> {
        (self.seed, self.t) = (seed, 0);
        observation.fill(0.0);
        self.inner.reset(seed, &mut [0.0; 2])
    }

    fn step(&mut self, action: &[f32], observation: &mut [f32]) -> Result<Outcome> {
        self.t += 1;
        observation.fill(f32::from(self.t));
        self.inner.step(action, &mut [0.0; 2])
    }

    fn expert_action(&self, action: &mut [f32]) -> bool {
        action[0] = (self.seed * 10 + u64::from(self.t)) as f32 / 1000.0;
        true
    }
}

#[test]
fn a_tasks_own_expert_acts_on_what_no_frame_shows_whatever_the_lanes() {
    let mut count = Count::new();
    (count.spec.frame, count.spec.n_obs) = (Some([1, 1]), 3);
    let task = Seen(count);
    let with = |threads, lanes| {
        let run = Run { episodes: 5, first_seed: 2, threads, environments_per_worker: lanes, trace: false };
        let mut all = demonstrate(&TaskExpert { n_act: 1 }, &task, &run, &|_| true).unwrap();
        all.episodes.iter_mut().for_each(|e| e.latencies.clear());
        all
    };
    let one = with(1, 1);
    for (threads, lanes) in [(1, 3), (2, 2), (3, 1)] {
        assert_eq!(with(threads, lanes), one);
    }
    assert!(one.states.is_empty());
    let steps: Vec<(u64, u8)> =
        one.episodes.iter().flat_map(|e| (0..e.length as u8).map(|t| (e.seed, t))).collect();
    assert!(steps.len() > 10);
    assert_eq!(one.frames, steps.iter().flat_map(|(_, t)| [*t; 3]).collect::<Vec<_>>());
    let advised = steps.iter().map(|(seed, t)| (seed * 10 + u64::from(*t)) as f32 / 1000.0);
    assert_eq!(one.actions, advised.collect::<Vec<_>>());

    let run = Run { episodes: 1, first_seed: 2, threads: 1, environments_per_worker: 1, trace: false };
    let error =
        demonstrate(&TaskExpert { n_act: 1 }, &Count::new(), &run, &|_| true).unwrap_err().to_string();
    assert!(error.contains("no expert of its own") && error.contains("count"), "{error}");
}

impl Task for Count {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn start(&self) -> Result<Box<dyn Environment>> {
        self.started.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(Counting { seed: 0, t: 0, broken: false, state: [0.0; 2] }))
    }
}

impl Environment for Counting {
    fn reset(&mut self, seed: u64, observation: &mut [f32]) -> Result<()> {
        if self.broken {
            return Err(Error::new(Kind::Task, "used after it broke"));
        }
        (self.seed, self.t, self.state) = (seed, 0, [seed as f64, 0.0]);
        observation.copy_from_slice(&[seed as f32, 0.0]);
        Ok(())
    }

    fn step(&mut self, action: &[f32], observation: &mut [f32]) -> Result<Outcome> {
        self.t += 1;
        self.state[1] += 1.0;
        if self.seed == 103 && self.t == 2 {
            self.broken = true;
            return Err(Error::new(Kind::Task, "the simulator broke"));
        }
        observation.copy_from_slice(&[self.seed as f32, self.t as f32]);
        Ok(Outcome {
            reward: self.t as f64 + f64::from(action[0]),
            done: self.seed == 101 && self.t == 4,
            success: Some(self.seed.is_multiple_of(2) && self.t >= 5),
            goal: self.t.is_multiple_of(2),
            parts: 0,
        })
    }

    fn state(&self) -> Option<(&[f64], &[f64])> {
        Some((&self.state[..1], &self.state[1..]))
    }
}

/// Acts with a constant, and says weights and distances that follow the observation.
struct Constant(f32);

impl Act for Constant {
    fn n_obs(&self) -> usize {
        2
    }
    fn n_act(&self) -> usize {
        1
    }
    fn start(&self, _: Seed) -> Box<dyn Acting + '_> {
        Box::new(Self(self.0))
    }
}

impl Acting for Constant {
    fn act(&mut self, observation: &[f32], action: &mut [f32]) -> Result<Decision> {
        action[0] = self.0;
        Ok(Decision {
            distance: Some(observation[1]),
            weight: (observation[1] < 2.0).then_some(0.5),
            ..Decision::default()
        })
    }
}

#[test]
fn episodes_come_in_order_and_are_the_same_on_any_number_of_threads() {
    let task = Drive::new();
    let noisy = Noisy::new(Expert, Noise::Correlated { std: 0.2, kept: 0.5 }, None).unwrap();
    let one = rollout(&noisy, &task, &run(9, 1), &|_| ()).unwrap();
    let heard = AtomicUsize::new(0);
    let many = rollout(&noisy, &task, &run(9, 4), &|_| _ = heard.fetch_add(1, Ordering::Relaxed)).unwrap();
    assert_eq!(timeless(&one), timeless(&many));
    assert_eq!(heard.into_inner(), 9);
    assert!(one.iter().map(|e| e.seed).eq(100..109));
    for e in &one {
        assert_eq!(e.latencies.len(), e.length);
        assert_eq!(e.trace.as_ref().unwrap().positions.len(), e.length + 1);
        assert_eq!((e.weight, e.distance, &e.error), (None, None, &None));
        assert!(e.success == Some(e.length == HORIZON) && e.length <= HORIZON);
    }
    // The seed of the actor counts, too: noise differs from episode to episode.
    assert_ne!(one[0].ret, one[1].ret);
}

/// Acts with a number that its seed alone decides.
struct BySeed;

impl Act for BySeed {
    fn n_obs(&self) -> usize {
        2
    }
    fn n_act(&self) -> usize {
        1
    }
    fn start(&self, seed: Seed) -> Box<dyn Acting + '_> {
        Box::new(Constant(seed.rng().uniform() as f32))
    }
}

#[test]
fn every_episode_acts_from_its_own_seed() {
    let all = rollout(&BySeed, &Count::new(), &run(3, 2), &|_| ()).unwrap();
    for (i, e) in all.iter().enumerate() {
        let drawn = Seed(100 + i as u64).fork("act").rng().uniform() as f32;
        let steps = e.length as f64;
        let wanted = steps * (steps + 1.0) / 2.0 + steps * f64::from(drawn);
        assert!((e.ret - wanted).abs() < 1e-9, "episode {i}: {} for {wanted}", e.ret);
    }
    // An episode does not depend on those it is evaluated with.
    let alone = Run { first_seed: 102, ..run(1, 1) };
    assert_eq!(rollout(&BySeed, &Count::new(), &alone, &|_| ()).unwrap()[0].ret, all[2].ret);
}

#[test]
fn a_failed_episode_is_reported_and_the_others_go_on_in_a_fresh_environment() {
    let task = Count::new();
    let all = rollout(&Constant(0.0), &task, &run(8, 1), &|_| ()).unwrap();
    assert_eq!(task.started.load(Ordering::Relaxed), 2);
    let failed: Vec<u64> = all.iter().filter(|e| e.error.is_some()).map(|e| e.seed).collect();
    assert_eq!(failed, [103]);
    assert_eq!(all[3].error.as_ref().unwrap().what(), "the simulator broke");
    assert_eq!((all[3].ret, all[3].length), (1.0, 1));
    let lengths: Vec<usize> = all.iter().map(|e| e.length).collect();
    assert_eq!(lengths, [6, 4, 6, 1, 6, 6, 6, 6]);
    assert_eq!((all[0].ret, all[1].ret), (21.0, 10.0));
    assert_eq!((all[0].success, all[1].success), (Some(true), Some(false)));
    assert_eq!((all[0].goal_steps, all[0].goal_at_end, all[1].goal_steps), (3, true, 2));
    // Distances 0 to 5 were seen; a weight only at the first two.
    assert_eq!((all[0].distance, all[0].weight), (Some([2.5, 5.0]), Some(0.5)));

    let summary = Summary::new("constant", task.spec(), &all, Seed(1));
    assert_eq!((summary.episodes, summary.failed, summary.seeds), (8, 1, [100, 107]));
    assert_eq!(summary.ret.mean, (6.0 * 21.0 + 10.0) / 7.0);
    assert_eq!(summary.ret.iqm, 21.0);
    let score = summary.score.unwrap();
    assert!((score.mean - 5.0 * (summary.ret.mean - 5.0)).abs() < 1e-9 && score.iqm == 80.0);
    assert_eq!(summary.success.unwrap().share, 4.0 / 7.0);
    assert_eq!(summary.weight, Some(0.5));
}

#[test]
fn a_summary_has_the_keys_that_are_promised() {
    let task = Drive::new();
    let all = rollout(&Expert, &task, &run(1, 1), &|_| ()).unwrap();
    let json = serde_json::to_value(Summary::new("expert", task.spec(), &all, Seed(1))).unwrap();
    let keys =
        |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(
        keys(&json),
        "episodes failed goal_at_end latency_us latency_without_encoder_us parts policy queued_latency_us return score seeds success task weight"
    );
    assert_eq!(keys(&json["return"]), "high iqm iqm_high iqm_low low mean rough");
    assert_eq!(keys(&json["score"]), "high iqm iqm_high iqm_low low mean rough");
    assert_eq!(keys(&json["success"]), "high low share");
    assert_eq!(json["goal_at_end"]["share"], 1.0);
    let count = rollout(&Constant(0.0), &Count::new(), &run(2, 1), &|_| ()).unwrap();
    let summed = Summary::new("zero", &Count::new().spec, &count, Seed(1));
    // Both end on an even step; only the even seed is a success.
    assert_eq!(summed.goal_at_end.map(|g| g.share), Some(1.0));
    assert_eq!(summed.success.map(|s| s.share), Some(0.5));
    assert_eq!(keys(&json["latency_us"]), "p50 p99");
    assert!(json["weight"].is_null() && json["return"]["low"].is_null());
    assert!((json["score"]["mean"].as_f64().unwrap() - 100.0).abs() < 15.0);
}

#[test]
fn queued_actions_have_a_latency_of_their_own() {
    let spec = Count::new().spec;
    let episode = |seed: u64, latencies: &[f32], queued: &[bool], encoding: &[f32]| Episode {
        seed,
        length: latencies.len(),
        latencies: latencies.to_vec(),
        queued: queued.to_vec(),
        encoding: encoding.to_vec(),
        ..Episode::default()
    };
    let two = [
        episode(1, &[100.0, 2.0, 4.0, 300.0, 6.0], &[false, true, true, false, true], &[]),
        episode(2, &[200.0, 4.0], &[false, true], &[]),
    ];
    let summary = Summary::new("chunks", &spec, &two, Seed(1));
    assert_eq!(summary.latency_us.p50, 200.0); // of 100, 200, 300
    assert_eq!(summary.queued_latency_us.unwrap().p50, 4.0); // of 2, 4, 4, 6
    assert_eq!(summary.latency_without_encoder_us, None);
    let frames = [episode(1, &[100.0, 20.0, 140.0], &[false, true, false], &[60.0, 15.0, 80.0])];
    let summary = Summary::new("frames", &spec, &frames, Seed(1));
    assert_eq!(summary.latency_without_encoder_us.unwrap().p50, 50.0); // of 40 and 60
    let none = [episode(1, &[5.0], &[false], &[])];
    assert_eq!(Summary::new("single", &spec, &none, Seed(1)).queued_latency_us, None);
}

#[test]
fn actors_are_compared_on_the_same_episodes_only() {
    let task = Count::new();
    let of = |x: f32, n: usize| rollout(&Constant(x), &task, &run(n, 2), &|_| ()).unwrap();
    let (a, b, c) = (of(1.0, 8), of(0.5, 8), of(0.5, 7));
    let pairs = compare(&[("a", &a), ("b", &b), ("b again", &b)], task.spec(), Seed(1)).unwrap();
    assert_eq!(pairs.len(), 3);
    let first = &pairs[0];
    assert_eq!((first.a.as_str(), first.b.as_str(), first.ret.n), ("a", "b", 7)); // without the failed one
    assert_eq!(first.ret.mean, (6.0 * 3.0 + 2.0) / 7.0); // 0.5 a step
    assert!(first.ret.low < first.ret.mean && first.ret.high > 3.0);
    // Seven differences of one sign: two of 128 patterns are as far from 0. Three comparisons are made.
    assert_eq!((first.p, first.p_holm, pairs[2].p_holm), (2.0 / 128.0, 6.0 / 128.0, 1.0));
    // Of a's episodes the six long ones return more than all seven of b's, the short one more than the short one.
    assert_eq!(first.improvement.mean, 43.0 / 49.0);
    assert!((first.score.unwrap().mean - 5.0 * first.ret.mean).abs() < 1e-9);
    assert_eq!(first.success.unwrap().mean, 0.0);
    assert_eq!(pairs[2].ret.mean, 0.0);
    let error = compare(&[("a", &a), ("c", &c)], task.spec(), Seed(1)).unwrap_err();
    assert_eq!(error.kind(), Kind::Mismatch);
}

#[test]
fn what_does_not_fit_is_refused_before_anything_starts() {
    let task = Count::new();
    let error = rollout(&Expert, &task, &run(3, 1), &|_| ()).unwrap_err();
    let text = error.to_string();
    assert!(
        error.kind() == Kind::Mismatch
            && text.contains("2-dimensional observations")
            && text.contains("10-dimensional observations"),
        "{text}"
    );
    assert!(rollout(&Constant(0.0), &task, &run(0, 1), &|_| ()).is_err());
    assert_eq!(task.started.load(Ordering::Relaxed), 0);
    let nan = rollout(&Constant(f32::NAN), &task, &run(2, 1), &|_| ()).unwrap();
    let text = nan[1].error.as_ref().unwrap().to_string();
    assert!(text.contains("is NaN") && text.contains("episode seed 101, step 0"), "{text}");
}

#[test]
fn collected_steps_are_those_of_the_rollout() {
    let task = Drive::new();
    let noisy = Noisy::new(Expert, Noise::Correlated { std: 0.2, kept: 0.5 }, None).unwrap();
    let with = |threads, lanes| {
        let mut all =
            collect(&noisy, &task, &Run { environments_per_worker: lanes, ..run(4, threads) }, &|_| true)
                .unwrap();
        all.episodes = timeless(&all.episodes);
        all
    };
    let all = with(1, 1);
    assert_eq!(all, with(2, 3));
    let same = rollout(&noisy, &task, &run(4, 1), &|_| ()).unwrap();
    assert_eq!(all.episodes, timeless(&same));
    let ends = same.iter().scan(0, |end, e| {
        *end += e.length;
        Some(*end)
    });
    assert!(all.ends.iter().copied().eq(ends));
    let n = *all.ends.last().unwrap();
    assert_eq!((all.states.len(), all.actions.len(), all.rewards.len()), (n * 10, n * 2, n));
    let ret: f64 = all.rewards[..all.ends[0]].iter().map(|&r| f64::from(r)).sum();
    assert!((ret - same[0].ret).abs() < 1e-3);
    // A state is what was seen before its action: the first is the reset's, not yet moved by it.
    let mut first = [0.0; 10];
    task.start().unwrap().reset(100, &mut first).unwrap();
    assert_eq!(all.states[..10], first);
    assert_eq!((all.qpos.0, all.intended.len()), (0, n * 2));
    let quiet = collect(&Expert, &task, &run(1, 1), &|_| true).unwrap();
    assert_eq!((quiet.qpos, quiet.intended.len()), ((0, vec![]), 0));
}

#[test]
fn collecting_goes_on_past_failures_and_keeps_what_the_simulator_and_the_actor_say() {
    let noisy = Noisy::new(Constant(0.5), Noise::Gaussian(0.1), None).unwrap();
    let all = collect(&noisy, &Count::new(), &run(5, 2), &|_| true).unwrap();
    assert_eq!((all.episodes.len(), all.failed.len(), all.failed[0].seed), (4, 1, 103));
    // Seed 101 ends at step 4 by itself, the others are cut.
    assert!(all.episodes.iter().map(|e| e.terminal).eq([false, true, false, false]));
    assert_eq!(all.ends, [6, 10, 16, 22]);
    // The simulator's state is the one in which the action was taken.
    let column = |k: usize| all.states.chunks(2).map(|o| o[k]).collect::<Vec<f32>>();
    assert_eq!((all.qpos.clone(), all.qvel.clone()), ((1, column(0)), (1, column(1))));
    assert_eq!(all.intended, [0.5; 22]);
    assert!(all.actions.iter().all(|a| *a != 0.5));
    // Actions are kept as the task took them.
    let cut = collect(&Constant(-2.0), &Count::new(), &run(2, 1), &|_| true).unwrap();
    assert_eq!(cut.actions, [-1.0; 10]);
}

#[test]
fn collecting_stops_when_told_and_keeps_what_is_whole() {
    let all = collect(&Constant(0.5), &Count::new(), &run(5, 1), &|e| e.seed != 101).unwrap();
    assert!(all.episodes.iter().map(|e| e.seed).eq([100, 101]));
    let all =
        collect(&Constant(0.5), &Count::new(), &Run { environments_per_worker: 3, ..run(5, 1) }, &|_| false)
            .unwrap();
    assert!(all.episodes.iter().map(|e| e.seed).eq([100, 101, 102]), "those on their way come to their end");
}
