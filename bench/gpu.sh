#!/usr/bin/env bash
# Exact nearest rows on a GPU against PyTorch's cdist and min on the same card: 4,096 queries x 1,000,000 rows x 45 and x 512.
#   bench/gpu.sh                    needs a GPU with Vulkan and CUDA, and 20 GB of its memory
#   bench/gpu.sh QUERIES ROWS DIM   another size
# MCNN_BENCH_PYTHON names a Python with torch and numpy [default: python3]. GPU_GBS and GPU_TFLOPS, the card's bandwidth in GB/s and its
# operations on f32 in units of 10^12 a second (a fused multiply-add counts two), add the times of the floor.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${MCNN_BENCH_PYTHON:-python3}
"$python" -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' || {
    echo "bench/gpu.sh: $python has no torch that finds a GPU" >&2
    exit 2
}
cargo build --locked --release -p mcnn-gpu --example bench_search
search=${CARGO_TARGET_DIR:-target}/release/examples/bench_search
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
measure() {
    "$search" "$@" 5 "$folder" | "$python" bench/gpu.py "$@" 5 "$folder"
}
if [ $# -eq 3 ]; then
    measure "$@"
else
    measure 4096 1000000 45
    measure 4096 1000000 512
fi
