#!/usr/bin/env bash
# Compound scaling in small: a grid of alpha, beta and gamma at phi = 1, then depth, width and resolution alone against the
# best of them at about 2 and 4 times the multiply-adds, on a ResNet-20 of 8 channels and a folder of small images of 16
# pixels. 39 runs, 40 minutes on two busy cores.
#
#     bash benchmarks/compound_scaling.sh DIR [OUT]
#
# DIR has train/, val/ and test/, OUT gets the runs and scaling.png. The same command goes on where it was stopped.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$(realpath "$1") out=${2:-runs/compound_scaling}

python train.py -m hydra/sweeper=compound '+tricks=[compound_scaling]' tricks.compound_scaling.divisor=1 \
    hydra.sweeper.alpha=[1,1.33] hydra.sweeper.beta=[1,1.125,1.25] hydra.sweeper.gamma=[1,1.125,1.25] \
    hydra.sweeper.tolerance=0.15 hydra.sweeper.max_macs=6e6 hydra.sweeper.max_memory=1e8 \
    model=resnet20 model.width=8 data=imagefolder "data.root=$root" data.image_size=16 'data.crop_scale=[0.5,1]' \
    data.batch_size=64 trainer.max_epochs=5 trainer.progress_bar=false data.num_workers=0 seed=0,1,2 "output_dir=$out"
python report.py "$(ls -d "$out"/sweeps/* | tail -1)" --png "$out"
