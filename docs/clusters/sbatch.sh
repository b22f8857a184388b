#!/bin/bash
# One training in SLURM, requeued until it is through: sbatch docs/clusters/sbatch.sh ARGUMENTS OF train.py
#SBATCH --job-name=assemble
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --signal=SIGUSR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=assemble-%j.out
set -euo pipefail
export SRUN_CPUS_PER_TASK="$SLURM_CPUS_PER_TASK" # which srun does not take from sbatch by itself
srun python train.py "$@" trainer.num_nodes="$SLURM_NNODES" trainer.devices="$SLURM_NTASKS_PER_NODE"
