"""Diffusion Policy of LeRobot, with its defaults (a U-Net of 512, 1024 and 2048 channels, 100 steps of denoising for 8 actions) and
those of its `lerobot-train`. Observations as for lerobot_act."""

import adapter
from lerobot_act import fit


def train(demonstrations, job, clock):
    from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig
    from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy

    return fit(DiffusionPolicy, DiffusionConfig, demonstrations, job, clock)


if __name__ == "__main__":
    adapter.serve(
        train, ["lerobot", "torch"], ["torch._dynamo", "lerobot.policies.diffusion.modeling_diffusion", "lerobot.policies.factory"]
    )
