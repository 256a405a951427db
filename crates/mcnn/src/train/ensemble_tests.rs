//! Free training, and the members of an ensemble.

use super::{
    tests::{small, some_codebook, some_data},
    *,
};
use crate::{backbone::KINDS, envelope::Form};

/// The networks of a trained policy.
fn networks(settings: &TrainSettings) -> Vec<Network> {
    let data = some_data();
    let mut run = Run::new(&data, some_codebook(&data), settings.clone()).unwrap();
    while run.step().is_some() {}
    run.policy().members().to_vec()
}

#[test]
fn free_training_is_behavior_cloning_for_every_lambda() {
    for kind in KINDS {
        let backbone = kind.default_settings();
        let hidden = backbone.default_hidden().iter().map(|_| 8).collect();
        let free = TrainSettings {
            backbone,
            hidden,
            batch: 8,
            steps: 3,
            validation_fraction: 0.0,
            ..TrainSettings::default()
        };
        // Another way to the same training, where there is one.
        let regresses = free.backbone.predicts_by_regression();
        let train_through = if regresses { TrainThrough::Envelope } else { TrainThrough::Free };
        let alone = networks(&TrainSettings {
            lambda: Lambda::Value(f32::INFINITY),
            train_through,
            form: Form::Mix,
            ..free.clone()
        });
        for lambda in [Lambda::Auto, Lambda::Value(0.3)] {
            for form in [Form::Mix, Form::Project] {
                let constrained = networks(&TrainSettings { lambda, form, ..free.clone() });
                assert!(constrained == alone, "{}: {lambda}", kind.name);
            }
        }
        let through = TrainSettings { train_through: TrainThrough::Envelope, form: Form::Mix, ..free };
        if regresses {
            assert!(networks(&through) != alone, "{}", kind.name);
        } else {
            let refused = Run::new(&some_data(), some_codebook(&some_data()), through).err().unwrap();
            assert!(refused.to_string().contains("--train-through free"), "{refused}");
        }
    }
}

#[test]
fn the_default_steps_are_passes_over_the_data_within_the_backbones_bounds() {
    let steps = |name: &str, n| {
        let backbone = crate::backbone::BackboneKind::named(name).unwrap().default_settings();
        TrainSettings::default_steps(&backbone, 256, n)
    };
    // 200 passes over 3,000 steps are 600,000 rows: 2,344 batches of 256.
    assert_eq!([steps("mlp", 3_000), steps("mlp", 10), steps("mlp", 1_000_000)], [2_344, 300, 20_000]);
    // 60 passes over Push-T's 25,650 steps, and little data.
    assert_eq!([steps("resmlp", 25_650), steps("resmlp", 3_172)], [6_012, 4_000]);
    assert_eq!(steps("unet", 3_000), 20_000);
}

#[test]
fn many_steps_at_once_are_as_many_single_steps() {
    let data = some_data();
    let settings = TrainSettings { members: 3, steps: 40, ..small(Lambda::Auto) };
    let start = || Run::new(&data, some_codebook(&data), settings.clone()).unwrap();
    let (mut single, mut many) = (start(), start());
    let expected: Vec<Stepped> = std::iter::from_fn(|| single.step()).collect();
    let mut found = many.steps(7).unwrap();
    assert_eq!(found.len(), 7, "a small network's turn is longer");
    while let Some(steps) = many.steps(u64::MAX) {
        assert!(steps.len() > 1 || many.done());
        assert_eq!(many.steps_taken(), steps.last().unwrap().step);
        found.extend(steps);
    }
    assert_eq!(found, expected);
    assert_eq!(many.policy().members(), single.policy().members());
}

#[test]
fn the_members_of_an_ensemble_are_networks_trained_by_themselves() {
    // The split into training and validation episodes follows from the run's seed, so there is none here.
    let one = TrainSettings { validation_fraction: 0.0, ..small(Lambda::Value(f32::INFINITY)) };
    let members = networks(&TrainSettings { members: 3, ..one.clone() });
    for (k, member) in members.iter().enumerate() {
        let seed = member_seed(one.seed, k);
        assert_eq!(
            networks(&TrainSettings { seed, ..one.clone() }),
            std::slice::from_ref(member),
            "member {k}"
        );
    }
    assert!(members[0] != members[1] && members[1] != members[2]);
}

#[test]
fn an_ensemble_resumes_to_the_same_networks_on_any_number_of_threads() {
    let data = some_data();
    let settings = |steps| TrainSettings {
        members: 3,
        bagging: Bagging::Folds,
        validation_fraction: 0.0,
        steps,
        ..small(Lambda::Auto)
    };
    let on = |threads: usize, run: &mut Run| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| while run.step().is_some() {});
    };
    let start = |steps| Run::new(&data, some_codebook(&data), settings(steps)).unwrap();
    let (mut whole, mut first) = (start(12), start(5));
    on(1, &mut whole);
    on(2, &mut first);
    let checkpoint = first.checkpoint().unwrap();
    let bytes = crate::file::checkpoint_to_bytes(&checkpoint);
    assert!(crate::file::checkpoint_from_bytes(&bytes).unwrap() == checkpoint);
    let mut resumed = Run::resume(&data, some_codebook(&data), settings(12), checkpoint.clone()).unwrap();
    on(3, &mut resumed);
    assert!(resumed.policy().members() == whole.policy().members());
    let bytes = crate::file::policy_to_bytes(&whole.policy());
    assert_eq!(crate::file::policy_to_bytes(&resumed.policy()), bytes);
    assert!(crate::file::policy_from_bytes(&bytes).unwrap().members() == whole.policy().members());

    let mut lost = checkpoint;
    lost.members.pop();
    let refused =
        Run::resume(&data, some_codebook(&data), settings(12), lost).err().expect("refused").to_string();
    assert!(refused.contains("another number of networks"), "{refused}");
}

#[test]
fn a_large_batch_has_up_to_sixteen_micro_batches_and_threads_change_no_byte() {
    let counts = |name: &str| {
        let kind = KINDS.iter().find(|kind| kind.name == name).unwrap();
        [1, 64, 256, 512, 2048, 1 << 20].map(|batch| kind.default_settings().micro_batches(batch))
    };
    assert_eq!(counts("mlp"), [2, 2, 2, 4, 16, 16]);
    assert_eq!(counts("bet"), [4, 4, 16, 16, 16, 16]);
    assert_eq!(counts("unet"), [4, 4, 8, 16, 16, 16]);
    assert_eq!(counts("ibc"), [2, 4, 16, 16, 16, 16]);
    let data = some_data();
    let settings = TrainSettings { batch: 2050, steps: 3, ..small(Lambda::Value(f32::INFINITY)) };
    let trained = |threads: usize, members: usize| {
        let settings = TrainSettings { members, ..settings.clone() };
        let mut run = Run::new(&data, some_codebook(&data), settings).unwrap();
        assert_eq!(run.learners[0].micro_batches, 16);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| while run.step().is_some() {});
        crate::file::policy_to_bytes(&run.policy())
    };
    for members in [1, 3] {
        let one = trained(1, members);
        assert!([2, 5, 16].into_iter().all(|threads| trained(threads, members) == one));
    }
    // The gradient is that of the batch, for any number of micro-batches.
    let mut run = Run::new(&data, some_codebook(&data), settings.clone()).unwrap();
    let which: Vec<usize> = (0..2050).map(|k| k % data.n_steps()).map(|k| k % run.training_set.n).collect();
    let (loss, grad) = run.loss_and_gradient(&which);
    run.learners[0].micro_batches = 1;
    let (whole_loss, whole) = run.loss_and_gradient(&which);
    assert!((loss - whole_loss).abs() < 1e-5 * whole_loss);
    let largest = whole.iter().fold(0.0_f32, |most, g| most.max(g.abs()));
    assert!(grad.iter().zip(&whole).all(|(a, b)| (a - b).abs() < 1e-4 * largest) && largest > 0.0);
}

#[test]
fn folds_leave_every_episode_out_of_one_member_and_validate_on_it() {
    let data = some_data();
    let settings = TrainSettings {
        members: 3,
        bagging: Bagging::Folds,
        validation_fraction: 0.0,
        ..small(Lambda::Value(f32::INFINITY))
    };
    let mut run = Run::new(&data, some_codebook(&data), settings.clone()).unwrap();
    while run.step().is_some() {}
    let policy = run.policy();
    // Member k has not seen episode k: it is the network that is trained on the others alone.
    let mut errors = 0.0;
    for k in 0..3 {
        let member = policy.members()[k].clone();
        let alone = Policy::new(policy.codebook().clone(), policy.envelope(), member, 1).unwrap();
        for i in data.episode(k) {
            let mut action = [0.0; 2];
            alone.session().act(&data.state(i), &mut action).unwrap();
            let wanted = data.action(i);
            let squares = action.iter().zip(wanted.iter()).map(|(f, a)| f64::from(f - a).powi(2));
            errors += squares.sum::<f64>() / 2.0;
        }
    }
    let validation = run.validation().expect("validation on the folds");
    assert_eq!(validation.states, 90);
    assert!((validation.loss - errors / 90.0).abs() < 1e-6, "{} {}", validation.loss, errors / 90.0);
    for bins in &validation.by_distance {
        assert_eq!(bins.network, Some(bins.loss), "without memories the policy is the network");
    }

    let refused = |settings: TrainSettings| {
        Run::new(&data, some_codebook(&data), settings).err().expect("refused").to_string()
    };
    assert!(refused(TrainSettings { members: 4, ..settings.clone() }).contains("at most 3 members"));
    assert!(refused(TrainSettings { members: 0, ..settings.clone() }).contains("1 to 100"));
    assert!(refused(TrainSettings { members: 1, ..settings }).contains("2 members or more"));
}
