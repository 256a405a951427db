//! The parts that differ between tasks: the random initial state, the observation and the reward, as in
//! Gymnasium-Robotics 1.4.2 (dense rewards) and in the order of its arithmetic.

use crate::{rotation, seeding::Draw};
use mcnn::{Error, Result, error::Kind, task::adroit::Adroit};
use mujoco_rs::wrappers::{MjData, MjModel, mj_model::MjtObjBase};

/// The state of one copy of a scene.
pub type Data = MjData<Box<MjModel>>;

/// One task in one copy.
pub trait Scene: Send {
    /// Draws the positions of the fixtures and writes them into the model.
    fn lay_out(&mut self, model: &mut MjModel, draw: &mut Draw);
    /// Reads what depends on the fixtures, once after a reset and before the first observation.
    fn read_fixtures(&mut self, _data: &Data) {}
    /// Appends the observation.
    fn observe(&self, data: &Data, observation: &mut Vec<f64>);
    /// The reward, and whether the goal is reached.
    fn judge(&self, data: &Data) -> (f64, bool);
}

/// Finds the things of a task in its model.
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
            place: id(site, "eps_ball")?,
            ends: [id(site, "object_top")?, id(site, "object_bottom")?],
            target_ends: [id(site, "target_top")?, id(site, "target_bottom")?],
            lengths: [1.0; 2],
        }),
        Adroit::Relocate => {
            Box::new(Relocate { palm, ball: id(body, "Object")?, target: id(site, "target")? })
        }
    })
}

/// The number of a named thing in the model.
pub fn id(model: &MjModel, kind: MjtObjBase, name: &str) -> Result<usize> {
    model.name_to_id(kind, name).ok_or_else(|| {
        Error::new(Kind::Task, "the scene lacks something that the task needs")
            .expected(format!("something called {name}"))
            .next("put the scenes of python/get_mujoco.sh back")
    })
}

/// The joints of the hand, which are all but the last six (the object's).
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
    hinge: usize, // in qpos; the scene has no joint before it with more numbers in qpos than in qvel
}

impl Scene for Door {
    fn lay_out(&mut self, model: &mut MjModel, draw: &mut Draw) {
        let place = [draw.uniform(-0.3..-0.2), draw.uniform(0.25..0.35), draw.uniform(0.252..0.35)];
        model.body_pos_mut()[self.frame] = place;
    }

    fn observe(&self, data: &Data, o: &mut Vec<f64>) {
        let qpos = data.qpos();
        let (palm, handle, hinge) =
            (data.site_xpos()[self.palm], data.site_xpos()[self.handle], qpos[self.hinge]);
        let latch = qpos.len() - 1;
        o.extend_from_slice(&qpos[1..latch - 1]);
        o.extend([qpos[latch], hinge]);
        for part in [palm, handle, minus(palm, handle)] {
            o.extend(part);
        }
        o.push(if hinge > 1.0 { 1.0 } else { -1.0 });
    }

    fn judge(&self, data: &Data) -> (f64, bool) {
        let angle = data.qpos()[self.hinge];
        let mut reward = 0.1 * norm(&minus(data.site_xpos()[self.palm], data.site_xpos()[self.handle]));
        reward += -0.1 * (angle - 1.57) * (angle - 1.57);
        reward += -1e-5 * dot(data.qvel(), data.qvel());
        for (open, bonus) in [(0.2, 2.0), (1.0, 8.0), (1.35, 10.0)] {
            if angle > open {
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
    sensor: usize, // read at the sensor's number, not its address, as Gymnasium-Robotics does; there is only one
}

impl Scene for Hammer {
    fn lay_out(&mut self, model: &mut MjModel, draw: &mut Draw) {
        model.body_pos_mut()[self.board][2] = draw.uniform(0.1..0.25);
    }

    fn observe(&self, data: &Data, o: &mut Vec<f64>) {
        o.extend_from_slice(hand(data));
        o.extend(object_velocities(data).iter().map(|v| v.clamp(-1.0, 1.0)));
        let turned = rotation::to_euler(data.xquat()[self.hammer]);
        let (palm, nail) = (data.site_xpos()[self.palm], data.site_xpos()[self.nail]);
        for part in [palm, data.xpos()[self.hammer], turned, nail] {
            o.extend(part);
        }
        o.push(data.sensordata()[self.sensor].clamp(-1.0, 1.0));
    }

    fn judge(&self, data: &Data) -> (f64, bool) {
        let (hammer, palm) = (data.xpos()[self.hammer], data.site_xpos()[self.palm]);
        let (head, nail) = (data.site_xpos()[self.head], data.site_xpos()[self.nail]);
        let left = norm(&minus(nail, data.site_xpos()[self.goal])); // for the nail to go
        let mut reward = 0.1 * norm(&minus(palm, hammer));
        reward -= norm(&minus(head, nail));
        reward -= 10.0 * left;
        reward -= 1e-2 * norm(data.qvel());
        if hammer[2] > 0.04 && head[2] > 0.04 {
            reward += 2.0;
        }
        for (near, bonus) in [(0.02, 25.0), (0.01, 75.0)] {
            if left < near {
                reward += bonus;
            }
        }
        (reward, left < 0.01)
    }
}

struct Pen {
    pen: usize,
    target: usize,
    place: usize,
    ends: [usize; 2],
    target_ends: [usize; 2],
    lengths: [f64; 2], // of the pen and of the target pen, as laid out
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
    fn lay_out(&mut self, model: &mut MjModel, draw: &mut Draw) {
        let angles = [draw.uniform(-1.0..1.0), draw.uniform(-1.0..1.0), 0.0];
        model.body_quat_mut()[self.target] = rotation::from_euler(angles);
    }

    fn read_fixtures(&mut self, data: &Data) {
        self.lengths = [self.ends, self.target_ends].map(|ends| norm(&Self::direction(data, ends, 1.0)));
    }

    fn observe(&self, data: &Data, o: &mut Vec<f64>) {
        let (at, place) = (data.xpos()[self.pen], data.site_xpos()[self.place]);
        let [pen, target] = self.directions(data);
        o.extend_from_slice(hand(data));
        o.extend(at);
        o.extend_from_slice(object_velocities(data));
        for part in [pen, target, minus(at, place), minus(pen, target)] {
            o.extend(part);
        }
    }

    fn judge(&self, data: &Data) -> (f64, bool) {
        let at = data.xpos()[self.pen];
        let away = norm(&minus(at, data.site_xpos()[self.place]));
        let [pen, target] = self.directions(data);
        let alike = dot(&pen, &target);
        let mut reward = -away + alike;
        for (enough, bonus) in [(0.9, 10.0), (0.95, 50.0)] {
            if away < 0.075 && alike > enough {
                reward += bonus;
            }
        }
        if at[2] < 0.075 {
            reward -= 5.0;
        }
        (reward, away < 0.075 && alike > 0.95)
    }
}

struct Relocate {
    palm: usize,
    ball: usize,
    target: usize,
}

impl Relocate {
    fn places(&self, data: &Data) -> [[f64; 3]; 3] {
        [data.site_xpos()[self.palm], data.xpos()[self.ball], data.site_xpos()[self.target]]
    }
}

impl Scene for Relocate {
    fn lay_out(&mut self, model: &mut MjModel, draw: &mut Draw) {
        let ball = &mut model.body_pos_mut()[self.ball];
        (ball[0], ball[1]) = (draw.uniform(-0.15..0.15), draw.uniform(-0.15..0.3));
        let target = [draw.uniform(-0.2..0.2), draw.uniform(-0.2..0.2), draw.uniform(0.15..0.35)];
        model.site_pos_mut()[self.target] = target;
    }

    fn observe(&self, data: &Data, o: &mut Vec<f64>) {
        let [palm, ball, target] = self.places(data);
        o.extend_from_slice(hand(data));
        for part in [minus(palm, ball), minus(palm, target), minus(ball, target)] {
            o.extend(part);
        }
    }

    fn judge(&self, data: &Data) -> (f64, bool) {
        let [palm, ball, target] = self.places(data);
        let left = norm(&minus(ball, target));
        let mut reward = 0.1 * norm(&minus(palm, ball));
        if ball[2] > 0.04 {
            reward += 1.0;
            reward += -0.5 * norm(&minus(palm, target));
            reward += -0.5 * left;
        }
        for (near, bonus) in [(0.1, 10.0), (0.05, 20.0)] {
            if left < near {
                reward += bonus;
            }
        }
        (reward, left < 0.1)
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
