"""Frames through PIL's bilinear resizing and torchvision's preset for ResNet-34.

Prints the JSON kept in crates/mcnn/tests/vision/frame_values.json:
    python python/tests/frame_values.py > crates/mcnn/tests/vision/frame_values.json
"""

import json

import numpy as np
import torch
from PIL import Image
from torchvision.models import ResNet34_Weights
from torchvision.transforms import functional

rng = np.random.default_rng(0)


def picture(height, width):
    """Waves and noise: what is smooth and what is not."""
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / 5), np.cos(y / 3), np.sin((x + y) / 7)], -1) * 80 + 128
    return (waves + rng.normal(0, 30, waves.shape)).clip(0, 255).astype(np.uint8)


def resized(size, to):
    frame = picture(*size)
    out = np.asarray(Image.fromarray(frame).resize(to[::-1], Image.Resampling.BILINEAR))
    floats = torch.from_numpy(frame / np.float32(255)).permute(2, 0, 1)
    floats = functional.resize(floats, list(to), antialias=True).permute(1, 2, 0)
    return {"size": size, "frame": frame.flatten().tolist(), "to": to, "bytes": out.flatten().tolist(), "floats": floats.flatten().tolist()}


def published(size):
    frame = picture(*size)
    out = ResNet34_Weights.IMAGENET1K_V1.transforms()(Image.fromarray(frame)).permute(1, 2, 0).flatten()
    places = [(k * 7919) % out.numel() for k in range(200)]
    return {"size": size, "frame": frame.flatten().tolist(), "at": places, "values": out[places].tolist()}


resizes = [((7, 5), (3, 4)), ((3, 4), (8, 9)), ((12, 16), (12, 5)), ((12, 5), (4, 5)), ((24, 32), (9, 9)), ((6, 6), (1, 1))]
print(json.dumps({"resized": [resized(*r) for r in resizes], "published": [published(s) for s in ((24, 31), (33, 20), (20, 20))]}))
