"""The environments of a worker. This file comes first in the worker's program, which worker.py describes."""

import importlib
import os
import subprocess
import sys

DRAWS = """
import os
os.environ["MUJOCO_GL"] = {name!r}
from mujoco.{name} import GLContext
GLContext(8, 8).make_current()
os._exit(0)
"""


class Refusal(Exception):
    """What an environment cannot do, or why it cannot be used: the client shows the text, and no traceback."""


def choose_gl():
    """Selects the off-screen OpenGL for MuJoCo before MuJoCo is imported: EGL, or else OSMesa. Each is tried in a separate
    process, because a failed attempt prevents the other in the same process. A choice of the user is kept; with a display,
    Gymnasium selects by itself. Returns whether rendering is possible."""
    if any(os.environ.get(name) for name in ("MUJOCO_GL", "DISPLAY", "WAYLAND_DISPLAY")):
        return True
    for name in ("egl", "osmesa"):
        tried = subprocess.run([sys.executable, "-c", DRAWS.format(name=name)], capture_output=True)
        if tried.returncode == 0:
            os.environ["MUJOCO_GL"] = name
            return True
    return False


def repair_enums():
    """gymnasium-robotics compares model.jnt_type (numpy integers) with enum members, which MuJoCo 3.12 made unequal:
    FrankaKitchen and Fetch fail. Its module gets the joint types as plain integers, and all else unchanged."""
    try:
        import mujoco
        from gymnasium_robotics.utils import mujoco_utils
    except ImportError:
        return

    class Joints:
        def __getattr__(self, name):
            return int(getattr(mujoco.mjtJoint, name))

    class Mujoco:
        mjtJoint = Joints()

        def __getattr__(self, name):
            return getattr(mujoco, name)

    mujoco_utils.mujoco = Mujoco()


def width(space):
    """Numbers in a flattened observation of a space."""
    import gymnasium
    import numpy

    if isinstance(space, gymnasium.spaces.Box):
        return int(numpy.prod(space.shape))
    if isinstance(space, gymnasium.spaces.Dict):
        return sum(width(part) for part in space.spaces.values())
    raise Refusal(f"observations of the kind {space} cannot be used: a Box is needed, or a Dict of them")


def camera(space):
    """The key of the color frame in a Dict observation that has one beside numbers, or None."""
    import gymnasium
    import numpy

    is_frame = lambda part: isinstance(part, gymnasium.spaces.Box) and part.dtype == numpy.uint8 and part.shape[2:] == (3,)
    frames = [key for key, part in space.spaces.items() if is_frame(part)] if isinstance(space, gymnasium.spaces.Dict) else []
    return frames[0] if len(frames) == 1 else None


def flat(value):
    """The values of an observation as float64: a Dict's values in the order of their sorted keys, nested ones in
    place, arrays row by row. What is no real number (complex ones, text) raises."""
    import numpy

    if isinstance(value, dict):
        return numpy.concatenate([flat(value[key]) for key in sorted(value)])
    return numpy.asarray(value).astype(numpy.float64, casting="same_kind", copy=False).ravel()


def prepare():
    """Registers what is installed, once a process."""
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pygame draws into memory
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    try:
        import gymnasium

        register_racing()
        register_pusht()
        import gymnasium_robotics

        gymnasium.register_envs(gymnasium_robotics)
        repair_enums()
    except ImportError:
        pass  # not needed for Box2D or for the user's own environments


def make(name, options):
    """The environment that gymnasium.make makes. Environments of a namespace, as NAMESPACE/NAME-v0, are usually registered
    when the module of the same name is imported: it is, unless the name says MODULE:NAME itself."""
    import gymnasium

    namespace, slash, _ = name.partition("/")
    unknown = all(spec.namespace != namespace for spec in gymnasium.registry.values())
    if slash and namespace.isidentifier() and unknown:
        try:
            importlib.import_module(namespace)
        except ModuleNotFoundError as error:
            if error.name != namespace:
                raise Refusal(f"the module {namespace} cannot be imported: {error}") from error
            missing = f"there is no module {namespace} in {sys.executable}, which would register {name}"
            raise Refusal(f"{missing}; gym:MODULE:{name} names another module") from error
    try:
        return gymnasium.make(name, **options)
    except (gymnasium.error.Error, ModuleNotFoundError) as error:
        raise Refusal(str(error)) from error
    except TypeError as error:
        if "unexpected keyword argument" not in str(error):
            raise
        raise Refusal(str(error).partition(" was raised from")[0]) from error


class Copy:
    """One environment. `plan` has `id` and `options` (as gymnasium.make takes them), `key` (of a Dict observation that
    alone is used, or None), `parts` (names in info's `episode_task_completions`), `pictures`, and `expert_action`: whether the environment's own expert (its method
    `expert_action`) is queried in every state."""

    def __init__(self, plan):
        import gymnasium
        import numpy

        options = dict(plan["options"])
        if plan["pictures"]:
            options["render_mode"] = "rgb_array"
        self.env = env = make(plan["id"], options)
        self.key, self.parts, self.has_expert = plan["key"], plan["parts"], plan["expert_action"]
        self.fixtures = None  # the model's own, once `restore_state` has moved them
        self.space = env.observation_space if self.key is None else env.observation_space[self.key]
        self.bytes = isinstance(self.space, gymnasium.spaces.Box) and self.space.dtype == numpy.uint8
        self.camera = camera(self.space)
        actions = env.action_space
        if not isinstance(actions, gymnasium.spaces.Box):
            raise Refusal(f"actions of the kind {actions} cannot be used: policies here act in a Box of real numbers")
        if not (numpy.isfinite(actions.low).all() and numpy.isfinite(actions.high).all()):
            raise Refusal(f"the action space {actions} has no finite low and high to map [-1, 1] onto")
        self.shape, self.dtype = actions.shape, actions.dtype
        self.low, self.high = actions.low.astype(numpy.float64), actions.high.astype(numpy.float64)
        self.middle, self.half = self.low / 2 + self.high / 2, self.high / 2 - self.low / 2
        self.plain = bool((self.low == -1).all() and (self.high == 1).all())  # actions need no mapping

    def spec(self):
        import numpy

        frame = self.space.shape[:2] if self.bytes and self.space.shape[2:] == (3,) else None
        if self.camera is not None:
            frame = self.space[self.camera].shape[:2]
        return {
            "n_obs": width(self.space),
            "n_act": int(numpy.prod(self.shape)),
            "horizon": self.env.spec.max_episode_steps if self.env.spec else None,
            "bounds": None if self.plain else numpy.stack([self.low.ravel(), self.high.ravel()], 1).tolist(),
            "bytes": self.bytes,
            "frame": frame,
        }

    def pick(self, observation):
        """The values of an observation: uint8 where its space is of them, else float64. The frame of a Dict comes first, then the
        state: what else there is, in the order of the sorted keys."""
        import numpy

        picked = observation if self.key is None else observation[self.key]
        if self.camera is not None:
            state = {key: value for key, value in picked.items() if key != self.camera}
            return numpy.concatenate([flat(picked[self.camera]), flat(state)]) if state else flat(picked[self.camera])
        if not self.bytes:
            return flat(picked)
        picked = numpy.asarray(picked)
        if picked.dtype != numpy.uint8:
            raise Refusal(f"an observation of {picked.dtype}, where the environment's space has uint8")
        return picked.ravel()

    def expert_action(self):
        import numpy

        return numpy.asarray(self.env.unwrapped.expert_action(), numpy.float64) if self.has_expert else numpy.empty(0)

    def done_parts(self, info):
        if not self.parts:
            return 0
        completed = info["episode_task_completions"]
        return sum(1 << k for k, name in enumerate(self.parts) if name in completed)

    def reset(self, seed):
        """Returns flags, parts, reward, expert action and observation, as in the worker's answer."""
        if self.fixtures is not None:
            restore_fixtures(self)
        observation, info = self.env.reset(seed=seed)
        return self.flags(info), self.done_parts(info), 0.0, self.expert_action(), self.pick(observation)

    def step(self, action):
        """As `reset`. `action`: float64, each in [-1, 1]."""
        action = action.reshape(self.shape)
        if not self.plain:
            action = (self.middle + action * self.half).clip(self.low, self.high)
        observation, reward, terminated, truncated, info = self.env.step(action.astype(self.dtype))
        flags = self.flags(info) | bool(terminated) | bool(truncated) << 1
        return flags, self.done_parts(info), float(reward), self.expert_action(), self.pick(observation)

    @staticmethod
    def flags(info):
        success = info.get("success", info.get("is_success"))
        return 0 if success is None else 4 | bool(success) << 3

    def picture(self):
        """[height, width, 3] bytes."""
        import numpy

        drawn = numpy.asarray(self.env.render())
        if drawn.ndim != 3 or drawn.shape[2] != 3 or drawn.dtype != numpy.uint8:
            raise Refusal(f"a picture of shape {drawn.shape} and {drawn.dtype}: (height, width, 3) bytes are needed")
        return drawn

    def close(self):
        try:
            self.env.close()
        except Exception:
            pass  # the copy is discarded anyway
