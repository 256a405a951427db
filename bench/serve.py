"""The policy server against openpi's: requests a second and latency over 8 connections, in alternating rounds.

Run by bench/run.sh. Ours serves an ensemble of 5 networks with 10,000 memories; the peer is openpi's server as it is in
`openpi/serving/websocket_policy_server.py`, on `openpi_client.msgpack_numpy` and `websockets`, with a policy that returns zeros. The
clients are the same for both: crates/mcnn-serve/examples/bench_serve.rs, on the same machine. Memory: of our server, before the
rounds, after the first tenth of 1,000,000 requests (quick: 50,000) and after all.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import table

QUICK = "--quick" in sys.argv
ROUNDS = 3 if QUICK else 5
CONNECTIONS = 8
REQUESTS = 8_000 if QUICK else 40_000
MEMORY_REQUESTS = 50_000 if QUICK else 1_000_000

PEER = """
import asyncio, time
import numpy as np
import websockets.asyncio.server
from openpi_client import msgpack_numpy

class Zeros:
    def infer(self, obs):
        return {"actions": np.zeros((1, 24), np.float32)}

async def handler(websocket):
    packer, policy, before = msgpack_numpy.Packer(), Zeros(), None
    await websocket.send(packer.pack({}))
    while True:
        try:
            start = time.monotonic()
            obs = msgpack_numpy.unpackb(await websocket.recv())
            begun = time.monotonic()
            action = policy.infer(obs)
            action["server_timing"] = {"infer_ms": (time.monotonic() - begun) * 1000}
            if before is not None:
                action["server_timing"]["prev_total_ms"] = before * 1000
            await websocket.send(packer.pack(action))
            before = time.monotonic() - start
        except websockets.ConnectionClosed:
            return

async def main():
    async with websockets.asyncio.server.serve(handler, "127.0.0.1", 0, compression=None, max_size=None) as server:
        print("listening on ws://127.0.0.1:%d" % server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

asyncio.run(main())
"""


def start(command):
    """A server, and its address."""
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for line in server.stdout:
        if found := re.search(r"listening on ws://(\S+)", line):
            return server, found[1]
    sys.exit(f"{command[0]} did not start")


def load(address, requests):
    client = f"{table.TARGET}/release/examples/bench_serve"
    out = subprocess.run([client, "load", address, str(CONNECTIONS), str(requests)], check=True, capture_output=True)
    return json.loads(out.stdout)


def resident(server):
    """MiB of memory that a process holds."""
    status = pathlib.Path(f"/proc/{server.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


def measure(ours, mine, other):
    # Of a server that has answered nothing else.
    load(mine, MEMORY_REQUESTS // 10)
    before = resident(ours)
    load(mine, MEMORY_REQUESTS - MEMORY_REQUESTS // 10)
    after = resident(ours)
    found = {mine: [], other: []}
    for turn in range(ROUNDS + 1):  # the first is not counted
        for address in (mine, other) if turn % 2 else (other, mine):
            found[address].append(load(address, REQUESTS))
            time.sleep(0.5)
    of = lambda address, key: [one[key] for one in found[address][1:]]
    print(f"| work ({ROUNDS} alternating rounds, medians) | ours | peer | ratio | |\n|---|---|---|---|---|")
    for key, unit, work in (
        ("rate", "requests/s", "policy server, 5 networks, 10,000 memories, 8 connections"),
        ("p50", "us", "the same server, median latency"),
        ("p99", "us", "the same, 99 % latency"),
    ):
        note = "peer: openpi's server, a policy that returns zeros"
        m, p, ratio = table.row(work, of(mine, key), of(other, key), unit, None, note)
        print(f"| {work} | {table.number(m)} {unit} | {table.number(p)} {unit} | {ratio:.1f}x | {note} |", flush=True)
    table.row(f"memory of the server after {MEMORY_REQUESTS:,} requests", [after], [], "MiB", None, f"{before:.1f} MiB after a tenth")
    print(f"| memory after {MEMORY_REQUESTS:,} requests | {after:.1f} MiB | | | {before:.1f} MiB after a tenth |")


def main():
    table.build()
    with tempfile.TemporaryDirectory() as folder:
        policy = f"{folder}/policy.safetensors"
        subprocess.run([f"{table.TARGET}/release/examples/bench_serve", "policy", policy], check=True)
        ours, mine = start([f"{table.TARGET}/release/mcnn", "serve", policy, "--port", "0"])
        peer, other = start([sys.executable, "-c", PEER])
        try:
            measure(ours, mine, other)
        finally:
            ours.terminate()
            peer.kill()


if __name__ == "__main__":
    main()
