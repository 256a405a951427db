#!/bin/sh
# A sweep as a Slurm array: sbatch examples/cluster/slurm.sh plan.toml results/
# Every task of the array makes its part of the plan into a file of its own; the tasks need not know of each other, and one that was
# ended goes on where it was when it is submitted again. After the last one:
#   mcnn results merge plan.toml results/shard-*.jsonl -o results.jsonl
#SBATCH --job-name=mcnn-sweep
#SBATCH --array=1-16
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --time=04:00:00
#SBATCH --requeue
set -eu

shards=${SHARDS:-16} # the end of --array above, also where only some of its tasks are submitted again
plan=$1 folder=$2
mkdir -p "$folder"
exec mcnn sweep "$plan" --shard "$SLURM_ARRAY_TASK_ID/$shards" --threads "${SLURM_CPUS_PER_TASK:-1}" \
    -o "$folder/shard-$SLURM_ARRAY_TASK_ID.jsonl"
