#!/bin/sh
# Runs the benchmarks, prints one table of all and adds it to bench/record: `bench/run.sh [--quick] [--build] [--native] [NAME ...]`.
#   --quick     small tables, fewer rounds
#   --build     also how long the program takes to compile from nothing: minutes
#   --native    also the same code compiled for this processor alone, against the choice at run time: everything is built again
#   NAME        only those of: recall choose policy vision encoder worker simulators start package reading scaling memories latency serve
# Needs cargo and, unless MCNN_BENCH_PYTHON names an interpreter that has the packages, python3 and a network for the first run.
set -eu
cd "$(dirname "$0")/.."

quick='' build='' native='' names=''
for argument; do
    case $argument in
    --quick) quick=--quick ;;
    --build) build=--build ;;
    --native) native=--native ;;
    -*) sed -n '2,7s/^# *//p' "$0" >&2 && exit 2 ;;
    *) [ -f "bench/$argument.py" ] || { echo "no bench/$argument.py" >&2 && exit 2; } && names="$names $argument" ;;
    esac
done
: "${names:=recall choose policy vision encoder worker simulators start package reading scaling memories latency serve}"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python=${MCNN_BENCH_PYTHON:-}
if [ -z "$python" ]; then
    venv=.mcnn/bench-venv
    wanted=$folder/wanted.txt
    grep -E '^[^#].*# .*\b(worker|box2d|bench)\b' python/requirements.txt | sed 's/ *#.*//' | sort -u >"$wanted"
    # Without what it asks for: it pins an older NumPy than it works with.
    alone=$(grep -E '^[^#].*# .*\bopenpi\b' python/requirements.txt | sed 's/ *#.*//' | sort -u)
    echo "$alone" | sed 's/^/# /' >>"$wanted"
    # The lines it was made from lie beside it, so that a changed pin makes it anew.
    if ! cmp -s "$wanted" "$venv/wanted.txt"; then
        rm -rf "$venv"
        python3 -m venv "$venv"
        "$venv/bin/pip" install --quiet -r "$wanted"
        # shellcheck disable=SC2086
        "$venv/bin/pip" install --quiet --no-deps $alone
        cp "$wanted" "$venv/wanted.txt"
    fi
    python=$venv/bin/python
fi

export MCNN_BENCH_ROWS="$folder/rows.jsonl"
: >"$MCNN_BENCH_ROWS"
failed=''
for name in $names; do
    # What one script cannot do, the others still can.
    begun=$(date +%s)
    if [ "$name" = simulators ] && ! python/get_mujoco.sh; then
        failed="$failed $name"
    else
        "$python" "bench/$name.py" $quick || failed="$failed $name"
    fi
    echo "$name: $(($(date +%s) - begun)) s" >&2
done
[ -z "$build" ] || "$python" bench/start.py --build || failed="$failed build"
[ -z "$native" ] || "$python" bench/native.py $quick || failed="$failed native"
"$python" bench/table.py $quick "$MCNN_BENCH_ROWS"
[ -z "$failed" ] || { echo "failed:$failed" >&2 && exit 1; }
