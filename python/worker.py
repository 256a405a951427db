"""One Gymnasium environment behind a pipe. Arguments: the environment's ID (as gymnasium.make takes it).

Frames on the real stdin and stdout: a length (u32), then a tag (one byte) and its payload; all little-endian.
In:  R seed (u64); S action (f64 each, in [-1, 1]). The end of the input ends the worker.
Out: H JSON {n_obs, n_act, horizon or null}, once, at the start;
     O flags (u8: 1 terminated, 2 truncated, 4 success known, 8 success), reward (f64), observation (f64 each);
     E a traceback (UTF-8).
A Dict observation becomes its values in the order of their sorted keys, nested ones in place, arrays row by row.
Actions in [-1, 1] are mapped affinely onto the action Box's low and high.
"""

import os
import signal
import struct
import sys
import traceback


def own_the_pipes():
    """Takes stdin and stdout away from everybody else: what an environment prints goes to stderr, C code's too."""
    frames_in, frames_out = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return os.fdopen(frames_in, "rb"), os.fdopen(frames_out, "wb")


def send(out, tag, payload=b""):
    out.write(struct.pack("<I", 1 + len(payload)) + tag + payload)
    out.flush()


def receive(source):
    """The next (tag, payload), or None at the end of the input."""
    head = source.read(4)
    if len(head) < 4:
        return None
    body = source.read(struct.unpack("<I", head)[0])
    return body[:1], body[1:]


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
    raise TypeError(f"observations of the kind {space} cannot be used: a Box is needed, or a Dict of them")


def flat(value):
    """The numbers of an observation as float64, in the order said above."""
    import numpy

    if isinstance(value, dict):
        return numpy.concatenate([flat(value[key]) for key in sorted(value)])
    return numpy.asarray(value, dtype=numpy.float64).ravel()


def make(name):
    """The environment and what it is."""
    import gymnasium
    import numpy

    try:
        import gymnasium_robotics

        gymnasium.register_envs(gymnasium_robotics)
        repair_enums()
    except ImportError:
        pass  # an interpreter of the user's own may do without
    env = gymnasium.make(name)
    actions = env.action_space
    if not isinstance(actions, gymnasium.spaces.Box):
        raise TypeError(f"actions of the kind {actions} cannot be used: policies here act in a Box of real numbers")
    if not (numpy.isfinite(actions.low).all() and numpy.isfinite(actions.high).all()):
        raise TypeError(f"the action space {actions} has no finite low and high to map [-1, 1] onto")
    spec = {
        "n_obs": width(env.observation_space),
        "n_act": int(numpy.prod(actions.shape)),
        "horizon": env.spec.max_episode_steps if env.spec else None,
    }
    return env, spec


def outcome(observation, reward=0.0, terminated=False, truncated=False, info={}):
    success = info.get("success", info.get("is_success"))
    flags = int(bool(terminated)) | int(bool(truncated)) << 1
    flags |= 0 if success is None else 4 | int(bool(success)) << 3
    return struct.pack("<Bd", flags, float(reward)) + flat(observation).astype("<f8").tobytes()


def serve(name, source, out):
    import json

    import numpy

    env, spec = make(name)
    send(out, b"H", json.dumps(spec).encode())
    low = env.action_space.low.astype(numpy.float64)
    high = env.action_space.high.astype(numpy.float64)
    middle, half = low / 2 + high / 2, high / 2 - low / 2  # on [-1, 1] an action passes bit by bit
    while (frame := receive(source)) is not None:
        tag, payload = frame
        try:
            if tag == b"R":
                observation, info = env.reset(seed=struct.unpack("<Q", payload)[0])
                send(out, b"O", outcome(observation, info=info))
            elif tag == b"S":
                action = numpy.frombuffer(payload, "<f8").reshape(low.shape)
                action = (middle + action * half).clip(low, high)
                send(out, b"O", outcome(*env.step(action.astype(env.action_space.dtype))))
            else:
                raise ValueError(f"unknown frame {tag!r}")
        except BaseException:
            send(out, b"E", traceback.format_exc().encode())


def main():
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to act on; it closes the pipe
    source, out = own_the_pipes()
    try:
        serve(sys.argv[1], source, out)
    except BrokenPipeError:
        pass
    except BaseException:
        send(out, b"E", traceback.format_exc().encode())
    sys.stderr.flush()
    os._exit(0)  # nothing to keep; simulators' own clean-up is slow and sometimes crashes


if __name__ == "__main__":
    main()
