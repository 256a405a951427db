"""The LeRobot plugin, with the real LeRobot."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import mcnn

PLUGIN = Path(__file__).parents[3] / "python/lerobot_policy_mcnn"


@pytest.mark.skipif(
    "MCNN_LEROBOT_PYTHON" not in os.environ,
    reason="LeRobot takes 8 GB with its CUDA libraries: MCNN_LEROBOT_PYTHON names a Python with lerobot 0.4.4 and setuptools",
)
def test_the_plugin_works_with_lerobot(tmp_path):
    python, site = os.environ["MCNN_LEROBOT_PYTHON"], tmp_path / "site"
    source = shutil.copytree(PLUGIN, tmp_path / "plugin")  # a build writes beside its sources
    pip = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    done = subprocess.run([*pip, "--target", site, source], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    shutil.copytree(Path(mcnn.__file__).parent, site / "mcnn")  # one binary for all versions of Python
    done = subprocess.run(
        [python, PLUGIN / "tests/check_plugin.py", tmp_path / "data"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(site), "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the plugin works" in done.stdout
