#!/usr/bin/env bash
# The degradation study of He et al. 2015 (arXiv 1512.03385, Figure 6) in small: plain networks and ResNets of 20, 56 and
# 110 layers, at half the paper's channels, on the handwritten digits at 16 pixels. Some 25 minutes on one core.
#
#     bash benchmarks/degradation.sh [OUT]
#
# OUT gets the runs and degradation.png. The same command goes on where it was stopped.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-runs/degradation}

python train.py -m recipe=plain20,plain56,plain110,resnet20,resnet56,resnet110 seed=0,1,2 \
    data=digits data.image_size=16 data.crop_pad=2 model.width=8 \
    trainer.max_epochs=40 'optim.milestones=[20,30]' "output_dir=$out"
python report.py "$(ls -d "$out"/sweeps/* | tail -1)" --curves "$out/degradation.png"
