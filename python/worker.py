"""A worker process: several copies of one Gymnasium environment, each in its own episode, controlled over pipes.

The program is environments.py, pusht.py, poses.py, racing.py and this file, concatenated. Its one argument is JSON: `id`,
`options`, `key`, `parts`, `pictures` and `expert_action` as environments.Copy has them, `limit` (seconds after
which the client gives up on a step) and `progress_file` (a file of eight bytes that contains the number of requests begun so
far: if the process dies, the client reads there which request it was serving).

Frames on the real stdin and stdout: a length (u32), then a tag (one byte) and its payload; all little-endian.
In:  B any number of: copy (u32), then
         M seed (u64): create this copy again, then as R  (copy 0 is created at the start, the others on demand)
         R seed (u64): reset
         S action (f64 each, in [-1, 1]): step
     P copy (u32): render a picture, in a worker started with `pictures`
     U copy (u32), lengths of qpos and of qvel (u32 each), qpos, qvel, the rest the observation (f64 each): restore a
         recorded state in this copy
     The end of the input ends the worker.
Out: H handshake: JSON {n_obs, n_act, horizon or null, bounds: [low, high] of each action or null if all are -1 and 1, bytes, frame: [height, width] or null}, once, at the start, or instead
     N a reason (UTF-8): no pictures can be rendered on this machine
     then one of these for each request, in the order of the requests, those of a frame together:
     O copy (u32), flags (u8: 1 terminated, 2 truncated, 4 success known, 8 success), parts completed so far (u32, bit
         k for part k), reward (f64), from a worker started with `expert_action` the expert's action (f64 each), observation
         (f64 each, or where H says `bytes`, u8 each)
     I copy (u32), width (u32), height (u32), RGB bytes row by row from the top
     E copy (u32), a traceback (UTF-8): this copy failed, the others are unchanged
     C copy (u32), a reason (UTF-8): the same, where it is known what the environment cannot do
A Dict observation becomes its values in the order of their sorted keys, nested ones in place, arrays row by row.
Actions in [-1, 1] are mapped affinely onto the action Box's low and high.
"""

import faulthandler
import json
import mmap
import os
import signal
import struct
import sys
import threading
import time
import traceback

NOTHING = float("inf")


class NoPictures(Exception):
    pass


def own_the_pipes():
    """Reserves stdin and stdout for frames: what an environment prints goes to stderr, also from C code."""
    frames_in, frames_out = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return os.fdopen(frames_in, "rb"), os.fdopen(frames_out, "wb", 1 << 20)


class Watch(threading.Thread):
    """Ends the process when its parent has ended, and prints the stack of the main thread when a step takes long."""

    def __init__(self, limit):
        super().__init__(daemon=True)
        self.late, self.tick = 0.75 * limit, min(1.0, limit / 8)
        self.since = NOTHING  # when the current step began
        self.parent, self.main = os.getppid(), threading.get_ident()

    def run(self):
        reported = None
        while os.getppid() == self.parent:
            time.sleep(self.tick)
            since = self.since
            if time.monotonic() - since > self.late and since != reported:
                reported = since
                traceback.print_stack(sys._current_frames()[self.main], file=sys.stderr)
                sys.stderr.flush()
        os._exit(0)


def send(out, tag, payload=b""):
    out.write(struct.pack("<I", 1 + len(payload)) + tag + payload)


def receive(source):
    """The next (tag, payload), or None at the end of the input."""
    head = source.read(4)
    if len(head) < 4:
        return None
    body = source.read(struct.unpack("<I", head)[0])
    return body[:1], body[1:]


def outcome(flags, parts, reward, expert_action, observation):
    head = struct.pack("<BId", flags, parts, reward) + expert_action.astype("<f8", copy=False).tobytes()
    form = "u1" if observation.dtype == "u1" else "<f8"
    return b"O", head + observation.astype(form, copy=False).tobytes()


def failure(error):
    """The tag and the text of an error that is being handled."""
    if isinstance(error, Refusal):
        return b"C", str(error).encode()
    return b"E", traceback.format_exc().encode()


class Worker:
    def __init__(self, plan):
        self.plan = plan
        can_draw = not plan["pictures"] or choose_gl()
        prepare()
        first = Copy(plan)
        if plan["pictures"]:
            first.reset(0)
            try:
                first.picture()
            except Exception as error:
                if can_draw or isinstance(error, Refusal):
                    raise
                raise NoPictures(f"{type(error).__name__}: {error}") from error
        self.spec = first.spec()
        self.copies = {0: first}
        self.watch = Watch(plan["limit"])
        with open(plan["progress_file"], "r+b") as file:
            self.progress = memoryview(mmap.mmap(file.fileno(), 8)).cast("Q")

    def answers(self, tag, payload):
        """For each request of a frame, in order: the copy, and the function that returns the (tag, payload) of its answer."""
        if tag == b"B":
            at, n_act = 0, self.spec["n_act"]
            while at < len(payload):
                copy, kind = struct.unpack_from("<Ic", payload, at)
                if kind == b"S":
                    yield copy, self.step, (copy, payload, at + 5)
                    at += 5 + 8 * n_act
                else:
                    yield copy, self.reset, (copy, kind == b"M", struct.unpack_from("<Q", payload, at + 5)[0])
                    at += 13
        elif tag == b"P":
            yield *struct.unpack("<I", payload), self.picture, struct.unpack("<I", payload)
        elif tag == b"U":
            yield struct.unpack_from("<I", payload)[0], self.restore_state, (payload,)
        else:
            raise ValueError(f"unknown frame {tag!r}")

    def step(self, copy, payload, at):
        import numpy

        action = numpy.frombuffer(payload, "<f8", self.spec["n_act"], at)
        return outcome(*self.copies[copy].step(action))

    def reset(self, copy, create, seed):
        if create:
            if copy in self.copies:
                self.copies.pop(copy).close()
            self.copies[copy] = Copy(self.plan)
        return outcome(*self.copies[copy].reset(seed))

    def picture(self, copy):
        drawn = self.copies[copy].picture()
        return b"I", struct.pack("<II", drawn.shape[1], drawn.shape[0]) + drawn.tobytes()

    def restore_state(self, payload):
        import numpy

        copy, n_qpos, n_qvel = struct.unpack_from("<III", payload)
        values = numpy.frombuffer(payload, "<f8", offset=12).astype(numpy.float64)
        qpos, qvel, observation = numpy.split(values, [n_qpos, n_qpos + n_qvel])
        return outcome(0, 0, 0.0, numpy.empty(0), flat(restore_state(self.copies[copy], observation, qpos, qvel)))

    def serve(self, source, out):
        self.watch.start()
        while (frame := receive(source)) is not None:
            for copy, do, arguments in self.answers(*frame):
                self.progress[0] += 1
                self.watch.since = time.monotonic()
                try:
                    tag, payload = do(*arguments)
                except BaseException as error:
                    tag, payload = failure(error)
                self.watch.since = NOTHING
                send(out, tag, struct.pack("<I", copy) + payload)
            # Once per frame: a client that is woken by every answer competes for the processor with the next step.
            out.flush()


def main():
    # They go to all processes of a group or a job. The parent handles them, and closes the pipe.
    for interruption in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(interruption, signal.SIG_IGN)
    faulthandler.enable()  # a crash in C code prints the Python stack
    source, out = own_the_pipes()
    status = 0
    try:
        worker = Worker(json.loads(sys.argv[1]))
    except NoPictures as error:
        send(out, b"N", str(error).encode())
    except BaseException as error:
        tag, text = failure(error)
        send(out, tag, struct.pack("<I", 0) + text)
    else:
        try:
            send(out, b"H", json.dumps(worker.spec).encode())
            out.flush()
            worker.serve(source, out)
        except BrokenPipeError:
            pass
        except BaseException:
            traceback.print_exc()
            status = 1
    try:
        out.flush()
    except OSError:
        pass  # the parent has ended
    sys.stderr.flush()
    os._exit(status)  # the clean-up of simulators is slow and sometimes crashes


if __name__ == "__main__":
    main()
