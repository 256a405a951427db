//! The parts that differ between tasks: the random initial state, the observation and the reward, as in
//! Gymnasium-Robotics 1.4.2 (dense rewards) and in the order of its arithmetic.

use crate::{rotation, seeding::Pcg64};
use mcnn::{Error, Result, error::Kind, task::adroit::Adroit};
use mujoco_rs::wrappers::{MjData, MjModel, mj_model::MjtObjBase};

/// The model of a scene and its simulation state.
pub type Data = MjData<Box<MjModel>>;

/// The task-specific part of a simulation.
pub trait Scene: Send {
    /// Samples the initial poses of objects and targets, and writes them into the model.
    fn randomize(&mut self, model: &mut MjModel, rng: &mut Pcg64);
    /// Reads values that are constant in an episode, after a reset and before the first observation.
    fn read_constants(&mut self, _data: &Data) {}
    /// Appends the observation.
    fn observe(&self, data: &Data, observation: &mut Vec<f64>);
    /// The dense reward of the current state, and whether the goal is reached.
    fn reward_and_goal(&self, data: &Data) -> (f64, bool);
}

/// Looks up the bodies, sites, joints and sensors of a task in its model.
///
/// # Errors
/// If the model does not have one of them.
pub fn find(task: Adroit, model: &MjModel) -> Result<Box<dyn Scene>> {
    let id = |kind, name| id(model, kind, name);
    let (body, site) = (MjtObjBase::mjOBJ_BODY, MjtObjBase::mjOBJ_SITE);
    let palm = id(site, "S_grasp")?;
    Ok(match task {
        Adroit::Door => {
            let hinge = id(MjtObjBase::mjOBJ_JOINT, "door_hinge")?;
            let hinge = model.jnt_dofadr()[hinge] as usize;
            Box::new(Door { palm, hinge, handle: id(site, "S_handle")?, frame: id(body, "frame")? })
        }
        Adroit::Hammer => Box::new(Hammer {
            palm,
            hammer: id(body, "Object")?,
            head: id(site, "tool")?,
            nail: id(site, "S_target")?,
            goal: id(site, "nail_goal")?,
            board: id(body, "nail_board")?,
            sensor: id(MjtObjBase::mjOBJ_SENSOR, "S_nail")?,
        }),
        Adroit::Pen => Box::new(Pen {
            pen: id(body, "Object")?,
            target: id(body, "target")?,
            target_site: id(site, "eps_ball")?,
            ends: [id(site, "object_top")?, id(site, "object_bottom")?],
            target_ends: [id(site, "target_top")?, id(site, "target_bottom")?],
            lengths: [1.0; 2],
        }),
        Adroit::Relocate => {
            Box::new(Relocate { palm, ball: id(body, "Object")?, target: id(site, "target")? })
        }
    })
}

/// The index of a named element of the model.
///
/// # Errors
/// If there is no such element.
pub fn id(model: &MjModel, kind: MjtObjBase, name: &str) -> Result<usize> {
    model.name_to_id(kind, name).ok_or_else(|| {
        Error::new(Kind::Task, "the scene does not have an element that the task needs")
            .expected(format!("an element named {name}"))
            .next("run python/get_mujoco.sh to restore the scenes")
    })
}

/// The positions of the hand's joints: all but the last six, which are the object's.
fn hand(data: &Data) -> &[f64] {
    &data.qpos()[..data.qpos().len() - 6]
}

/// The velocities of the object's six joints.
fn object_velocities(data: &Data) -> &[f64] {
    &data.qvel()[data.qvel().len() - 6..]
}

struct Door {
    palm: usize,
    handle: usize,
    frame: usize,
    hinge: usize, // index in qpos; it equals the index in qvel, because every joint before it has one degree of freedom
}

impl Scene for Door {
    fn randomize(&mut self, model: &mut MjModel, rng: &mut Pcg64) {
        let position = [rng.uniform(-0.3..-0.2), rng.uniform(0.25..0.35), rng.uniform(0.252..0.35)];
        model.body_pos_mut()[self.frame] = position;
    }

    fn observe(&self, data: &Data, observation: &mut Vec<f64>) {
        let qpos = data.qpos();
        let (palm, handle, hinge) =
            (data.site_xpos()[self.palm], data.site_xpos()[self.handle], qpos[self.hinge]);
        let latch = qpos.len() - 1;
        observation.extend_from_slice(&qpos[1..latch - 1]);
        observation.extend([qpos[latch], hinge]);
        for vector in [palm, handle, minus(palm, handle)] {
            observation.extend(vector);
        }
        observation.push(if hinge > 1.0 { 1.0 } else { -1.0 });
    }

    fn reward_and_goal(&self, data: &Data) -> (f64, bool) {
        let angle = data.qpos()[self.hinge];
        let mut reward = 0.1 * norm(&minus(data.site_xpos()[self.palm], data.site_xpos()[self.handle]));
        reward += -0.1 * (angle - 1.57) * (angle - 1.57);
        reward += -1e-5 * dot(data.qvel(), data.qvel());
        for (threshold, bonus) in [(0.2, 2.0), (1.0, 8.0), (1.35, 10.0)] {
            if angle > threshold {
                reward += bonus;
            }
        }
        (reward, angle >= 1.35)
    }
}

struct Hammer {
    palm: usize,
    hammer: usize,
    head: usize,
    nail: usize,
    goal: usize,
    board: usize,
    sensor: usize, // index of the sensor, used as the address of its value, as in Gymnasium-Robotics (there is one sensor)
}

impl Scene for Hammer {
    fn randomize(&mut self, model: &mut MjModel, rng: &mut Pcg64) {
        model.body_pos_mut()[self.board][2] = rng.uniform(0.1..0.25);
    }

    fn observe(&self, data: &Data, observation: &mut Vec<f64>) {
        observation.extend_from_slice(hand(data));
        observation.extend(object_velocities(data).iter().map(|v| v.clamp(-1.0, 1.0)));
        let hammer_angles = rotation::to_euler(data.xquat()[self.hammer]);
        let (palm, nail) = (data.site_xpos()[self.palm], data.site_xpos()[self.nail]);
        for vector in [palm, data.xpos()[self.hammer], hammer_angles, nail] {
            observation.extend(vector);
        }
        observation.push(data.sensordata()[self.sensor].clamp(-1.0, 1.0));
    }

    fn reward_and_goal(&self, data: &Data) -> (f64, bool) {
        let (hammer, palm) = (data.xpos()[self.hammer], data.site_xpos()[self.palm]);
        let (head, nail) = (data.site_xpos()[self.head], data.site_xpos()[self.nail]);
        let nail_distance = norm(&minus(nail, data.site_xpos()[self.goal])); // from the nail to its goal
        let mut reward = 0.1 * norm(&minus(palm, hammer));
        reward -= norm(&minus(head, nail));
        reward -= 10.0 * nail_distance;
        reward -= 1e-2 * norm(data.qvel());
        if hammer[2] > 0.04 && head[2] > 0.04 {
            reward += 2.0;
        }
        for (threshold, bonus) in [(0.02, 25.0), (0.01, 75.0)] {
            if nail_distance < threshold {
                reward += bonus;
            }
        }
        (reward, nail_distance < 0.01)
    }
}

struct Pen {
    pen: usize,
    target: usize,
    target_site: usize,
    ends: [usize; 2],
    target_ends: [usize; 2],
    lengths: [f64; 2], // of the pen and of the target pen, read after a reset
}

impl Pen {
    fn direction(data: &Data, [top, bottom]: [usize; 2], length: f64) -> [f64; 3] {
        minus(data.site_xpos()[top], data.site_xpos()[bottom]).map(|x| x / length)
    }

    fn directions(&self, data: &Data) -> [[f64; 3]; 2] {
        [(self.ends, self.lengths[0]), (self.target_ends, self.lengths[1])]
            .map(|(ends, length)| Self::direction(data, ends, length))
    }
}

impl Scene for Pen {
    fn randomize(&mut self, model: &mut MjModel, rng: &mut Pcg64) {
        let angles = [rng.uniform(-1.0..1.0), rng.uniform(-1.0..1.0), 0.0];
        model.body_quat_mut()[self.target] = rotation::from_euler(angles);
    }

    fn read_constants(&mut self, data: &Data) {
        self.lengths = [self.ends, self.target_ends].map(|ends| norm(&Self::direction(data, ends, 1.0)));
    }

    fn observe(&self, data: &Data, observation: &mut Vec<f64>) {
        let (position, goal) = (data.xpos()[self.pen], data.site_xpos()[self.target_site]);
        let [pen, target] = self.directions(data);
        observation.extend_from_slice(hand(data));
        observation.extend(position);
        observation.extend_from_slice(object_velocities(data));
        for vector in [pen, target, minus(position, goal), minus(pen, target)] {
            observation.extend(vector);
        }
    }

    fn reward_and_goal(&self, data: &Data) -> (f64, bool) {
        let position = data.xpos()[self.pen];
        let distance = norm(&minus(position, data.site_xpos()[self.target_site]));
        let [pen, target] = self.directions(data);
        let similarity = dot(&pen, &target); // cosine of the angle between them
        let mut reward = -distance + similarity;
        for (threshold, bonus) in [(0.9, 10.0), (0.95, 50.0)] {
            if distance < 0.075 && similarity > threshold {
                reward += bonus;
            }
        }
        if position[2] < 0.075 {
            reward -= 5.0;
        }
        (reward, distance < 0.075 && similarity > 0.95)
    }
}

struct Relocate {
    palm: usize,
    ball: usize,
    target: usize,
}

impl Relocate {
    fn positions(&self, data: &Data) -> [[f64; 3]; 3] {
        [data.site_xpos()[self.palm], data.xpos()[self.ball], data.site_xpos()[self.target]]
    }
}

impl Scene for Relocate {
    fn randomize(&mut self, model: &mut MjModel, rng: &mut Pcg64) {
        let ball = &mut model.body_pos_mut()[self.ball];
        (ball[0], ball[1]) = (rng.uniform(-0.15..0.15), rng.uniform(-0.15..0.3));
        let target = [rng.uniform(-0.2..0.2), rng.uniform(-0.2..0.2), rng.uniform(0.15..0.35)];
        model.site_pos_mut()[self.target] = target;
    }

    fn observe(&self, data: &Data, observation: &mut Vec<f64>) {
        let [palm, ball, target] = self.positions(data);
        observation.extend_from_slice(hand(data));
        for vector in [minus(palm, ball), minus(palm, target), minus(ball, target)] {
            observation.extend(vector);
        }
    }

    fn reward_and_goal(&self, data: &Data) -> (f64, bool) {
        let [palm, ball, target] = self.positions(data);
        let distance = norm(&minus(ball, target));
        let mut reward = 0.1 * norm(&minus(palm, ball));
        if ball[2] > 0.04 {
            reward += 1.0;
            reward += -0.5 * norm(&minus(palm, target));
            reward += -0.5 * distance;
        }
        for (threshold, bonus) in [(0.1, 10.0), (0.05, 20.0)] {
            if distance < threshold {
                reward += bonus;
            }
        }
        (reward, distance < 0.1)
    }
}

fn minus(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn norm(v: &[f64]) -> f64 {
    dot(v, v).sqrt()
}
