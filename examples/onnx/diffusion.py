"""Acts with the two graphs of a diffusion policy, a U-Net or a residual MLP: `mcnn export policy.safetensors -o policy.onnx`.

Needs numpy and onnxruntime. `python diffusion.py policy.onnx policy.constrain.onnx` acts once, for an observation of zeros.
"""

import sys

import numpy as np
import onnxruntime


RANDOM = np.random.default_rng()


class OnnxDiffusion:
    def __init__(self, step, constrain, normal=RANDOM.standard_normal, below=RANDOM.integers):
        self.step, self.constrain = map(onnxruntime.InferenceSession, (step, constrain))
        self.settings, self.normal, self.below = self.step.get_modelmeta().custom_metadata_map, normal, below
        self.window, self.steps = (int(self.settings[k]) for k in ("observation_horizon", "denoising_steps"))
        self.reset()

    def reset(self):
        """Starts an episode."""
        self.observations, self.queue = [], []

    def predict(self):
        """The network's actions from the newest observation on: noise, denoised step by step."""
        window = self.observations[:1] * (self.window - len(self.observations)) + self.observations
        observation, noisy = self.step.get_inputs()[:2]
        inputs = {observation.name: np.float32([window] if observation.name == "observations" else window)}
        shape = [n if isinstance(n, int) else 1 for n in noisy.shape]
        inputs["noisy"] = self.normal(shape).astype(np.float32)
        if self.settings.get("combine") == "member":  # one network for all steps of this prediction
            inputs["member"] = np.array(self.below(int(self.settings["members"])))
        for step in reversed(range(self.steps)):
            inputs |= {"noise": self.normal(shape).astype(np.float32), "step": np.array(step)}
            inputs["noisy"], actions = self.step.run(["denoised", "network_action"], inputs)
        return actions

    def act(self, observation):
        """The action, the distance, the weight and the memory for the newest observation."""
        self.observations = [*self.observations, observation][-self.window :]
        newest, whole = np.float32([observation]), self.settings["whole_chunks"] == "true"
        if not self.queue:
            actions = self.predict()
            if whole:  # one memory and its future actions constrain the chunk
                chunk, *self.of_memory = self.constrained(newest, actions)
            self.queue = list(chunk[0] if whole else actions[0] if actions.ndim == 3 else actions)
        action = self.queue.pop(0)
        return (action, *(v[0] for v in self.of_memory)) if whole else [v[0] for v in self.constrained(newest, action[None])]

    def constrained(self, observation, actions):
        outputs = ["action", "distance", "weight", "memory"]
        return self.constrain.run(outputs, {"observation": observation, "network_action": actions})


if __name__ == "__main__":
    policy = OnnxDiffusion(*sys.argv[1:3])
    print(policy.act(np.zeros(policy.constrain.get_inputs()[0].shape[1])))
