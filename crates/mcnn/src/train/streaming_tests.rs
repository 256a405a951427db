//! Memories and networks that are learned from steps in a file, piece by piece, against the same in memory: to the bit.

use super::*;
use crate::{
    backbone::{Architecture, BetSettings},
    data::{ActionScale, ActionSettings, ReadOptions, Recorded, RelativeTo, Target, Units, read, stream},
    file,
    memory::{Amount, LearnSettings, SelectionMethod, learn},
};

/// Walks of three dimensions, the last an angle, with pauses, repeated states and a copied episode.
fn recorded() -> Recorded {
    let mut rng = Seed(3).rng();
    let mut recorded = Recorded::default();
    let parts = &mut recorded.parts;
    (parts.n_obs, parts.n_act) = (3, 2);
    for episode in 0..7 {
        let mut at = [0.0; 3].map(|_: f64| rng.normal());
        for step in 0..30 + episode {
            if step % 9 != 4 {
                at.iter_mut().for_each(|x| *x += 0.2 * rng.normal());
            }
            parts.states.extend(at.map(|x| x as f32));
            parts.actions.extend([at[0] + 0.1 * rng.normal(), at[1].sin()].map(|x| x as f32));
        }
        parts.ends.push(parts.states.len() / 3);
    }
    parts.states.extend_from_within(..90);
    parts.actions.extend_from_within(..60);
    parts.ends.push(parts.states.len() / 3);
    recorded
}

/// The data in a file and in memory.
fn both(folder: &std::path::Path, relative_to: RelativeTo) -> [Demonstrations; 2] {
    let path = folder.join("a.mcnn");
    recorded().write(&path, Target::Columns).unwrap();
    let angles = vec!["2:rad".parse().unwrap()];
    let units = Units::Fitted(ActionSettings { scale: ActionScale::Range, relative_to, angles });
    let options = ReadOptions { units, ..ReadOptions::default() };
    let data = [stream(&path, &options).unwrap().unwrap().data, read(&path, &options).unwrap()];
    assert!(data[0].is_streamed() && data[0].pieces().count() > 9 && !data[1].is_streamed());
    data
}

#[test]
fn memories_of_every_method_are_those_learned_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let data = both(folder.path(), RelativeTo::Dimensions(vec![Some(0), None]));
    use SelectionMethod::*;
    for selection in [Gas, GasFixed, Random, Kmeans, Kcenter, All] {
        for smooth_neighbors in [1, 5] {
            let settings = LearnSettings {
                amount: Amount::Count(60),
                selection,
                epochs: 3,
                smooth_neighbors,
                seed: Seed(5),
                ..LearnSettings::default()
            };
            let [streamed, whole] = data.each_ref().map(|data| {
                let learned = learn(data, &settings).unwrap();
                let about = (learned.coverage, learned.merged, learned.refilled, learned.repeated);
                let book = learned.codebook.with_future_actions(data, 4).unwrap();
                (
                    about,
                    file::codebook_to_bytes(&book),
                    book.baseline_errors(data),
                    book.graph_searches(data).measured,
                )
            });
            assert_eq!(streamed, whole, "{selection} {smooth_neighbors}");
            assert!(streamed.0.3 >= 30, "repeated states");
        }
    }
}

#[test]
fn policies_and_their_validation_and_calibration_are_those_trained_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let data = both(folder.path(), RelativeTo::Absolute);
    let bet = Architecture::from(BetSettings {
        window: 3,
        buckets: 4,
        width: 8,
        heads: 2,
        layers: 1,
        ..BetSettings::default()
    });
    let mlp = TrainSettings::default().backbone;
    let through = super::tests::through_envelope();
    let folds = TrainSettings {
        members: 3,
        bagging: Bagging::Folds,
        validation_fraction: 0.0,
        ..TrainSettings::default()
    };
    for (backbone, settings, smooth_neighbors) in [
        (mlp.clone(), TrainSettings::default(), 1),
        (mlp.clone(), through, 5),
        (mlp, folds, 1),
        (bet, TrainSettings::default(), 1),
    ] {
        let hidden = if backbone.buckets() > 0 { backbone.default_hidden() } else { vec![16, 16] };
        let settings = TrainSettings { backbone, hidden, steps: 30, batch: 16, ..settings };
        let [streamed, whole] = data.each_ref().map(|data| {
            let learn_settings =
                LearnSettings { amount: Amount::Count(40), smooth_neighbors, ..LearnSettings::default() };
            let book = learn(data, &learn_settings).unwrap().codebook;
            let mut run = Run::new(data, book, settings.clone()).unwrap();
            let losses: Vec<f32> = std::iter::from_fn(|| run.step()).map(|stepped| stepped.loss).collect();
            run.check_readable().unwrap();
            let validation = run.validation();
            assert_eq!(
                validation.is_none(),
                settings.validation_fraction == 0.0 && settings.bagging == Bagging::None
            );
            let share = run.zero_gradient_share();
            (losses, validation, share, file::policy_to_bytes(&run.policy()), run.calibration().cloned())
        });
        assert_eq!((streamed.0.len(), &streamed.0, &streamed.1), (30, &whole.0, &whole.1));
        assert!(streamed == whole, "the policies or calibrations differ: {settings:?}");
    }
}

#[test]
fn nothing_is_learned_or_trained_from_a_file_that_was_cut_short() {
    let folder = tempfile::tempdir().unwrap();
    let [data, whole] = both(folder.path(), RelativeTo::Absolute);
    let settings = LearnSettings { amount: Amount::Count(40), ..LearnSettings::default() };
    let book = learn(&whole, &settings).unwrap().codebook;
    let train = TrainSettings { hidden: vec![16], steps: 30, batch: 16, ..TrainSettings::default() };
    let mut run = Run::new(&data, book.clone(), train.clone()).unwrap();
    run.step().unwrap();
    let path = folder.path().join("a.mcnn");
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().len() / 3).unwrap();
    // A batch in what is left may still be read; soon one is not.
    let steps = std::iter::from_fn(|| run.step()).count();
    assert!(steps < 29 && !run.done(), "{steps} steps");
    let errors = [
        run.check_readable().unwrap_err(),
        learn(&data, &settings).err().unwrap(),
        Run::new(&data, book, train).err().unwrap(),
    ];
    for error in errors.map(|e| e.to_string()) {
        assert!(error.contains("cut short while it was being read") && error.contains("a.mcnn"), "{error}");
    }
}
