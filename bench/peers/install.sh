#!/bin/sh
# Makes the environments of the peers, or of those that are named: bench/peers/install.sh [imitation] [d3rlpy]
# Each takes about 6 GB, most of it PyTorch's libraries for GPUs, which PyPI has no wheel without.
set -eu
cd "$(dirname "$0")"

for peer in ${*:-imitation d3rlpy}; do
    wanted=requirements/$peer.txt
    [ -f "$wanted" ] || { echo "install.sh: no such peer: $peer" >&2 && exit 2; }
    # The lines it was made from lie in it, so that a changed pin makes it anew.
    cmp -s "$wanted" "environments/$peer/wanted.txt" && continue
    rm -rf "environments/$peer"
    python3.11 -m venv "environments/$peer"
    "environments/$peer/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir -r "$wanted"
    cp "$wanted" "environments/$peer/wanted.txt"
done
