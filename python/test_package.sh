#!/usr/bin/env bash
# Makes the source distribution and the wheel of the Python package, installs the wheel into an environment of its own
# (.mcnn/package-venv), and runs the tests; then the quick start with the same wheel in every other version of Python here.
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
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
"$venv/bin/maturin" sdist --out "$made" >"$made/sdist.txt" 2>&1 || { cat "$made/sdist.txt" >&2; exit 1; }
tar -xzf "$made"/*.tar.gz -C "$made"
source=("$made"/mcnn_rs-*/)
# Whether the source distribution is whole: cargo finds every crate and the source of every target. Its lock file also has what the
# crates that are left out need, so it is not compared to the letter.
(cd "${source[0]}" && cargo metadata --offline --format-version 1 >/dev/null)
# The wheel has no shared libraries of the system beside libc, so the tag of this machine is enough for tests. It is built from the
# checkout, which shares what is compiled.
"$venv/bin/maturin" build --quiet --release --locked --interpreter "$venv/bin/python" --compatibility linux --out "$made"
wheel=("$made"/*.whl)
size=$(wc -c <"${wheel[0]}")
echo "test_package.sh: $(basename "${wheel[0]}"), $((size / 1000)) kB"
[ "$size" -lt 25000000 ] || { echo "test_package.sh: the wheel has more than 25 MB" >&2; exit 1; }
"$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --force-reinstall "${wheel[0]}"
"$venv/bin/python" -m pytest --quiet -rs "$@"

# One wheel is for every version from 3.11 on (abi3).
own=$("$venv/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
numpy=$(grep -E '^numpy==' python/requirements.txt | sed 's/ *#.*//')
for version in 3.11 3.12 3.13 3.14; do
    [ "$version" != "$own" ] || continue
    other="$home/package-venv-$version"
    for python in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python ''; do
        if [ -n "$python" ] && "$python" -c '' 2>/dev/null; then break; fi
    done
    if [ -z "$python" ]; then
        echo "test_package.sh: Python $version is not here: not tested"
        continue
    fi
    [ -x "$other/bin/python" ] || "$python" -m venv "$other"
    "$other/bin/pip" install --quiet --disable-pip-version-check "$numpy"
    "$other/bin/pip" install --quiet --disable-pip-version-check --no-deps --force-reinstall "${wheel[0]}"
    "$other/bin/python" examples/python/quickstart.py >"$made/quickstart.txt" || { echo "test_package.sh: fails in Python $version" >&2; exit 1; }
    echo "test_package.sh: the quick start runs in Python $version"
done
