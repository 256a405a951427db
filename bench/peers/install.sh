#!/bin/sh
# Makes the environments of the peers, or of those that are named: bench/peers/install.sh [imitation] [d3rlpy] [robomimic] [lerobot]
# The first takes about 6 GB, most of it PyTorch's libraries for GPUs, which PyPI has no wheel without. uv links the same
# files into the others from its cache, which lies beside them, so that each further one takes little. Modules are compiled here
# and not during a training, whose seconds are counted.
set -eu
cd "$(dirname "$0")"
tools=environments/tools
export UV_CACHE_DIR="$PWD/environments/cache"

for peer in ${*:-imitation d3rlpy robomimic lerobot}; do
    wanted=requirements/$peer.txt
    [ -f "$wanted" ] || { echo "install.sh: no such peer: $peer" >&2 && exit 2; }
    # The lines it was made from lie in it, so that a changed pin makes it anew.
    cmp -s "$wanted" "environments/$peer/wanted.txt" && continue
    if [ ! -x "$tools/bin/uv" ]; then
        python3.11 -m venv "$tools"
        "$tools/bin/pip" install --quiet --disable-pip-version-check uv==0.13.9
    fi
    rm -rf "environments/$peer"
    "$tools/bin/uv" venv --quiet --no-python-downloads --python 3.11 "environments/$peer"
    "$tools/bin/uv" pip install --quiet --compile-bytecode --excludes requirements/excluded --python "environments/$peer/bin/python" -r "$wanted"
    cp "$wanted" "environments/$peer/wanted.txt"
done
