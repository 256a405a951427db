use super::*;
use crate::{
    data::{ActionRange, Parts},
    seed::{Rng, Seed},
};

/// Random walks in 3 dimensions, of the given lengths, with random actions.
fn walks(lengths: &[usize], rng: &mut Rng) -> Vec<Vec<([f32; 3], f32)>> {
    let walk = |&n: &usize| {
        let mut at = [0; 3].map(|_| rng.normal());
        let mut step = || {
            at.iter_mut().for_each(|x| *x += 0.1 * rng.normal());
            (at.map(|x| x as f32), (0.3 * rng.normal()).clamp(-1.0, 1.0) as f32)
        };
        (0..n).map(|_| step()).collect()
    };
    lengths.iter().map(walk).collect()
}

fn data(episodes: &[Vec<([f32; 3], f32)>]) -> Demonstrations {
    let steps: Vec<_> = episodes.concat();
    let mut end = 0;
    let ends = episodes.iter().map(|e| {
        end += e.len();
        end
    });
    let parts = Parts {
        n_obs: 3,
        n_act: 1,
        ends: ends.collect(),
        states: steps.iter().flat_map(|s| s.0).collect(),
        actions: steps.iter().map(|s| s.1).collect(),
        rewards: None,
    };
    Demonstrations::new(parts, ActionRange::Refuse).unwrap()
}

fn firsts(episodes: &[Vec<([f32; 3], f32)>]) -> Vec<usize> {
    let groups = data(episodes).groups();
    (0..episodes.len()).map(|k| groups.first(k)).collect()
}

#[test]
fn copies_coincide_exact_rounded_cut_short_and_relabeled() {
    let mut rng = Seed(0).rng();
    let mut all = walks(&[80, 60, 100], &mut rng);
    all.push(all[0].clone());
    let round = |x: f32| (x * 1e3).round() / 1e3;
    all.push(all[1].iter().map(|(s, a)| (s.map(round), round(*a))).collect()); // three decimals
    all.push(all[2][..70].to_vec()); // the end is missing
    all.push(all[2][1..].to_vec()); // the first step is
    all.push(all[2].iter().map(|(s, a)| (*s, -a)).collect()); // other labels
    assert_eq!(firsts(&all), [0, 1, 2, 0, 1, 2, 2, 2]);
    let groups = data(&all).groups();
    assert_eq!(groups.len(), 3);
    assert_eq!(groups.repeated(), [vec![0, 3], vec![1, 4], vec![2, 5, 6, 7]]);
    assert_eq!(groups.ordinals(), [0, 1, 2, 0, 1, 2, 2, 2]);
    // The longer copy after the shorter one, too.
    assert_eq!(firsts(&[all[5].clone(), all[0].clone(), all[2].clone()]), [0, 1, 0]);
}

#[test]
fn episodes_that_only_resemble_each_other_are_distinct() {
    let mut rng = Seed(1).rng();
    let mut all = walks(&[50; 6], &mut rng);
    // A common start and a long common rest in one pose, before and after the motion.
    let rest = vec![([0.5, -0.25, 0.0], 0.0); 200];
    for episode in &mut all {
        *episode = [rest.clone(), episode.clone(), rest.clone()].concat();
    }
    assert_eq!(firsts(&all), [0, 1, 2, 3, 4, 5]);
    // The same path with the noise of another run: 0.02 standard deviations.
    let noisy = all[0].iter().map(|(s, a)| (s.map(|x| x + (0.02 * rng.normal()) as f32), *a));
    assert_eq!(firsts(&[all[0].clone(), noisy.collect()]), [0, 1]);
    // Episodes that do not move: only exact copies coincide.
    let still = |x: f32, n: usize| vec![([x, 0.0, 0.0], 0.0); n];
    assert_eq!(
        firsts(&[all[0].clone(), still(0.1, 5), still(0.2, 5), still(0.1, 5), still(0.1, 6)]),
        [0, 1, 2, 1, 4]
    );
}

#[test]
fn a_split_keeps_copies_together_and_counts_them_once() {
    let mut rng = Seed(2).rng();
    let once = walks(&[30; 6], &mut rng);
    let twice = [once.clone(), once.clone()].concat();
    for seed in 0..20 {
        let (_, of_once) = data(&once).split(0.1, Seed(seed));
        let (training, of_twice) = data(&twice).split(0.1, Seed(seed));
        let numbers = |d: &Demonstrations| (0..d.n_episodes()).map(|k| d.number(k)).collect::<Vec<_>>();
        let one = numbers(&of_once.unwrap());
        assert_eq!(numbers(&of_twice.unwrap()), [one[0], one[0] + 6], "the episode and its copy");
        assert_eq!(training.n_episodes(), 10);
    }
    let one_episode = [once[0].clone(), once[0].clone()];
    assert!(data(&one_episode).split(0.5, Seed(0)).1.is_none());
}

#[test]
fn known_episodes_are_found_whole_cut_joined_and_rounded() {
    let mut rng = Seed(3).rng();
    let all = walks(&[80, 60, 300, 40], &mut rng);
    let known = data(&all[..3]);
    let scale = Scale::fit(&known);
    let records = known.records(&scale);
    assert!(records.iter().all(|r| (16..=40).contains(&r.samples.len())), "{records:?}");
    let known = KnownEpisodes::new(&records, &scale);
    let find = |episode: &[([f32; 3], f32)]| known.find(&data(&[episode.to_vec()]), 0).map(|r| r.number);
    assert_eq!(find(&all[0]), Some(0));
    assert_eq!(find(&all[1][..40]), Some(1));
    assert_eq!(find(&all[2][100..200]), Some(2), "a piece of a recording");
    assert_eq!(
        find(&[all[3].clone(), all[1].clone()].concat()),
        Some(1),
        "a recording of which a piece is known"
    );
    let rounded: Vec<_> = all[0].iter().map(|(s, a)| (s.map(|x| (x * 1e3).round() / 1e3), *a)).collect();
    assert_eq!(find(&rounded), Some(0));
    assert_eq!(find(&all[3]), None);
    // One step only: equal to the bit, with its action.
    let one = data(&[all[3][..1].to_vec()]);
    let records = one.records(&Scale::fit(&one));
    let known = KnownEpisodes::new(&records, &scale);
    assert!(known.find(&one, 0).is_some());
    assert!(known.find(&data(&[all[3][1..2].to_vec()]), 0).is_none());
}

#[test]
fn many_episodes_take_little_time() {
    // Linear in the number of steps: all pairs of these 3,000 episodes would take minutes.
    let mut rng = Seed(4).rng();
    let mut all = walks(&[50; 3000], &mut rng);
    for episode in &mut all {
        episode[..10].fill(([0.0; 3], 0.0));
    }
    let groups = data(&all).groups();
    assert_eq!(groups.len(), 3000);
}
