"""Latency of single actions, as a control loop meets it: 1,000,000 consecutive actions of one session each of MLPs, retrieval-conditioned
MLPs, diffusion, behavior transformers and U-Nets, and a hundredth of that of implicit BC, one of whose actions takes milliseconds.

Run by bench/run.sh. `--count N` takes N actions instead, `--quick` 20,000. There is no peer: the rows are the median, two tails and the
maximum, which the machine's other work decides as well. A U-Net predicts in one of eight steps, so its median is that of a step within a
chunk. 672 memories of 45 dimensions, actions of 24, the default networks; one thread.
"""

import json
import subprocess
import sys

import table

COUNT = 20_000 if "--quick" in sys.argv else 1_000_000
if "--count" in sys.argv:
    COUNT = int(sys.argv[sys.argv.index("--count") + 1])
BACKBONES = {name: COUNT for name in ["mlp", "mlp*5", "retrieval*5", "diffusion", "bet", "unet"]} | {"ibc": max(COUNT // 100, 2)}


def main():
    table.build()
    print("| backbone | actions | median | p99 | p99.9 | maximum |\n|---|---|---|---|---|---|")
    for backbone, count in BACKBONES.items():
        command = [f"{table.TARGET}/release/examples/bench_policy", "latency", "672", "45", "24", str(count), backbone]
        found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        values = [found[key] for key in ("p50", "p99", "p999", "max")]
        tails = "p99 {1:.3g}, p99.9 {2:.3g}, maximum {3:.3g} us".format(*values)
        table.row(f"latency of {count:,} actions, {backbone}", values[:1], [], "us", error=tails)
        print(f"| {backbone} | {count:,} | " + " | ".join(f"{value:.3g} us" for value in values) + " |", flush=True)


main()
