#!/usr/bin/env bash
# The ablation of Assemble-ResNet in small: its tricks in the order of the paper's table (SE and the longer schedules
# left out), on a ResNet-14 of 8 channels and a folder of small colour images. Ten minutes on two cores.
#
#     bash benchmarks/small_ablation.sh DIR [OUT]
#
# DIR has train/, val/ and test/, OUT gets the runs and ablation.html. The same command goes on where it was stopped.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$(realpath "$1") out=${2:-runs/small_ablation}
common=(data=imagefolder "data.root=$root" data.image_size=24 'data.crop_scale=[0.5,1]' data.batch_size=64)

python train.py "${common[@]}" model=resnet20 '+tricks=[label_smoothing]' trainer.max_epochs=20 "output_dir=$out/teacher"
python train.py -m "${common[@]}" model=tiny trainer.max_epochs=12 \
    hydra/sweeper=ablation hydra.sweeper.mode=cumulative hydra/launcher=joblib hydra.launcher.n_jobs=2 \
    '+tricks=[resnet_d,label_smoothing,mixup,sk,dropblock,distillation,big_little,anti_alias,autoaugment]' \
    tricks.dropblock.block_size=3 "tricks.distillation.cache=$out/logits" \
    "tricks.distillation.teacher=$(ls "$out"/teacher/*/last.ckpt)" seed=0,1,2 "output_dir=$out"
python report.py "$(ls -d "$out"/sweeps/* | tail -1)" "html=$out/ablation.html"
