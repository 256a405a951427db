#!/usr/bin/env bash
# Work on a GPU against PyTorch on the same card: exact nearest rows (cdist and min), 4,096 queries x 1,000,000 rows x 45 and x 512, and
# embeddings by ResNet-18 and ResNet-34, 256 frames of 224 x 224.
#   bench/gpu.sh                             needs a GPU with Vulkan and CUDA, and 20 GB of its memory
#   bench/gpu.sh QUERIES ROWS DIM            a search of another size
#   bench/gpu.sh embed NETWORK FRAMES SIDE   an embedding of another size
# MCNN_BENCH_PYTHON names a Python with torch, torchvision and numpy [default: python3]. GPU_GBS and GPU_TFLOPS, the card's bandwidth in GB/s and its
# operations on f32 in units of 10^12 a second (a fused multiply-add counts two), add the times of the floor of a search.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${MCNN_BENCH_PYTHON:-python3}
"$python" -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' || {
    echo "bench/gpu.sh: $python has no torch that finds a GPU" >&2
    exit 2
}
cargo build --locked --release -p mcnn-gpu --example bench_search --example bench_embed
examples=${CARGO_TARGET_DIR:-target}/release/examples
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
search() {
    "$examples/bench_search" "$@" 5 "$folder" | "$python" bench/gpu.py "$@" 5 "$folder"
}
embed() {
    "$python" bench/gpu_embed.py "$examples/bench_embed" "$@" 5
}
if [ "${1:-}" = embed ]; then
    embed "$2" "$3" "$4"
elif [ $# -eq 3 ]; then
    search "$@"
else
    search 4096 1000000 45
    search 4096 1000000 512
    embed resnet18 256 224
    embed resnet34 256 224
fi
