#!/bin/sh
# Runs the benchmarks: `bench/run.sh [--quick]`. Needs cargo and, unless MCNN_BENCH_PYTHON names an interpreter that
# has the packages, python3 and a network for the first run.
set -eu
cd "$(dirname "$0")/.."

python=${MCNN_BENCH_PYTHON:-}
if [ -z "$python" ]; then
    venv=.mcnn/bench-venv
    wanted=$(mktemp)
    trap 'rm -f "$wanted"' EXIT
    grep -E '^[^#].*# .*\b(worker|box2d|bench)\b' python/requirements.txt | sed 's/ *#.*//' | sort -u >"$wanted"
    # The lines it was made from lie beside it, so that a changed pin makes it anew.
    if ! cmp -s "$wanted" "$venv/wanted.txt"; then
        rm -rf "$venv"
        python3 -m venv "$venv"
        "$venv/bin/pip" install --quiet -r "$wanted"
        cp "$wanted" "$venv/wanted.txt"
    fi
    python=$venv/bin/python
fi

"$python" bench/recall.py "$@"
"$python" bench/policy.py "$@"
"$python" bench/vision.py "$@"
"$python" bench/encoder.py "$@"
"$python" bench/worker.py "$@"
python/get_mujoco.sh
"$python" bench/simulators.py "$@"
