#!/usr/bin/env bash
# A policy of AutoAugment searched on a folder of small colour images, then compared with no augmentation and with the
# published policies on all training images, five seeds each. Two hours on two busy cores.
#
#     bash benchmarks/policy_search.sh DIR [OUT]
#
# DIR has train/, val/ and test/, OUT gets the runs. The same command goes on where it was stopped.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$(realpath "$1") out=${2:-runs/policy_search}
common=(data=imagefolder "data.root=$root" data.image_size=24 'data.crop_scale=[0.5,1]' data.batch_size=64 model=tiny)

python train.py -m hydra/sweeper=autoaugment hydra.sweeper.trials=30 hydra.sweeper.parallel=1 "${common[@]}" \
    data.train_share=0.5 trainer.max_epochs=15 "output_dir=$out/search"
policy=$(ls -t "$out"/search/sweeps/*/policy.yaml | head -1)
python train.py -m hydra/sweeper=ablation 'hydra.sweeper.tricks=[autoaugment]' "${common[@]}" '+tricks=[autoaugment]' \
    tricks.autoaugment.strengths=paper "tricks.autoaugment.policy=$policy,imagenet,cifar10" \
    trainer.max_epochs=12 seed=0,1,2,3,4 "output_dir=$out"
python benchmarks/policy_scores.py "$out"
