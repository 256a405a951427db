//! Sharing of training: networks that are trained freely do not depend on the memories, lambda or the form.

use super::{Checkpoint, Keep, Run, TrainSettings};

impl Run {
    /// Takes over the networks and the steps of another run, if this run would have trained the same networks: both are free
    /// ([`TrainThrough::Free`](super::TrainThrough::Free)), have the same data and standardization, and differ only in memories
    /// and in settings of acting. Returns whether it did; if not, nothing has changed.
    ///
    /// Retrieval-conditioned networks are trained with their memories, so they are shared only between equal codebooks.
    pub fn adopt(&mut self, trained: &Self) -> bool {
        let trains_with_memories = self.settings.backbone.retrieval().is_some();
        let is_the_same = self.settings.trained_as() == trained.settings.trained_as()
            && self.settings.is_free()
            && self.settings.keep == Keep::Last
            && self.data == trained.data
            && self.codebook.parts().scale == trained.codebook.parts().scale
            && self.learners.len() == trained.learners.len()
            && (!trains_with_memories || self.codebook.fingerprint() == trained.codebook.fingerprint());
        let Some(Checkpoint { step, members, .. }) = trained.checkpoint().filter(|_| is_the_same) else {
            return false;
        };
        for (learner, state) in self.learners.iter_mut().zip(members) {
            learner.restore(state, step).expect("a network of the same settings");
        }
        self.step = step;
        true
    }
}

impl TrainSettings {
    /// These settings, with the defaults for those of acting.
    fn trained_as(&self) -> Self {
        let Self { lambda, form, constrain_at, combine, distances, .. } = Self::default();
        Self { lambda, form, constrain_at, combine, distances, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        backbone::KINDS,
        envelope::Form,
        file::policy_to_bytes,
        memory::{Amount, Codebook, LearnSettings, SelectionMethod, learn},
        train::{
            Bagging, Lambda, TrainThrough,
            tests::{small, some_codebook, some_data},
        },
    };

    fn trained(codebook: Codebook, settings: &TrainSettings) -> Run {
        let mut run = Run::new(&some_data(), codebook, settings.clone()).unwrap();
        while run.step().is_some() {}
        run
    }

    fn other_memories() -> Codebook {
        let how =
            LearnSettings { amount: Amount::Count(9), selection: SelectionMethod::Gas, ..Default::default() };
        learn(&some_data(), &how).unwrap().codebook
    }

    #[test]
    fn a_run_that_adopts_ends_as_one_that_trains() {
        for kind in KINDS {
            let backbone = kind.default_settings();
            let hidden = backbone.default_hidden().iter().map(|_| 8).collect();
            // Buckets are as many as the actions of all episodes.
            let validation_fraction = if backbone.buckets() > 0 { 0.0 } else { 0.4 };
            let settings = TrainSettings {
                backbone,
                hidden,
                batch: 8,
                steps: 3,
                members: 2,
                validation_fraction,
                ..TrainSettings::default()
            };
            let memories = match settings.backbone.retrieval() {
                Some(_) => some_codebook(&some_data()),
                None => other_memories(),
            };
            let other = TrainSettings { lambda: Lambda::Value(0.7), form: Form::Mix, ..settings.clone() };
            let alone = trained(some_codebook(&some_data()), &settings);
            let expected = trained(memories.clone(), &other);
            let mut run = Run::new(&some_data(), memories, other).unwrap();
            assert!(run.adopt(&alone), "{}", kind.name);
            assert!(run.done() && run.validation() == expected.validation(), "{}", kind.name);
            assert_eq!(policy_to_bytes(&run.policy()), policy_to_bytes(&expected.policy()), "{}", kind.name);
        }
    }

    #[test]
    fn other_training_is_not_adopted() {
        let free = TrainSettings { train_through: TrainThrough::Free, ..small(Lambda::Value(0.7)) };
        let alone = trained(some_codebook(&some_data()), &free);
        for other in [
            TrainSettings { seed: crate::seed::Seed(1), ..free.clone() },
            TrainSettings { lr: 1e-3, ..free.clone() },
            TrainSettings { bagging: Bagging::Folds, members: 3, ..free.clone() },
            TrainSettings { lambda: Lambda::Value(0.0), ..free.clone() },
            TrainSettings { train_through: TrainThrough::Envelope, ..free.clone() },
        ] {
            let mut run = Run::new(&some_data(), some_codebook(&some_data()), other.clone()).unwrap();
            assert!(!run.adopt(&alone) && run.steps_taken() == 0, "{other:?}");
        }
        let ignored = LearnSettings { ignore: vec![1], ..Default::default() };
        let rescaled = learn(&some_data(), &ignored).unwrap().codebook;
        let mut run = Run::new(&some_data(), rescaled, free.clone()).unwrap();
        assert!(!run.adopt(&alone), "another standardization");
        let retrieval = KINDS.iter().find(|kind| kind.default_settings().retrieval().is_some()).unwrap();
        let sees = TrainSettings { backbone: retrieval.default_settings(), steps: 2, ..free };
        let mut run = Run::new(&some_data(), other_memories(), sees.clone()).unwrap();
        assert!(!run.adopt(&trained(some_codebook(&some_data()), &sees)), "trained with other memories");
    }
}
