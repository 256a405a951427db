"""Residual networks in torchvision, with weights that a formula gives, layer by layer.

Prints the JSON kept in crates/mcnn/tests/vision/resnet_values.json:
    python python/tests/torch_resnet.py > crates/mcnn/tests/vision/resnet_values.json
With a folder as its argument it also writes there each network's state_dict as NAME.pth.
"""

import json
import math
import sys
import zlib

import numpy as np
import torch
import torchvision


def uniform(name, count):
    """Numbers on [-1, 1) that are a function of a name and their place: a counter, mixed, as 24 bits."""
    x = np.arange(count, dtype=np.uint32) + np.uint32(zlib.crc32(name.encode()))
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x ^= x >> np.uint32(shift)
        x *= np.uint32(factor)
    x ^= x >> np.uint32(16)
    return (x >> np.uint32(8)).astype(np.float32) / np.float32(1 << 23) - np.float32(1)


def tensor(name, shape):
    values = uniform(name, math.prod(shape)).reshape(shape)
    if len(shape) == 4:  # deviations that keep the size of what passes
        values = values * np.float32(math.sqrt(3 * 2 / math.prod(shape[1:])))
    elif name.endswith("running_var"):
        values = 1 + np.float32(0.5) * values
    elif name.endswith("running_mean") or name.endswith("bias"):
        values = np.float32(0.1) * values
    else:
        values = np.float32(0.7) + np.float32(0.2) * values
    return torch.from_numpy(values.astype(np.float32))


def network(name):
    net = getattr(torchvision.models, name)(weights=None)
    state = {
        key: value if key.endswith("num_batches_tracked") else tensor(key, tuple(value.shape))
        for key, value in net.state_dict().items()
    }
    net.load_state_dict(state)
    net.fc = torch.nn.Identity()
    return net.eval(), state


def watched(net, frames):
    """The outputs of the first layer, the pooling and every block, `[image, channel, height, width]`."""
    seen = {}
    keep = lambda name: lambda module, inputs, output: seen.__setitem__(name, output.detach().clone())
    hooks = [net.relu.register_forward_hook(keep("conv1")), net.maxpool.register_forward_hook(keep("maxpool"))]
    for stage in range(1, 5):
        for i, block in enumerate(getattr(net, f"layer{stage}")):
            hooks.append(block.register_forward_hook(keep(f"layer{stage}.{i}")))
    # The first layer's ReLU is the only one outside the blocks.
    with torch.inference_mode():
        output = net(frames)
    for hook in hooks:
        hook.remove()
    return seen, output


def probe(values):
    """The mean absolute value of an output, and some of its values with their indices."""
    flat = values.permute(2, 3, 0, 1).reshape(-1)  # as ours lie: [height, width, image, channel]
    places = [(k * 7919) % flat.numel() for k in range(24)]
    return {"size": list(values.shape[2:]), "mean": flat.abs().mean().item(), "at": places, "values": flat[places].tolist()}


def case(name, n, height, width):
    net, state = network(name)
    if len(sys.argv) > 1:
        torch.save(state, f"{sys.argv[1]}/{name}.pth")
    frames = torch.from_numpy(uniform("frames", n * 3 * height * width).reshape(n, height, width, 3)).permute(0, 3, 1, 2)
    seen, output = watched(net, frames)
    return {
        "network": name,
        "frames": [n, height, width],
        "layers": {key: probe(value) for key, value in seen.items()},
        "output": output.flatten().tolist(),
    }


print(
    json.dumps(
        {
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
            "cases": [
                case("resnet34", 3, 48, 48),
                case("resnet34", 1, 33, 70),
                case("resnet18", 2, 48, 48),
                case("resnet50", 1, 48, 48),
            ],
        }
    )
)
