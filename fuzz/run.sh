#!/usr/bin/env bash
# Fuzzes the readers with libFuzzer, each for some time; outside CI.
#   fuzz/run.sh [SECONDS [TARGET...]]    60 seconds each, all targets, if not said
# What the build makes is in fuzz/target. What an input did that
# it may not - a panic, more than 2 GB, more than 60 s - stops its target and is kept in fuzz/target/found: repair the reader,
# and put the input, or what makes it, among the attacks of the tests (crates/mcnn/tests/attacks).
# corpus/ has a few honest files to start from; what was found to lead elsewhere is kept in fuzz/target/corpus and used again.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-60}
[ $# -gt 0 ] && shift
targets=("$@")
[ $# -gt 0 ] || targets=(demonstrations datasets minari recordings expert weights ours checkpoint plan results)
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
found=$CARGO_TARGET_DIR/found
mkdir -p "$found"
failed=()
# The folder with what a zip of the tests' fixtures has.
unpacked() {
    python3 -m zipfile -e "../crates/mcnn/tests/fixtures/$1.zip" "$CARGO_TARGET_DIR/fixtures/$1"
    echo "$CARGO_TARGET_DIR/fixtures/$1"
}
for target in "${targets[@]}"; do
    RUSTC_WRAPPER=$PWD/rustc.sh cargo build --release --locked --bin "$target" || {
        failed+=("$target (it does not compile)")
        continue
    }
    new=$CARGO_TARGET_DIR/corpus/$target
    mkdir -p "$new"
    corpora=("$new")
    [ ! -d "corpus/$target" ] || corpora+=("corpus/$target")
    case $target in
    weights) corpora+=(../crates/mcnn/tests/vision/weights) ;;
    plan) corpora+=(../docs/plans) ;;
    minari) corpora+=("$(unpacked minari/datasets)/box/arrow-v0/data") ;;
    recordings) corpora+=("$(unpacked mcap/recordings)") ;;
    esac
    echo "$target, $seconds s"
    "$CARGO_TARGET_DIR/release/$target" "${corpora[@]}" -max_total_time="$seconds" -timeout=60 -rss_limit_mb=2048 \
        -max_len=65536 -artifact_prefix="$found/$target-" -print_final_stats=1 >"$found/$target.log" 2>&1 || failed+=("$target")
    grep -E "cov: |stat::number_of_executed" "$found/$target.log" | tail -n 2 || true
done
rm -rf "/dev/shm/mcnn-fuzz-"*
if [ ${#failed[@]} -gt 0 ]; then
    echo "found something: ${failed[*]}; see $found" >&2
    exit 1
fi
