//! A backbone of a few lines, through training, files and acting: what other modules need is in the traits alone.

use super::tests::{some_codebook, some_data};
use super::*;
use crate::{
    backbone::{Architecture, BackboneKind},
    file::{checkpoint_from_bytes, checkpoint_to_bytes, policy_from_bytes, policy_to_bytes},
};

#[test]
fn a_new_backbone_trains_goes_through_files_and_acts_in_its_box() {
    let data = some_data();
    let kind = BackboneKind::named("linear").expect("it is registered");
    let backbone: Architecture = kind.default_settings();
    let settings = TrainSettings {
        hidden: backbone.default_hidden(),
        backbone,
        lambda: Lambda::Value(0.5),
        lr: 1e-2,
        steps: 300,
        ..TrainSettings::default()
    };
    let mut run = Run::new(&data, some_codebook(&data), settings).unwrap();
    let before = run.validation().unwrap().loss;
    while run.step().is_some() {}
    assert!(run.validation().unwrap().loss < 0.9 * before, "it learned something");
    let checkpoint = run.checkpoint().unwrap();
    assert_eq!(checkpoint_from_bytes(&checkpoint_to_bytes(&checkpoint)).unwrap(), checkpoint);

    let trained = run.policy();
    assert!(trained.name().starts_with("MCNN-Linear, projected, lambda"), "{}", trained.name());
    let policy = policy_from_bytes(&policy_to_bytes(&trained)).unwrap();
    assert_eq!(policy.backbone(), trained.backbone());
    let (mut session, mut action) = (policy.session(), [0.0; 2]);
    for i in 0..data.n_steps() {
        let constrained = session.act(&data.state(i), &mut action).unwrap();
        let memory_action = policy.codebook().action(constrained.retrieval.memory);
        for (action, memory_action) in action.iter().zip(memory_action) {
            let [low, high] = constrained.region.bounds(*memory_action);
            assert!((low..=high).contains(action), "{action} outside of {low} to {high}");
        }
    }
}
