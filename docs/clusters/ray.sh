#!/bin/bash
# A sweep whose jobs run on a Ray cluster that is there already, one GPU each: docs/clusters/ray.sh ARGUMENTS OF train.py
set -euo pipefail
python train.py -m "$@" trainer.devices=1 \
    hydra/launcher=ray \
    hydra.launcher.ray.init.address="'${RAY_HEAD:-auto}'" \
    +hydra.launcher.ray.remote.num_gpus="${GPUS:-1}" \
    +hydra.launcher.ray.remote.num_cpus="${CPUS:-8}"
