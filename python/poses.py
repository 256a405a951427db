"""Restores a recorded state in an environment. This file comes after environments.py and pusht.py."""

import sys


class Adroit:
    """One of the four hand tasks. A recording has qpos and qvel; what is part of the model instead (where the door's frame,
    the hammer's board, the pen's target or relocate's ball and target are) follows from the recorded observation.

    After a step, MuJoCo's positions of bodies and sites are those of the last substep's start, and qpos that of its
    end: one substep of the (new) velocity apart. After a reset they belong together. Both are tried, and the one kept
    whose observation is nearer to the recording's."""

    places = slice(None)  # the dimensions of an observation that follow from positions and velocities

    def __init__(self, env):
        self.env, self.model, self.data = env, env.model, env.data

    def save(self):
        return [a.copy() for a in (self.model.body_pos, self.model.body_quat, self.model.site_pos)]

    def restore_fixtures(self, saved):
        for to, value in zip((self.model.body_pos, self.model.body_quat, self.model.site_pos), saved):
            to[:] = value

    def restore_state(self, observation, qpos, qvel):
        import numpy

        if len(qpos) != self.model.nq or len(qvel) != self.model.nv:
            raise Refusal(
                f"{self.model.nq} joint positions and {self.model.nv} velocities (infos/qpos, infos/qvel) are needed,"
                f" the recording has {len(qpos)} and {len(qvel)}"
            )

        def gap(lag):
            return numpy.abs(self.place(observation, qpos, qvel, lag) - observation)[self.places].max()

        lags = [self.model.opt.timestep, 0.0]
        return self.place(observation, qpos, qvel, min(lags, key=gap))

    def place(self, observation, qpos, qvel, lag):
        import mujoco

        before = qpos.copy()
        mujoco.mj_integratePos(self.model, before, qvel, -lag)
        self.data.qpos[:], self.data.qvel[:] = before, qvel
        mujoco.mj_forward(self.model, self.data)
        self.move_fixtures(observation)
        mujoco.mj_forward(self.model, self.data)
        self.data.qpos[:], self.data.qvel[:] = qpos, qvel
        return self.env._get_obs()

    def shift_body(self, name, by):
        self.model.body_pos[self.model.body(name).id] += by  # its parent is the world


class Door(Adroit):
    def move_fixtures(self, observation):
        self.shift_body("frame", observation[32:35] - self.data.site("S_handle").xpos)


class Hammer(Adroit):
    places = slice(45)  # the last is the force on the nail, a matter of how the hammer came there

    def move_fixtures(self, observation):
        self.shift_body("nail_board", observation[42:45] - self.data.site("S_target").xpos)


class Pen(Adroit):
    def move_fixtures(self, observation):
        """Turns the target by the shortest way; its roll about its own axis is in no recording, and shows in none."""
        import mujoco
        import numpy

        now = self.data.site("target_top").xpos - self.data.site("target_bottom").xpos
        now, wanted = now / numpy.linalg.norm(now), observation[36:39] / numpy.linalg.norm(observation[36:39])
        # Half-way quaternion (1 + now . wanted, now x wanted); opposite directions turn about any normal.
        turn = numpy.array([1 + now @ wanted, *numpy.cross(now, wanted)])
        if numpy.linalg.norm(turn) < 1e-6:
            turn = numpy.array([0, *numpy.cross(now, numpy.eye(3)[numpy.abs(now).argmin()])])
        body = self.model.body("target").id
        quat = numpy.zeros(4)
        mujoco.mju_mulQuat(quat, turn / numpy.linalg.norm(turn), self.model.body_quat[body])
        self.model.body_quat[body] = quat


class Relocate(Adroit):
    def move_fixtures(self, observation):
        palm = self.data.site("S_grasp").xpos
        self.shift_body("Object", palm - observation[30:33] - self.data.body("Object").xpos)
        target = self.data.site("target")
        self.model.site_pos[target.id] += palm - observation[33:36] - target.xpos  # a site of the world


class Kitchen:
    """The observation contains all joints: robot positions (9) and velocities (9), objects' positions (21) and velocities
    (20), each with the noise it was recorded with. The observation given back has noise of its own."""

    def __init__(self, env):
        self.env = env

    def save(self):
        return ()

    def restore_fixtures(self, saved):
        pass

    def restore_state(self, observation, qpos, qvel):
        import numpy

        robot, robot_speed, objects, objects_speed = numpy.split(observation, [9, 18, 39])
        self.env.robot_env.set_state(
            numpy.concatenate([robot, objects]), numpy.concatenate([robot_speed, objects_speed])
        )
        return self.env._get_obs(self.env.robot_env._get_obs())["observation"]


KNOWN = {
    "AdroitHandDoorEnv": Door,
    "AdroitHandHammerEnv": Hammer,
    "AdroitHandPenEnv": Pen,
    "AdroitHandRelocateEnv": Relocate,
    "KitchenEnv": Kitchen,
}


def scene_of(copy):
    env = copy.env.unwrapped
    kind = KNOWN.get(type(env).__name__) if type(env).__module__.startswith("gymnasium_robotics.") else None
    if copy.env.spec is not None and copy.env.spec.id == PUSHT:
        kind = PushTScene
    if kind is None:
        only = "only the Adroit tasks, kitchen and pusht can"
        raise Refusal(f"{type(env).__name__} cannot restore a recorded state: {only}")
    return kind(env)


def restore_state(copy, observation, qpos, qvel):
    """Restores a recorded state in a Copy, at the start of an episode, and returns its observation."""
    scene = scene_of(copy)
    if len(observation) != width(copy.space):
        raise Refusal(f"an observation of dimension {width(copy.space)} is needed, the recording has {len(observation)}")
    if copy.fixtures is None:
        copy.fixtures = scene.save()
    copy.reset(0)
    return scene.restore_state(observation, qpos, qvel)


def restore_fixtures(copy):
    """Restores the model as it was created: a reset moves only some of what `restore_state` moves."""
    scene_of(copy).restore_fixtures(copy.fixtures)
