"""The backbones in PyTorch eager, as their authors describe them: a training step and a prediction of each."""

import time

import torch


def milliseconds(steps, warm, count):
    """Milliseconds of a step: `steps(n)` takes n of them. The first `warm` steps are not timed."""
    steps(warm)
    start = time.perf_counter()
    steps(count)
    return (time.perf_counter() - start) / count * 1e3


def torch_step(threads):
    torch.set_num_threads(threads)
    n = 2500
    x, a, c, r = torch.randn(n, 45), torch.rand(n, 24) * 2 - 1, torch.rand(n, 24) - 0.5, torch.rand(n, 1)
    linear = torch.nn.Linear
    net = torch.nn.Sequential(linear(45, 256), torch.nn.ReLU(), linear(256, 256), torch.nn.ReLU(), linear(256, 24))
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-4)

    def steps(count):
        for _ in range(count):
            i = torch.randint(n, (256,))
            loss = ((c[i] + r[i] * net(x[i]).clamp(-1, 1) - a[i]) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()

    return milliseconds(steps, 50, 500)


def retrieval_net():
    linear, relu = torch.nn.Linear, torch.nn.ReLU
    return torch.nn.Sequential(linear(45 + 45 + 24, 256), relu(), linear(256, 256), relu(), linear(256, 24))


def torch_retrieval_step(threads):
    """Pairs of a step and one of its 50 nearest memories, found before."""
    torch.set_num_threads(threads)
    n = 2500
    x, a, near = torch.randn(n, 45), torch.rand(n, 24) * 2 - 1, torch.randint(n, (n, 50))
    net = retrieval_net()
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-4)

    def steps(count):
        for _ in range(count):
            i = torch.randint(n, (256,))
            j = near[i, torch.randint(50, (256,))]
            output = a[j] + net(torch.cat([x[i], x[i] - x[j], a[j]], 1))
            loss = ((output - a[i]) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()

    return milliseconds(steps, 50, 500)


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


def denoising_step(net, optimizer, abar, n_obs, action, threads, counts):
    """Milliseconds of a training step of a network that denoises, batch 256, with the EMA of the weights. `n_obs`: width of its observations;
    `action`: shape of what it predicts; `counts`: as of `milliseconds`."""
    torch.set_num_threads(threads)
    n = 2500
    x, a = torch.randn(n, n_obs), torch.rand(n, *action) * 2 - 1
    c, r = torch.rand(n, *action) - 0.5, torch.rand(n, *[1 for _ in action])
    ema = [p.detach().clone() for p in net.parameters()]

    def steps(count):
        for _ in range(count):
            i, t = torch.randint(n, (256,)), torch.randint(len(abar), (256,))
            alpha_bar = abar[t].view(-1, *[1 for _ in action])
            noisy = alpha_bar.sqrt() * a[i] + (1 - alpha_bar).sqrt() * torch.randn(256, *action)
            loss = ((c[i] + r[i] * net(noisy, t, x[i]).clamp(-1, 1) - a[i]) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            torch._foreach_lerp_(ema, [p.detach() for p in net.parameters()], 0.005)
            loss.item()

    return milliseconds(steps, *counts)


def torch_diffusion_step(threads):
    net = Diffusion()
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-4)
    return denoising_step(net, optimizer, net.abar, 45, [24], threads, (50, 300))


class Block(torch.nn.Module):
    """A block of minGPT: causal self-attention, then an MLP."""

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
    """The authors' behavior transformer, as the papers describe it: six blocks of 120 over ten observations, 64 buckets."""

    def __init__(self):
        super().__init__()
        self.embed, self.positions = torch.nn.Linear(45, 120), torch.nn.Parameter(torch.zeros(10, 120))
        self.drop, self.blocks = torch.nn.Dropout(0.1), torch.nn.Sequential(*[Block() for _ in range(6)])
        self.norm, self.head = torch.nn.LayerNorm(120), torch.nn.Linear(120, 64 + 64 * 24)
        self.register_buffer("centers", torch.rand(64, 24) * 2 - 1)

    def forward(self, x):
        tokens = self.norm(self.blocks(self.drop(self.embed(x) + self.positions)))
        return self.head(tokens).split([64, 64 * 24], -1)


def torch_bet_step(threads):
    torch.set_num_threads(threads)
    n, rows = 2500, torch.arange(640)
    x, a, c, r = torch.randn(n, 45), torch.rand(n, 24) * 2 - 1, torch.rand(n, 24) - 0.5, torch.rand(n, 1)
    net = Transformer()
    optimizer = torch.optim.AdamW(net.parameters(), lr=5.5e-5, weight_decay=2e-4, betas=(0.9, 0.95))

    def steps(count):
        for _ in range(count):
            i = torch.randint(n - 10, (64, 1)) + torch.arange(10)
            logits, offsets = (out.flatten(0, 1) for out in net(x[i]))
            i = i.flatten()
            bucket = torch.cdist(a[i], net.centers).argmin(1)
            log_p = logits.log_softmax(1)[rows, bucket]
            output = net.centers[bucket] + offsets.view(640, 64, 24)[rows, bucket]
            loss = ((c[i] + r[i] * output.clamp(-1, 1) - a[i]) ** 2).mean()
            loss = 1000 * loss - ((1 - log_p.exp()) ** 2 * log_p).mean()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            loss.item()

    return milliseconds(steps, 5, 25)


def mlp_predictor():
    """Makes a function from a state and the constraint to an action."""
    linear = torch.nn.Linear
    net = torch.nn.Sequential(linear(45, 256), torch.nn.ReLU(), linear(256, 256), torch.nn.ReLU(), linear(256, 24))
    return lambda x, constrain: constrain(net(x))


def retrieval_predictor(states, actions):
    net = retrieval_net()

    def predict(x, j, constrain):
        s, a = states[j], actions[j]
        p = a + net(torch.cat([x.expand(len(j), -1), x - s, a], 1))
        return constrain(p.clamp(-1, 1).mean(0, keepdim=True))

    return predict


def bet_predictor():
    net, window = Transformer().eval(), torch.randn(1, 10, 45)

    def predict(x, constrain):
        window[0, :-1] = window[0, 1:].clone()
        window[0, -1] = x
        logits, offsets = net(window)
        bucket = torch.multinomial(logits[0, -1].softmax(0), 1)
        return constrain(net.centers[bucket] + offsets[0, -1].view(64, 24)[bucket])

    return predict


def diffusion_predictor():
    net = Diffusion()
    before = torch.cat([torch.ones(1), net.abar[:-1]])
    clean = net.betas * before.sqrt() / (1 - net.abar)
    kept = (1 - before) * (1 - net.betas).sqrt() / (1 - net.abar)
    fresh = (net.betas * (1 - before) / (1 - net.abar)).sqrt()
    times = [torch.tensor([t]) for t in range(5)]

    def predict(x, constrain):
        noisy = torch.randn(1, 24)
        for t in reversed(range(5)):
            constrained = constrain(net(noisy, times[t], x))
            if t == 0:
                return constrained
            noisy = clean[t] * constrained + kept[t] * noisy + fresh[t] * torch.randn(1, 24)

    return predict
