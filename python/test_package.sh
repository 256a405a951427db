#!/usr/bin/env bash
# Builds the wheel of the Python package, installs it into an environment of its own (.mcnn/package-venv), and runs its tests.
# Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."

home="${MCNN_HOME:-$PWD/.mcnn}"
venv="$home/package-venv"
wanted=$(grep -E '^[^#].*# .*\bpackage\b' python/requirements.txt | sed 's/ *#.*//' | sort -u)
if [ "$(cat "$venv/installed" 2>/dev/null)" != "$wanted" ]; then
    echo "test_package.sh: installing the tests' Python packages into $venv"
    rm -rf "$venv"
    python3 -m venv "$venv"
    echo "$wanted" >"$venv/wanted.txt"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$venv/wanted.txt"
    mv "$venv/wanted.txt" "$venv/installed"
fi
wheels=$(mktemp -d)
trap 'rm -rf "$wheels"' EXIT
# The wheel has no shared libraries of the system beside libc, so the tag of this machine is enough for tests.
"$venv/bin/maturin" build --quiet --release --locked --interpreter "$venv/bin/python" --compatibility linux --out "$wheels"
"$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --force-reinstall "$wheels"/*.whl
"$venv/bin/python" -m pytest --quiet "$@"
