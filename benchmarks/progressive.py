"""What progressive learning saves: training time and accuracy against images of one size, on a folder of images.

    python benchmarks/progressive.py DIR [--epochs 16] [--seeds 5]

DIR has train/, val/ and test/. For each seed three runs take turns, in an order that turns around: the full size
throughout, the same number of epochs with `progressive` (half the side at first, four stages), and the full size for as
many epochs as take the time of that (judged by the first seed). What is timed is the training alone, loading included:
processor time of one thread, and wall time beside it. Accuracy is top-1 on test/.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from assemble.paired import conditions, differences, ratios, spread  # noqa: E402

PROGRESSIVE = {"progressive": {"scale": {"from": 0.5, "to": 1.0, "stages": 4}}}


@dataclass(frozen=True)
class Done:
    """A run: seconds of its training, and top-1 % on the test images."""

    processor: float
    wall: float
    top1: float


def train(root: str, network: str, size: int, epochs: int, seed: int, tricks: Mapping[str, Any]) -> Done:
    """Train as `assemble.runs.fit.fit` does, without validation and files."""
    from assemble.planning.plan import make_plan
    from assemble.runs.build import build_module, build_trainer
    from assemble.schema import Config
    from tricks import create

    cfg = Config(seed=seed)
    cfg.model.name = network
    cfg.data.name, cfg.data.root, cfg.data.image_size, cfg.data.crop_scale = "imagefolder", root, size, (0.5, 1.0)
    cfg.trainer.accelerator, cfg.trainer.max_epochs = "cpu", epochs
    plan = make_plan(cfg, create(tricks))
    module = build_module(plan)
    trainer = build_trainer(
        cfg.trainer,
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
    )
    processor, wall = time.process_time(), time.perf_counter()
    trainer.fit(module, datamodule=plan.data)
    processor, wall = time.process_time() - processor, time.perf_counter() - wall
    scores = trainer.test(module, datamodule=plan.data, verbose=False)[0]
    return Done(processor, wall, scores["test/top1"])


def compared(runs: list[Done], others: list[Done]) -> None:
    """Print what the first take and reach over the second, paired by seed."""
    from assemble.reporting.statistics import gain

    print(f"    processor time, ratio {spread(ratios([r.processor for r in runs], [o.processor for o in others]))}")
    print(f"    wall time, ratio {spread(ratios([r.wall for r in runs], [o.wall for o in others]))}")
    found = gain(differences([run.top1 for run in runs], [run.top1 for run in others]))
    low, high = found.interval or (float("nan"), float("nan"))
    print(f"    top-1 {found.mean:+.2f} points, 95 % interval [{low:+.2f}, {high:+.2f}], n={found.n}")


def summary(runs: Mapping[str, list[Done]], epochs: Mapping[str, int]) -> None:
    """Print each case, and the progressive one over the others."""
    for name, made in runs.items():
        print(
            f"  {name}, {epochs[name]} epochs: {spread([run.processor for run in made], 1)} s, "
            f"top-1 {spread([run.top1 for run in made], 2)} %"
        )
    for name in ("fixed", "fixed, fewer epochs"):
        print(f"  progressive over {name}:")
        compared(runs["progressive"], runs[name])
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root")
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--size", type=int, default=48)
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=5)
    chosen = parser.parse_args()
    from assemble.runs.fit import quiet

    quiet()
    torch.set_num_threads(1)
    print(f"{conditions()}; {chosen.model} at {chosen.size} pixels, {chosen.epochs} epochs")
    cases = {"fixed": (chosen.epochs, {}), "progressive": (chosen.epochs, PROGRESSIVE)}
    runs: dict[str, list[Done]] = {name: [] for name in (*cases, "fixed, fewer epochs")}
    for seed in range(chosen.seeds):
        for name in list(cases)[:: -1 if seed % 2 else 1]:
            epochs, tricks = cases[name]
            runs[name].append(train(chosen.root, chosen.model, chosen.size, epochs, seed, tricks))
        if not seed:
            share = runs["progressive"][0].processor / runs["fixed"][0].processor
            fewer = max(1, round(share * chosen.epochs))
            runs["fixed, fewer epochs"].append(train(chosen.root, chosen.model, chosen.size, fewer, seed, {}))
            cases["fixed, fewer epochs"] = (fewer, {})
        print(f"{seed + 1} of {chosen.seeds} seeds; {conditions()}")
        summary(runs, {name: epochs for name, (epochs, _) in cases.items()})


if __name__ == "__main__":
    main()
