//! The interface to MuJoCo: compiled scenes, running copies of them, and MuJoCo's warnings and errors.

use crate::{
    scenes::{self, Data, Scene},
    seeding::Pcg64,
};
use mcnn::{
    Error, Result,
    error::Kind,
    task::{Answer, adroit::Adroit},
};
use mujoco_rs::{
    logging::set_log_handler,
    wrappers::{
        MjData, MjModel,
        mj_data::MjtWarning,
        mj_logging::{MjLogMessage, MjtLogLevel},
        mj_model::MjtObjBase,
    },
};
use std::{fmt, path::Path, sync::Once};

/// Steps of the simulation in one of the task: 5 of 2 ms.
const FRAMES: usize = 5;

/// MuJoCo's warnings when the state or a control is not finite or too large. MuJoCo then resets the scene in the midst
/// of an episode, or takes zero for all controls, which here is an error.
const UNSTABLE: [(MjtWarning, &str); 4] = [
    (MjtWarning::mjWARN_BADCTRL, "control"),
    (MjtWarning::mjWARN_BADQPOS, "position"),
    (MjtWarning::mjWARN_BADQVEL, "velocity"),
    (MjtWarning::mjWARN_BADQACC, "acceleration"),
];

/// Compiles a scene.
pub fn compile(file: &Path) -> Result<MjModel> {
    static QUIET: Once = Once::new();
    // SAFETY: MuJoCo must not be in use by another thread. Everything of this crate that uses it needs a compiled scene
    // first, and no thread passes this line before the call is over; `Hand` tells programs with ways of their own.
    QUIET.call_once(|| unsafe { set_log_handler(on_log_message) });
    let refused = |found: String| {
        Error::new(Kind::Task, "MuJoCo cannot use the scene")
            .at(file.display().to_string())
            .found(found)
            .next("put the scenes of python/get_mujoco.sh back")
    };
    let mut model = MjModel::from_xml(file).map_err(|e| refused(e.to_string()))?;
    soften(&mut model).map_err(|e| e.within(file.display()))?;
    Ok(model)
}

/// Hears MuJoCo's messages, which would otherwise be written to MUJOCO_LOG.TXT in the working directory. Of warnings, those
/// that matter are counted in the state and checked after every step; after an error MuJoCo ends the process.
fn on_log_message(message: &MjLogMessage) {
    if message.level() == MjtLogLevel::mjLOG_ERROR {
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), "error: MuJoCo: {}", message.subject()); // eprintln! may panic
    }
}

/// Sets the gains of the actuators to those of the tasks, in place of those in the file.
fn soften(model: &mut MjModel) -> Result<()> {
    for (first, last, gain) in [("A_WRJ1", "A_WRJ0", 10.0), ("A_FFJ3", "A_THJ0", 1.0)] {
        let id = |name| scenes::id(model, MjtObjBase::mjOBJ_ACTUATOR, name);
        let actuators = id(first)?..=id(last)?;
        for bias in &mut model.actuator_biasprm_mut()[actuators.clone()] {
            bias[..3].copy_from_slice(&[0.0, -gain, 0.0]);
        }
        // SAFETY: only actuators with a plug-in or a motor model use these values as memory addresses; these actuators have a
        // constant gain, and use them as factors.
        for gains in &mut unsafe { model.actuator_gainprm_mut() }[actuators] {
            gains[..3].copy_from_slice(&[gain, 0.0, 0.0]);
        }
    }
    Ok(())
}

/// One copy of a task's scene, in double precision: what Gymnasium-Robotics makes of a seed and actions, without D4RL's
/// rules ([`mcnn::task::adroit::Rules`]).
///
/// It owns a copy of the compiled model (a copy in memory, a few milliseconds and megabytes; nothing is compiled again),
/// because a reset writes poses into the model, which other copies read at the same time.
pub struct Simulation {
    task: Adroit,
    scene: Box<dyn Scene>,
    data: Data,
    controls: Vec<[f64; 2]>, // [n_act]: center and half width of each actuator's range
    answer: Answer,
    place: (u64, usize), // seed and step of the episode, for error messages
}

impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation")
            .field("task", &self.task)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl Simulation {
    /// A copy, reset with seed 0.
    pub(crate) fn new(task: Adroit, model: MjModel) -> Result<Self> {
        let controls = model
            .actuator_ctrlrange()
            .iter()
            .map(|&[low, high]| [(low + high) / 2.0, 0.5 * (high - low)])
            .collect();
        let scene = scenes::find(task, &model)?;
        let data = MjData::try_new(Box::new(model))
            .map_err(|e| Error::new(Kind::Task, "a simulation cannot be started").found(e.to_string()))?;
        let answer = Answer { observation: Vec::new(), reward: 0.0, done: false, success: None };
        let mut simulation = Self { task, scene, data, controls, answer, place: (0, 0) };
        simulation.reset(0)?;
        Ok(simulation)
    }

    /// The dimensions of an action.
    pub fn n_act(&self) -> usize {
        self.controls.len()
    }

    /// The last answer.
    pub fn answer(&self) -> &Answer {
        &self.answer
    }

    /// Positions and velocities of all joints, as MuJoCo has them (`qpos`, `qvel`).
    pub fn state(&self) -> (&[f64], &[f64]) {
        (self.data.qpos(), self.data.qvel())
    }

    /// Starts the episode of a seed. The answer's reward is 0.
    ///
    /// # Errors
    /// If the state is not finite.
    pub fn reset(&mut self, seed: u64) -> Result<&Answer> {
        self.place = (seed, 0);
        self.data.reset();
        // SAFETY: the model is not replaced; the scene writes positions and orientations, for which MuJoCo accepts any value at
        // any time.
        let model = unsafe { self.data.model_mut() };
        self.scene.randomize(model, &mut Pcg64::new(seed));
        self.data.forward();
        self.scene.read_constants(&self.data);
        self.answer.reward = 0.0;
        self.answer.success = None;
        self.check_and_observe()
    }

    /// One step of the task. `action`: `[n_act]`, each clipped to [-1, 1].
    ///
    /// # Errors
    /// If the simulation has become unstable, or the action contains NaN.
    ///
    /// # Panics
    /// If the action does not have `n_act` values.
    pub fn step(&mut self, action: &[f32]) -> Result<&Answer> {
        self.advance(action);
        self.observe()
    }

    /// The second half of [`step`](Simulation::step): the observation and reward of the current state.
    ///
    /// # Errors
    /// As [`Simulation::step`].
    pub fn observe(&mut self) -> Result<&Answer> {
        let (reward, goal) = self.scene.reward_and_goal(&self.data);
        self.answer.reward = reward;
        self.answer.success = Some(goal);
        self.check_and_observe()
    }

    /// The first half of [`step`](Simulation::step): the physics alone.
    ///
    /// # Panics
    /// As [`Simulation::step`].
    pub fn advance(&mut self, action: &[f32]) {
        assert_eq!(action.len(), self.controls.len(), "values in an action");
        self.place.1 += 1;
        let wanted = action.iter().zip(&self.controls);
        for (control, (a, [middle, half])) in self.data.ctrl_mut().iter_mut().zip(wanted) {
            *control = middle + f64::from(a.clamp(-1.0, 1.0)) * half;
        }
        for _ in 0..FRAMES {
            self.data.step();
        }
        // Gymnasium also has the forces on each body computed here (mj_rnePostConstraint), which no task uses.
    }

    /// Writes the observation, and checks that the simulation is stable.
    fn check_and_observe(&mut self) -> Result<&Answer> {
        let warnings = self.data.warning();
        for (kind, of) in UNSTABLE {
            let warning = &warnings[kind as usize];
            if warning.number > 0 {
                let found = format!("{of} {} that is not finite or too large", warning.lastinfo);
                return Err(self.error("the simulation became unstable").found(found));
            }
        }
        self.answer.observation.clear();
        self.scene.observe(&self.data, &mut self.answer.observation);
        if let Some(i) = self.answer.observation.iter().position(|x| !(*x as f32).is_finite()) {
            let found = format!("{} as number {i}", self.answer.observation[i]);
            return Err(self.error("the simulation gave an observation that is not finite").found(found));
        }
        if !self.answer.reward.is_finite() {
            let found = self.answer.reward.to_string();
            return Err(self.error("the simulation gave a reward that is not finite").found(found));
        }
        Ok(&self.answer)
    }

    fn error(&self, what: &str) -> Error {
        let (seed, step) = self.place;
        Error::new(Kind::Task, what).at(format!("{}, episode seed {seed}, step {step}", self.task.name()))
    }
}

#[cfg(test)]
mod tests {
    use crate::Hand;
    use mcnn::{
        error::Kind,
        task::{
            Task as _,
            adroit::{Adroit, Rewards},
        },
    };
    use std::path::Path;

    #[test]
    fn an_unstable_state_is_an_error_with_its_place_and_nothing_is_written_to_the_working_directory() {
        let hand = Hand::new(Adroit::Relocate, Rewards::D4rl).unwrap();
        let mut simulation = hand.simulate().unwrap();
        let action = vec![0.5; hand.spec().n_act];
        let well = simulation.reset(7).unwrap().clone();
        for bad in [f64::NAN, 1e12] {
            simulation.reset(7).unwrap();
            simulation.step(&action).unwrap();
            simulation.data.qvel_mut()[3] = bad;
            let error = simulation.step(&action).unwrap_err();
            let text = error.to_string();
            assert_eq!(error.kind(), Kind::Task);
            assert!(
                text.contains("relocate, episode seed 7, step 2") && text.contains("velocity 3"),
                "{text}"
            );
            assert_eq!(*simulation.reset(7).unwrap(), well, "another episode is as ever");
        }
        let error = simulation.step(&vec![f32::NAN; action.len()]).unwrap_err().to_string();
        assert!(error.contains("control"), "{error}");
        assert!(!Path::new("MUJOCO_LOG.TXT").exists());
    }

    #[test]
    fn what_a_copy_draws_leaves_the_others_alone() {
        let hand = Hand::new(Adroit::Door, Rewards::D4rl).unwrap();
        let (mut one, mut other) = (hand.simulate().unwrap(), hand.simulate().unwrap());
        let first = one.reset(1).unwrap().clone();
        assert_ne!(*other.reset(2).unwrap(), first);
        one.data.forward();
        assert_eq!(*one.check_and_observe().unwrap(), first);
    }

    #[test]
    fn a_scene_that_mujoco_cannot_read_is_an_error_with_its_reason() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("scene.xml");
        for (text, reason) in [("<mujoco><worldbody/>", "XML"), ("<mujoco/>", "A_WRJ1")] {
            std::fs::write(&file, text).unwrap();
            let message = super::compile(&file).unwrap_err().to_string();
            assert!(message.contains(reason) && message.contains("scene.xml"), "{message}");
        }
        let message = super::compile(&folder.path().join("none.xml")).unwrap_err().to_string();
        assert!(message.contains("none.xml"), "{message}");
    }
}
