#!/bin/bash
# A sweep whose jobs run in SLURM, eight GPUs each: docs/clusters/submitit.sh ARGUMENTS OF train.py
set -euo pipefail
python train.py -m "$@" trainer.devices=8 \
    hydra/launcher=submitit_slurm \
    hydra.launcher.partition=gpu \
    hydra.launcher.account=vision \
    hydra.launcher.constraint=a100 \
    hydra.launcher.gpus_per_node=8 \
    hydra.launcher.cpus_per_task=64 \
    hydra.launcher.timeout_min=1440 \
    hydra.launcher.array_parallelism=4
