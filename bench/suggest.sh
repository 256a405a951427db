#!/usr/bin/env bash
# How much suggested demonstrations improve a policy, compared with random ones. Each takes some minutes. The results are in
# docs/book/src/studies/suggest.md.
#   bench/suggest.sh drive | visited
#   bench/suggest.sh pen DATA.hdf5    needs python/get_mujoco.sh
set -euo pipefail
what=$1
data=$(realpath -m "${2:-.}")
cd "$(dirname "$0")/.."
features=()
[ "$what" = pen ] && features=(--features adroit)
cargo build --locked --release -p mcnn-cli --example suggest "${features[@]}"
suggest=${CARGO_TARGET_DIR:-target}/release/examples/suggest
case $what in
drive) "$suggest" drive 0..8 docs/book/src/images/suggest-drive.svg ;;
pen) "$suggest" pen 0..5 docs/book/src/images/suggest-pen.svg "$data" ;;
visited) "$suggest" visited 0..8 ;;
*) echo "bench/suggest.sh drive | visited | pen DATA.hdf5" >&2; exit 2 ;;
esac
