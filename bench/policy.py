"""The fixed-size gas, the networks' training step and one action: ours against the peer, in alternating rounds.

Run by bench/run.sh (`--diffusion`, `--bet`, `--unet`: the rows of that backbone alone). The peers do the same work from the description of the
authors' method: the gas in NumPy, training and acting in PyTorch. One table: work, ours, peer, ratio, and the error of the answer.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import torch

import unet

ROUNDS = 3 if "--quick" in sys.argv else 7
TARGET = os.environ.get("CARGO_TARGET_DIR", "target")


def build():
    command = ["cargo", "build", "--locked", "--release", "--quiet", "--workspace", "--bins", "--examples"]
    subprocess.run(command, check=True)


def ours(*args):
    out = subprocess.run([f"{TARGET}/release/examples/bench_policy", *map(str, args)], check=True, capture_output=True)
    return json.loads(out.stdout)


def row(work, mine, peer, unit, note):
    m, p = statistics.median(mine), statistics.median(peer)
    print(f"| {work} | {m:.3g} {unit} | {p:.3g} {unit} | {p / m:.1f}x | {note} |", flush=True)


def numpy_gas(rows, memories, seed):
    """Neural gas as the authors ran it: as many nodes as memories, one pass, eps 0.2 and 0.05, edges aged to 100."""
    rng = np.random.default_rng(seed)
    nodes = rows[rng.permutation(len(rows))[:memories]].copy()
    errors = np.zeros(memories)
    edges = [dict() for _ in range(memories)]
    start = time.perf_counter()
    for x in rows[rng.permutation(len(rows))]:
        d2 = ((nodes - x) ** 2).sum(1)
        a, b = np.argpartition(d2, 1)[:2]
        if d2[b] < d2[a]:
            a, b = b, a
        errors[a] += np.sqrt(d2[a])
        nodes[a] += 0.2 * (x - nodes[a])
        for n in list(edges[a]):
            nodes[n] += 0.05 * (x - nodes[n])
            age = edges[a][n] + 1
            if age > 100:
                del edges[a][n], edges[n][a]
            else:
                edges[a][n] = edges[n][a] = age
        edges[a][b] = edges[b][a] = 0
        errors *= 0.9995
    seconds = time.perf_counter() - start
    distance = np.mean([np.sqrt(((nodes - x) ** 2).sum(1).min()) for x in rows[::20]])
    return seconds, distance


def bench_gas(folder):
    rng = np.random.default_rng(0)
    rows = (rng.standard_normal((20_000, 10)) @ rng.standard_normal((10, 45))).astype(np.float32)
    path = os.path.join(folder, "rows.f32")
    rows.tofile(path)
    mine, peer = [], []
    for k in range(min(ROUNDS, 3)):  # the peer takes seconds
        answer = ours("gas", path, 45, 2000)
        seconds, distance = numpy_gas(rows, 2000, k)
        mine.append(answer["seconds"])
        peer.append(seconds)
    note = f"mean distance {answer['mean_distance']:.3f}, peer {distance:.3f}"
    row("gas, fixed size, 20,000 x 45 into 2,000", mine, peer, "s", note)


def torch_step(threads):
    torch.set_num_threads(threads)
    n = 2500
    x, a, c, r = torch.randn(n, 45), torch.rand(n, 24) * 2 - 1, torch.rand(n, 24) - 0.5, torch.rand(n, 1)
    linear = torch.nn.Linear
    net = torch.nn.Sequential(linear(45, 256), torch.nn.ReLU(), linear(256, 256), torch.nn.ReLU(), linear(256, 24))
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-4)

    def steps(count):
        for _ in range(count):
            i = torch.randint(n, (256,))
            loss = ((c[i] + r[i] * net(x[i]).clamp(-1, 1) - a[i]) ** 2).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            loss.item()

    steps(50)
    start = time.perf_counter()
    steps(500)
    return (time.perf_counter() - start) / 500 * 1e3


class Diffusion(torch.nn.Module):
    """The authors' diffusion network for Adroit, as their paper describes it."""

    def __init__(self, steps=5):
        super().__init__()
        linear, mish = torch.nn.Linear, torch.nn.Mish
        self.time = torch.nn.Sequential(linear(16, 32), mish(), linear(32, 16))
        self.body = torch.nn.Sequential(
            linear(24 + 16 + 45, 256), mish(), linear(256, 256), mish(), linear(256, 256), mish(), linear(256, 24)
        )
        t = torch.arange(1, steps + 1)
        self.betas = 1 - torch.exp(-0.1 / steps - 0.5 * 9.9 * (2 * t - 1) / steps**2)
        self.abar = torch.cumprod(1 - self.betas, 0)
        self.frequency = 10_000 ** (-torch.arange(8) / 7)

    def forward(self, noisy, t, x):
        angle = t[:, None] * self.frequency
        return self.body(torch.cat([noisy, self.time(torch.cat([angle.sin(), angle.cos()], 1)), x], 1))


def torch_diffusion_step(threads):
    torch.set_num_threads(threads)
    n = 2500
    x, a, c, r = torch.randn(n, 45), torch.rand(n, 24) * 2 - 1, torch.rand(n, 24) - 0.5, torch.rand(n, 1)
    net = Diffusion()
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-4)
    mean = [p.detach().clone() for p in net.parameters()]

    def steps(count):
        for _ in range(count):
            i, t = torch.randint(n, (256,)), torch.randint(5, (256,))
            keep = net.abar[t][:, None]
            noisy = keep.sqrt() * a[i] + (1 - keep).sqrt() * torch.randn(256, 24)
            loss = ((c[i] + r[i] * net(noisy, t, x[i]).clamp(-1, 1) - a[i]) ** 2).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            torch._foreach_lerp_(mean, [p.detach() for p in net.parameters()], 0.005)
            loss.item()

    steps(50)
    start = time.perf_counter()
    steps(300)
    return (time.perf_counter() - start) / 300 * 1e3


class Block(torch.nn.Module):
    """A block of minGPT: attention of every place to itself and those before it, then a perceptron."""

    def __init__(self, width=120, heads=6, window=10, dropout=0.1):
        super().__init__()
        linear, norm = torch.nn.Linear, torch.nn.LayerNorm
        self.heads, self.norm1, self.norm2 = heads, norm(width), norm(width)
        self.query, self.key, self.value = linear(width, width), linear(width, width), linear(width, width)
        self.mix, self.drop = linear(width, width), torch.nn.Dropout(dropout)
        self.up, self.down = linear(width, 4 * width), linear(4 * width, width)
        self.register_buffer("after", torch.ones(window, window, dtype=torch.bool).triu(1))

    def forward(self, x):
        batch, window, width = x.shape
        normed = self.norm1(x)
        split = (batch, window, self.heads, width // self.heads)
        q, k, v = (part(normed).view(split).transpose(1, 2) for part in (self.query, self.key, self.value))
        scores = (q @ k.transpose(-2, -1)) * split[3] ** -0.5
        weights = self.drop(scores.masked_fill(self.after, -torch.inf).softmax(-1))
        x = x + self.drop(self.mix((weights @ v).transpose(1, 2).reshape(x.shape)))
        return x + self.drop(self.down(torch.nn.functional.gelu(self.up(self.norm2(x)))))


class Transformer(torch.nn.Module):
    """The authors' behaviour transformer, as the papers describe it: six blocks of 120 over ten observations, 64 buckets."""

    def __init__(self):
        super().__init__()
        self.embed, self.positions = torch.nn.Linear(45, 120), torch.nn.Parameter(torch.zeros(10, 120))
        self.drop, self.blocks = torch.nn.Dropout(0.1), torch.nn.Sequential(*[Block() for _ in range(6)])
        self.norm, self.head = torch.nn.LayerNorm(120), torch.nn.Linear(120, 64 + 64 * 24)
        self.register_buffer("centres", torch.rand(64, 24) * 2 - 1)

    def forward(self, x):
        tokens = self.norm(self.blocks(self.drop(self.embed(x) + self.positions)))
        return self.head(tokens).split([64, 64 * 24], -1)


def torch_bet_step(threads):
    torch.set_num_threads(threads)
    n, rows = 2500, torch.arange(640)
    x, a, c, r = torch.randn(n, 45), torch.rand(n, 24) * 2 - 1, torch.rand(n, 24) - 0.5, torch.rand(n, 1)
    net = Transformer()
    optimiser = torch.optim.AdamW(net.parameters(), lr=5.5e-5, weight_decay=2e-4, betas=(0.9, 0.95))

    def steps(count):
        for _ in range(count):
            i = torch.randint(n - 10, (64, 1)) + torch.arange(10)
            logits, offsets = (out.flatten(0, 1) for out in net(x[i]))
            i = i.flatten()
            bucket = torch.cdist(a[i], net.centres).argmin(1)
            log_p = logits.log_softmax(1)[rows, bucket]
            proposal = net.centres[bucket] + offsets.view(640, 64, 24)[rows, bucket]
            loss = ((c[i] + r[i] * proposal.clamp(-1, 1) - a[i]) ** 2).mean()
            loss = 1000 * loss - ((1 - log_p.exp()) ** 2 * log_p).mean()
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            loss.item()

    steps(5)
    start = time.perf_counter()
    steps(40)
    return (time.perf_counter() - start) / 40 * 1e3


def bench_train(folder, backbones):
    rng = np.random.default_rng(1)
    data, memories, policy = (os.path.join(folder, name) for name in ("d.npz", "m.safetensors", "p.safetensors"))
    states = rng.standard_normal((2500, 45)).astype(np.float32)
    actions = rng.uniform(-1, 1, (2500, 24)).astype(np.float32)
    np.savez(data, states=states, actions=actions, episode_ends=np.arange(100, 2501, 100))
    mcnn = f"{TARGET}/release/mcnn"
    subprocess.run([mcnn, "learn", data, "-o", memories], check=True, capture_output=True)
    known = {
        "mlp": ("MLP training step, 45-256-256-24", torch_step, "losses equal PyTorch's to 2e-5 over 130 steps (a test)"),
        "diffusion": (
            "diffusion training step, 85-256-256-256-24 with the running mean",
            torch_diffusion_step,
            "losses equal PyTorch's to 1e-4 over 50 steps (a test)",
        ),
        "bet": (
            "bet training step, 6 blocks of 120, windows of 10",
            torch_bet_step,
            "losses equal PyTorch's to 1e-4 over 25 steps (a test)",
        ),
        "unet": (
            "U-Net training step, 32, 64 and 128 channels, 16 actions of 24, with the running mean",
            unet.step,
            "losses equal PyTorch's to 1e-3 over 40 steps (a test)",
        ),
    }
    for backbone in backbones:
        work, torch_one, note = known[backbone]
        steps, batch = {"bet": (100, 64), "unet": (40, 256)}.get(backbone, (500, 256))
        for threads in (1, 2):
            mine, peer = [], []
            for _ in range(ROUNDS):
                command = [mcnn, "train", data, memories, "-o", policy, "--backbone", backbone]
                command += ["--steps", str(steps), "--check-on", "0", "--force", "--json"]
                out = subprocess.run(command, check=True, capture_output=True)
                mine.append(1e3 / json.loads(out.stdout)["steps_per_second"])
                peer.append(torch_one(threads))
            row(f"{work}, batch {batch}; ours on 1 thread, the peer on {threads}", mine, peer, "ms", note)


def mlp_proposal():
    linear = torch.nn.Linear
    net = torch.nn.Sequential(linear(45, 256), torch.nn.ReLU(), linear(256, 256), torch.nn.ReLU(), linear(256, 24))
    return lambda x, hold: hold(net(x))


def bet_proposal():
    net, window = Transformer().eval(), torch.randn(1, 10, 45)

    def propose(x, hold):
        window[0, :-1] = window[0, 1:].clone()
        window[0, -1] = x
        logits, offsets = net(window)
        bucket = torch.multinomial(logits[0, -1].softmax(0), 1)
        return hold(net.centres[bucket] + offsets[0, -1].view(64, 24)[bucket])

    return propose


def diffusion_proposal():
    net = Diffusion()
    before = torch.cat([torch.ones(1), net.abar[:-1]])
    clean = net.betas * before.sqrt() / (1 - net.abar)
    kept = (1 - before) * (1 - net.betas).sqrt() / (1 - net.abar)
    fresh = (net.betas * (1 - before) / (1 - net.abar)).sqrt()
    times = [torch.tensor([t]) for t in range(5)]

    def propose(x, hold):
        noisy = torch.randn(1, 24)
        for t in reversed(range(5)):
            held = hold(net(noisy, times[t], x))
            if t == 0:
                return held
            noisy = clean[t] * held + kept[t] * noisy + fresh[t] * torch.randn(1, 24)

    return propose


def torch_act(memories, propose, steps=300):
    torch.set_num_threads(1)
    book, actions = torch.randn(memories, 45), torch.rand(memories, 24) * 2 - 1
    times = []
    with torch.no_grad():
        for _ in range(steps):
            x = np.random.randn(45).astype(np.float32)
            start = time.perf_counter()
            t = torch.from_numpy(x)[None]
            d, i = torch.cdist(t, book).min(1)
            w = torch.exp(-0.1 * d)
            propose(t, lambda g: w * actions[i] + (1 - w) * g.clamp(-1, 1)).numpy()
            times.append((time.perf_counter() - start) * 1e6)
    return statistics.median(times)


def bench_act(backbones):
    known = {"mlp": mlp_proposal, "diffusion": diffusion_proposal, "bet": bet_proposal, "unet": unet.proposal}
    for backbone in backbones:
        for memories in (672, 10_000):
            mine, peer, tail = [], [], []
            for _ in range(ROUNDS):
                answer = ours("act", memories, 45, 24, 800 if backbone == "unet" else 3000, backbone)
                mine.append(answer["p50"])
                tail.append(answer["p99"])
                peer.append(torch_act(memories, known[backbone](), 40 if backbone == "unet" else 300))
            note = f"exact; p99 {statistics.median(tail):.3g} us"
            what = "one chunk of 8 executed actions" if backbone == "unet" else "one action"
            row(f"{what}, {backbone}, {memories:,} memories x 45", mine, peer, "us", note)


if __name__ == "__main__":
    backbones = ["mlp", "diffusion", "bet", "unet"]
    backbones = [name for name in backbones if f"--{name}" in sys.argv] or backbones
    build()
    print(f"| work ({ROUNDS} alternating rounds, medians) | ours | peer | ratio | answer |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        if "mlp" in backbones:
            bench_gas(folder)
        bench_train(folder, backbones)
    bench_act(backbones)
