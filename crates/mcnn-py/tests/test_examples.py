"""Examples of the documentation run."""

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mcnn

ROOT = Path(__file__).parents[3]


# What an example needs beside the package, where it is not installed for the tests.
NEEDS = {"wrap_torch.py": "torch"}


@pytest.mark.parametrize("path", sorted((ROOT / "examples/python").glob("*.py")), ids=lambda path: path.name)
def test_an_example_runs(path, tmp_path):
    if path.name in NEEDS:
        pytest.importorskip(NEEDS[path.name], reason=f"{NEEDS[path.name]} is not installed")
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.iterdir()), "an example leaves nothing behind"


def test_the_notebook_runs_and_is_small(tmp_path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    path = ROOT / "examples/python/understand.ipynb"
    text = path.read_text(encoding="utf-8")
    assert len(text) < 200_000, "outputs are small"
    assert not re.search(r"/(home|root|tmp|work|usr|Users)/", text), "no path of a machine"
    notebook = nbformat.reads(text, as_version=4)
    committed = [sorted(out.get("data", {})) for cell in notebook.cells for out in cell.get("outputs", [])]
    notebook.cells.append(nbformat.v4.new_code_cell("report"))
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    assert all(out.output_type in ("execute_result", "display_data", "stream") for out in outputs), outputs
    assert not [out for out in outputs if out.get("name") == "stderr"]
    *shown, report = outputs
    assert [sorted(out.get("data", {})) for out in shown] == committed, "run the notebook anew and save it"
    assert sum("image/png" in out.get("data", {}) for out in shown) == 2
    assert "<iframe " in report["data"]["text/html"]


def test_the_reference_is_what_the_docstrings_say():
    path = ROOT / "docs/book/src/reference/python.md"
    done = subprocess.run([sys.executable, ROOT / "python/reference.py"], capture_output=True, text=True, check=True)
    assert path.read_text(encoding="utf-8") == done.stdout, "python python/reference.py > docs/book/src/reference/python.md"


def test_everything_public_has_a_docstring():
    missing = []
    for name in mcnn.__all__:
        thing = getattr(mcnn, name)
        members = vars(thing) if inspect.isclass(thing) else {}
        for member in ["", *(m for m in members if not m.startswith("_"))]:
            if not inspect.getdoc(getattr(thing, member) if member else thing):
                missing.append(f"{name}.{member}")
    assert not missing


def test_the_page_on_python_runs(tmp_path):
    text = (ROOT / "docs/book/src/python.md").read_text()
    blocks = [block.split("```")[0] for block in text.split("```python\n")[1:]]
    assert len(blocks) > 3
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks)], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr


def test_stubs_agree_with_the_package():
    pytest.importorskip("mypy")
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "mcnn"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MYPY_CACHE_DIR": os.devnull},
    )
    assert done.returncode == 0, done.stdout + done.stderr
