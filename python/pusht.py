"""Push-T as the task `pusht`, over gym-pusht's simulation. This file comes after environments.py.

The rules of the task, those of diffusion_policy:
- An action is the point, in pixels, that the agent moves to. The area is 512 x 512 pixels.
- The overlap is the share of the goal that the block covers. What an episode is scored by is the largest overlap reached,
  divided by 0.95 and at most 1. A step's reward is what it adds to that, so that the return is the score.
- An overlap of 0.95 is a success, and the end.
"""

PUSHT = "mcnn/PushT-v0"
LIMIT_PUSHT = 300  # steps

# The points of the block in its own frame. diffusion_policy draws the block, samples pixels of it far from each other, and
# shifts each by random numbers of a generator with seed 0; its recordings have these points.
KEYPOINTS = (
    (9.269786713764, 90.040973523936),
    (-60.983472364471, -1.186729760800),
    (60.912755577278, -1.393364224233),
    (-0.270503439016, 25.543624991465),
    (-14.064927576212, 122.815853554122),
    (39.002738500170, 32.857404276588),
    (-39.966414424695, 32.729655446430),
    (-16.824344379397, 62.863178922350),
    (23.541461220249, -1.700288109463),
)


class PushTScene:
    """Restores a recorded state: an observation has the whole pose. The agent and the block are then at rest."""

    def __init__(self, env):
        self.env = env

    def save(self):
        return ()

    def restore_fixtures(self, saved):
        pass

    def restore_state(self, observation, qpos, qvel):
        import numpy

        env = self.env
        if env.keypoints:
            points, agent = observation[:-2].reshape(-1, 2), observation[-2:]
            own = numpy.array(KEYPOINTS)
            a, b = own - own.mean(0), points - points.mean(0)
            angle = numpy.arctan2((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum(), (a * b).sum())
            c, s = numpy.cos(angle), numpy.sin(angle)
            block = points.mean(0) - numpy.array([[c, -s], [s, c]]) @ own.mean(0)
        else:
            agent, block, angle = observation[:2], observation[2:4], observation[4]
        env.agent.position, env.agent.velocity = [float(x) for x in agent], (0, 0)
        # The angle first: the block turns about its center of gravity, which moves its position.
        env.block.angle = float(angle)
        env.block.position, env.block.velocity, env.block.angular_velocity = [float(x) for x in block], (0, 0), 0
        for body in (env.agent, env.block):
            env.space.reindex_shapes_for_body(body)
        return env.get_obs()


def make_pusht(observation="keypoint", **options):
    """The environment, as gymnasium.register takes it. `observation`: `keypoint` (KEYPOINTS in the area, then the agent) or
    `state` (agent x and y, block x, y and angle)."""
    import gymnasium
    import numpy
    from gym_pusht.envs import PushTEnv

    class PushT(PushTEnv):
        keypoints = observation == "keypoint"
        best = 0.0  # the largest score so far in the episode

        def __init__(self, **options):
            super().__init__(obs_type="state", **options)
            width = 2 * len(KEYPOINTS) + 2 if self.keypoints else 5
            self.observation_space = gymnasium.spaces.Box(-numpy.inf, numpy.inf, (width,), numpy.float64)

        def get_obs(self):
            if not self.keypoints:
                return super().get_obs()
            return numpy.concatenate([*(self.block.local_to_world(point) for point in KEYPOINTS), self.agent.position])

        def reset(self, *, seed=None, options=None):
            self.best = 0.0
            observation, _ = super().reset(seed=seed, options=options)
            return observation, {"success": False}

        def step(self, action):
            observation, _, _, truncated, info = super().step(action)
            overlap, before = info["coverage"], self.best
            self.best = max(before, min(overlap / self.success_threshold, 1.0))
            reached = bool(overlap >= self.success_threshold)
            return observation, self.best - before, reached, truncated, {"success": reached}

    return PushT(**options)


def register_pusht():
    import gymnasium

    gymnasium.register(PUSHT, make_pusht, max_episode_steps=LIMIT_PUSHT, disable_env_checker=True)
