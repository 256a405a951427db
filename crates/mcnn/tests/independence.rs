//! Episodes that coincide are one wherever an episode is left out, and calibration data are compared with the memories' episodes.

use mcnn::{
    backbone::RetrievalSettings,
    calibration::{OodCalibration, OodQuantile},
    data::{ActionRange, Demonstrations, Parts},
    file,
    memory::{Amount, Codebook, CodebookParts, LearnSettings, SelectionMethod, learn},
    seed::Seed,
    train::{Bagging, Lambda, Run, TrainSettings},
};

/// Random walks: 3 dimensions of the state, actions of 2.
fn parts(lengths: &[usize], seed: u64) -> Parts {
    let mut rng = Seed(seed).rng();
    let (mut states, mut actions, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    for &n in lengths {
        let mut at = [0; 3].map(|_| rng.normal());
        for _ in 0..n {
            at.iter_mut().for_each(|x| *x += 0.1 * rng.normal());
            states.extend(at.map(|x| x as f32));
            actions.extend([0.1 * at[0], rng.between(-0.5, 0.5)].map(|a| (a as f32).clamp(-1.0, 1.0)));
        }
        ends.push(states.len() / 3);
    }
    Parts { n_obs: 3, n_act: 2, states, actions, rewards: None, ends }
}

fn data(parts: Parts) -> Demonstrations {
    Demonstrations::new(parts, ActionRange::Refuse).unwrap()
}

fn joined(a: &Demonstrations, b: &Demonstrations) -> Demonstrations {
    let (mut a, b) = (Parts::from(a.clone()), Parts::from(b.clone()));
    let n = a.n_steps();
    a.states.extend(b.states);
    a.actions.extend(b.actions);
    a.ends.extend(b.ends.iter().map(|end| n + end));
    data(a)
}

fn memories(data: &Demonstrations, fraction: f64) -> Codebook {
    let settings = LearnSettings { amount: Amount::Fraction(fraction), ..LearnSettings::default() };
    learn(data, &settings).unwrap().codebook
}

fn all(data: &Demonstrations) -> Codebook {
    learn(data, &LearnSettings { selection: SelectionMethod::All, ..Default::default() }).unwrap().codebook
}

#[test]
fn a_copy_of_every_episode_changes_no_calibration_lambda_or_fold() {
    let once = data(parts(&[40; 6], 0));
    let twice = joined(&once, &once);
    let settings = TrainSettings {
        hidden: vec![8],
        steps: 1,
        members: 3,
        bagging: Bagging::Folds,
        validation_fraction: 0.0,
        ..TrainSettings::default()
    };
    let run = |data: &Demonstrations| Run::new(data, all(data), settings.clone()).unwrap();
    let (a, b) = (run(&once), run(&twice));
    assert!((a.envelope().lambda / b.envelope().lambda - 1.0).abs() < 1e-4);
    assert_eq!(b.calibration().unwrap().episodes().len(), 6);
    for quantile in [OodQuantile::States(0.9), OodQuantile::Episodes(0.9)] {
        let [a, b] = [&a, &b].map(|run| run.calibration().unwrap().threshold(quantile).unwrap());
        assert!((a.distance - b.distance).abs() < 1e-4 && (a.probability - b.probability).abs() < 1e-9);
    }
    // Each fold has whole groups: the error of a member is that on episodes it saw no copy of.
    let errors = [a, b].map(|run| run.validation().unwrap().by_distance[0].copying);
    assert!(errors[0] > 1e-3 && (errors[0] / errors[1] - 1.0).abs() < 0.3, "{errors:?}");
    let four = TrainSettings { members: 7, ..settings };
    let refused = Run::new(&twice, all(&twice), four).err().unwrap().to_string();
    assert!(refused.contains("at most 6 members"), "{refused}");
}

#[test]
fn calibration_episodes_are_compared_with_those_of_the_memories() {
    let known = data(parts(&[60, 50, 70, 40, 60], 1));
    let new = data(parts(&[50, 60, 40], 2));
    for fraction in [0.1, 1.0] {
        let book = memories(&known, fraction);
        let bytes = file::codebook_to_bytes(&book);
        let read = file::codebook_from_bytes(&bytes).unwrap();
        assert_eq!(read.parts().episodes, book.parts().episodes);
        // A file of an earlier version has no records: its memories' states are compared.
        let older = Codebook::new(CodebookParts { episodes: Vec::new(), ..book.parts().clone() }).unwrap();
        for book in [read, older] {
            let numbers = |data: &Demonstrations| {
                let (calibration, left_out) = OodCalibration::from_new_episodes(&book, data).unwrap();
                let used: Vec<u32> = calibration.episodes().iter().map(|e| e.number).collect();
                (used, left_out.known, left_out.repeated)
            };
            assert_eq!(numbers(&new), (vec![0, 1, 2], vec![], vec![]));
            // A subset with new ones, a superset, and the new ones twice.
            assert_eq!(numbers(&joined(&new, &known.select(&[1, 3]))), (vec![0, 1, 2], vec![3, 4], vec![]));
            assert_eq!(numbers(&joined(&known, &new)), (vec![5, 6, 7], vec![0, 1, 2, 3, 4], vec![]));
            assert_eq!(numbers(&joined(&new, &new)), (vec![0, 1, 2], vec![], vec![3, 4, 5]));
            // Of the memories' episodes alone, none is left: the last steps are missing, or one recording has them all.
            let whole = Parts { ends: vec![known.n_steps()], ..Parts::from(known.clone()) };
            for same in [known.clone(), known.drop_last().unwrap(), known.select(&[2, 0]), data(whole)] {
                let refused = OodCalibration::from_new_episodes(&book, &same).unwrap_err().to_string();
                assert!(refused.contains("the memories were chosen from these data"), "{refused}");
            }
            let threshold = OodCalibration::from_new_episodes(&book, &joined(&new, &known)).unwrap().0;
            let alone = OodCalibration::from_new_episodes(&book, &new).unwrap().0;
            assert_eq!(
                threshold.threshold(OodQuantile::States(1.0)).unwrap(),
                alone.threshold(OodQuantile::States(1.0)).unwrap()
            );
        }
    }
}

#[test]
fn memories_added_from_a_known_episode_stay_with_it() {
    let known = data(parts(&[40, 40, 40], 3));
    let book = memories(&known, 0.2);
    let new = data(parts(&[30], 4));
    let (again, added) = book.with_steps(&known, &(40..80).collect::<Vec<_>>()).unwrap();
    assert_eq!((added.first_episode, again.group(3 + 1)), (3, 1), "episode 1 of the data is 4 here");
    let others = again.retrieve_leave_one_episode_out(&known);
    for other in &others[40..80] {
        assert_ne!(again.group(again.source(other.unwrap().memory).episode), 1);
    }
    let (more, _) = book.with_steps(&new, &(0..30).collect::<Vec<_>>()).unwrap();
    assert_eq!(more.group(3), 3);
    assert_eq!(more.known_episodes(&new).unwrap(), [Some(3)], "so they do not calibrate");
    assert_eq!(book.known_episodes(&new).unwrap(), [None]);
}

#[test]
fn lambda_is_set_from_the_steps_that_move() {
    // Each episode moves for 40 steps and rests for 60 in the same place.
    let moving = parts(&[40; 5], 5);
    let mut resting = Parts { states: Vec::new(), actions: Vec::new(), ends: Vec::new(), ..moving.clone() };
    for k in 0..5 {
        resting.states.extend_from_slice(&moving.states[120 * k..120 * (k + 1)]);
        resting.states.extend([2.0, 1.0, -1.0].repeat(60));
        resting.actions.extend_from_slice(&moving.actions[80 * k..80 * (k + 1)]);
        resting.actions.extend([0.0; 120]);
        resting.ends.push(100 * (k + 1));
    }
    let data = data(resting);
    let settings = TrainSettings { hidden: vec![8], steps: 1, members: 1, ..TrainSettings::default() };
    let run = Run::new(&data, all(&data), settings.clone()).unwrap();
    let weight = |distance: f32| run.envelope().region(distance).weight;
    let train = data.split(settings.validation_fraction, settings.seed.fork("held out")).0;
    let others = all(&data).retrieve_leave_one_episode_out(&train);
    let mut distances: Vec<f32> = (0..train.n_steps())
        .filter(|i| i % 100 < 40) // the moving ones, by construction
        .map(|i| others[i].unwrap().distance)
        .collect();
    distances.sort_by(f32::total_cmp);
    let median = distances[distances.len() / 2];
    assert!((weight(median) - Lambda::AUTO_WEIGHT).abs() < 0.02, "{}", weight(median));
    // The calibration of the policy's file has the same unit.
    let policy = file::policy_from_bytes(&file::policy_to_bytes(&run.policy())).unwrap();
    let again = Lambda::Auto.for_calibration(policy.calibration()).unwrap();
    assert!((again / run.envelope().lambda - 1.0).abs() < 0.3, "{again} and {}", run.envelope().lambda);
    assert_eq!(run.warnings(), [""; 0]);
    let hardly = |lambda| {
        let settings = TrainSettings { lambda: Lambda::Value(lambda), ..settings.clone() };
        Run::new(&data, all(&data), settings).unwrap().warnings().join(" ")
    };
    assert!(hardly(1e-6).contains("the network hardly acts") && hardly(0.0).is_empty());
    // The steps at rest weigh 1 at any lambda, so the mean is not near 0 there; without them it is.
    assert!(hardly(1e4).is_empty());
    let moving = self::data(moving);
    let settings = TrainSettings { lambda: Lambda::Value(1e4), ..settings };
    let found = Run::new(&moving, all(&moving), settings).unwrap().warnings().join(" ");
    assert!(found.contains("mean memory weight") && found.contains("memories hardly act"), "{found}");
}

#[test]
fn smoothed_memories_do_not_contain_the_actions_that_are_validated() {
    // Six rounds of one circle with actions that nothing predicts: no policy can have a smaller error than their variance.
    let mut rng = Seed(6).rng();
    let (mut states, mut actions) = (Vec::new(), Vec::new());
    for step in 0..6 * 120 {
        let angle = f64::from(step % 120) / 19.0;
        states.extend([angle.cos(), angle.sin()].map(|x| (x + 0.02 * rng.normal()) as f32));
        actions.extend([0; 4].map(|_| rng.between(-1.0, 1.0) as f32));
    }
    let ends = (1..=6).map(|k| 120 * k).collect();
    let data = data(Parts { n_obs: 2, n_act: 4, states, actions, rewards: None, ends });
    let settings =
        LearnSettings { selection: SelectionMethod::All, smooth_neighbors: 8, ..Default::default() };
    let book = learn(&data, &settings).unwrap().codebook;
    let variance = 1.0 / 3.0;
    let error = |settings: TrainSettings, of: fn(&mcnn::train::Bin) -> f64| {
        let settings = TrainSettings {
            hidden: vec![8],
            members: 1,
            validation_fraction: 0.5,
            lambda: Lambda::Value(1.0),
            ..settings
        };
        let bins = Run::new(&data, book.clone(), settings).unwrap().validation().unwrap().by_distance;
        bins.iter().map(of).sum::<f64>() / bins.len() as f64
    };
    // The mean of eight actions, of which one or two are left out: (1 + 1/7) of the variance. With the action itself: 7/8.
    let copying = error(TrainSettings::default(), |bin| bin.copying);
    assert!(copying > 1.05 * variance, "{copying}");
    let averaging = TrainSettings { neighbors: 5, lambda: Lambda::Value(0.0), ..TrainSettings::default() };
    let bins = |settings| Run::new(&data, book.clone(), settings).unwrap().validation().unwrap();
    let vinn = bins(TrainSettings { validation_fraction: 0.5, members: 1, ..averaging }).loss;
    assert!(vinn > 0.99 * variance, "{vinn}");
    // Before its first step a retrieval-conditioned network predicts the mean action of the memories it is given.
    let backbone = RetrievalSettings::default().into();
    let network = error(TrainSettings { backbone, ..TrainSettings::default() }, |bin| bin.network.unwrap());
    assert!(network > 0.99 * variance, "{network}");
    // Acting leaves nothing out: at a memory's own state it is the full mean.
    let mut action = [0.0; 4];
    let policy = Run::new(
        &data,
        book.clone(),
        TrainSettings { lambda: Lambda::Value(0.0), ..TrainSettings::default() },
    );
    policy.unwrap().policy().session().act(&data.state(0), &mut action).unwrap();
    assert_eq!(action, *book.action(0));
}
