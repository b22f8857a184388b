#!/bin/bash
# One training on several machines without a scheduler. On each of them, with NODE_RANK=0 on the first, 1 on the second:
# NODE_RANK=0 MASTER_ADDR=ADDRESS_OF_THE_FIRST docs/clusters/torchrun.sh ARGUMENTS OF train.py
set -euo pipefail
nodes=${NODES:-2} devices=${DEVICES:-8}
torchrun --nnodes="$nodes" --nproc-per-node="$devices" --node-rank="$NODE_RANK" \
    --master-addr="$MASTER_ADDR" --master-port="${MASTER_PORT:-29500}" \
    train.py "$@" trainer.num_nodes="$nodes" trainer.devices="$devices"
