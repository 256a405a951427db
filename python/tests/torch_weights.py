"""Small files as torch.save writes them, for the reader of weights.

    python python/tests/torch_weights.py crates/mcnn/tests/vision/weights
The networks' tensors are views of one number, so that whole networks take some kilobytes.
"""

import json
import sys
from pathlib import Path

import torch
import torchvision

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
torch.manual_seed(0)


def thin(state, prefix=""):
    """Every tensor as a view of one number, 1."""
    ones = {dtype: torch.ones((), dtype=dtype) for dtype in (torch.float32, torch.int64)}
    return {prefix + key: ones[value.dtype].expand(value.shape) for key, value in state.items()}


base = torch.randn(6, 5)
small = {
    "plain": base,
    "turned": base.T,
    "part": base[2:5, 1:4],
    "parameter": torch.nn.Parameter(torch.randn(3)),
    "half": torch.tensor([1.5, -2.25, 6.1e-5, 5.96e-8, 65504.0, 0.0]).half(),
    "bfloat": torch.randn(4).bfloat16(),
    "double": torch.randn(2, 2, dtype=torch.float64),
    "scalar": torch.tensor(2.5),
    "spread": torch.tensor([[7.0]]).expand(2, 3),
    "whole": torch.arange(4),
    "truth": torch.tensor([True, False]),
}
torch.save(small, folder / "small.pth")
torch.save(small, folder / "protocol4.pth", pickle_protocol=4)
torch.save(small, folder / "old.pth", _use_new_zipfile_serialization=False)
values = {k: [list(v.shape), v.detach().float().flatten().tolist()] for k, v in small.items()}
(folder / "small.json").write_text(json.dumps(values))

resnet18 = torchvision.models.resnet18().state_dict()
optimizer = {"state": {0: {"step": 3, "mean": torch.zeros(2)}}, "param_groups": [{"lr": 0.1, "betas": (0.9, 0.999)}]}
checkpoint = {"epoch": 3, "best": 0.5, "state_dict": thin(resnet18, "module."), "optimizer": optimizer}
checkpoint["state_dict"]["module.head.weight"] = torch.ones(2)
torch.save(checkpoint, folder / "checkpoint.pth")
for name in ("resnet34", "resnet101", "vgg11", "vit_b_16"):
    torch.save(thin(getattr(torchvision.models, name)().state_dict()), folder / f"{name}.pth")
for name, bad in (("nan", float("nan")), ("below", -1.0)):
    state = thin(resnet18)
    state["layer3.1.bn2.running_var"] = torch.full((256,), bad)
    torch.save(state, folder / f"{name}.pth")
del resnet18["layer2.0.conv1.weight"]
torch.save(thin(resnet18), folder / "missing.pth")
torch.save(torch.nn.Linear(2, 2), folder / "object.pth")
torch.jit.script(torch.nn.Linear(2, 2)).save(folder / "script.pth")
torch.save([torch.ones(2)], folder / "list.pth")
