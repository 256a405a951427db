#!/usr/bin/env bash
# How early the distance to the nearest memory warns of a failure, compared with the variance of an ensemble. Takes some minutes.
# The results are in docs/book/src/studies/calibration.md.
#   bench/early_warning.sh drive FOLDER            the built-in task
#   bench/early_warning.sh pen FOLDER DATA.hdf5    needs python/get_mujoco.sh
# Last come default policies, whose own members are the ensemble: of two laps on drive, and of DATA.
set -euo pipefail
task=$1 folder=$2
cd "$(dirname "$0")/.."
mkdir -p "$folder"
features=()
[ "$task" = drive ] || features=(--features adroit)
cargo build --locked --release -p mcnn-cli --example early_warning --bin mcnn "${features[@]}"
mcnn=${CARGO_TARGET_DIR:-target}/release/mcnn
warning=${CARGO_TARGET_DIR:-target}/release/examples/early_warning
if [ "$task" = drive ]; then
    data=$folder/drive.npz
    "$mcnn" make drive --episodes 5 --noise 0.1 -o "$data" --force
    choose=(--fraction 0.1)
else
    data=$3
    choose=(--selection all --smooth-neighbors 10)
fi
"$mcnn" learn "$data" "${choose[@]}" -o "$folder/memories.safetensors" --force
train() { "$mcnn" train "$data" "$folder/memories.safetensors" --steps 6000 --validation-fraction 0 --force "$@" >/dev/null; }
train -o "$folder/mcnn.safetensors"
for seed in 1 2 3 4 5 6; do train --lambda inf --seed "$seed" -o "$folder/bc$seed.safetensors"; done
ensemble=("$folder"/bc[1-5].safetensors)
for acting in mcnn bc6; do
    "$warning" "$task" 300 "$folder/$acting.safetensors" "${ensemble[@]}"
done
if [ "$task" = drive ]; then
    data=$folder/drive2.npz
    "$mcnn" make drive --episodes 2 --noise 0.1 -o "$data" --force
fi
"$mcnn" train "$data" -o "$folder/default.safetensors" --validation-fraction 0 --force
"$warning" "$task" 300 "$folder/default.safetensors"
