#!/bin/bash
# All that wants a GPU, on one, within 8 minutes: bash benchmarks/gpu.sh > gpu.txt
# --cpu runs the same once, small, without one: to see that it will run, before a machine is paid for.
set -uo pipefail
cd "$(dirname "$0")/.."
export WANDB_MODE=offline
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
began=$SECONDS failed=0 times=1
# Arguments of ours: a network that fits tricks and images of 32 pixels, which need no file.
short=(model=resnet20 data=digits optim.warmup_epochs=0 trainer.progress_bar=false output_dir="$folder/runs")
if [ "${1:-}" = --cpu ]; then
    times=10 # for machines that are busy
    steps=(--cpu) cache=(--images 256 --rounds 1) card=CPU
    short+=(trainer.accelerator=cpu model.width=4 data.image_size=16 trainer.max_steps=2)
else
    steps=() cache=(--images 20480 --rounds 5 --device cuda)
    card=$(nvidia-smi --query-gpu=name --format=csv,noheader | head -1)
    short+=(trainer.accelerator=gpu trainer.max_steps=300)
fi

part() { # SECONDS AT MOST, NAME, COMMAND: its output, and the seconds that it took
    local limit=$(($1 * times)) name=$2 start=$SECONDS
    shift 2
    echo "== $name: $*"
    if timeout "$limit" "$@"; then
        taken+="$(printf '%-52s %4d s  n=1  %s' "$name" $((SECONDS - start)) "$card")"$'\n'
    else
        echo "FAILED: $name"
        taken+="$name FAILED"$'\n'
        failed=1
    fi
}

taken=
part 220 "steps, E0 and E11" python benchmarks/gpu.py "${steps[@]}"
part 60 "data.cache=device against the loader" python benchmarks/cache.py "${cache[@]}"
part 40 "training in bf16-mixed" python train.py "${short[@]}" trainer.precision=bf16-mixed tag=bf16
part 40 "training in 32-true" python train.py "${short[@]}" trainer.precision=32-true tag=fp32
for together in 1 2; do
    part 45 "two jobs, per_device=$together" python train.py -m "${short[@]}" seed=0,1 tag=together$together \
        hydra/launcher=joblib hydra.launcher.per_device=$together hydra.sweep.dir="$folder/sweep$together"
done
part 20 "their results" python report.py "$folder/runs" list
echo "== $card, $((SECONDS - began)) s in all"
printf '%s' "$taken"
exit $failed
