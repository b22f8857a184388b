"""AutoAugment's ImageNet policy on one core, ours against timm and torchvision: images of 224x224 a second.

    python benchmarks/augment.py [--rounds 15] [--images 256]

Ours goes from array to array, theirs from PIL image to PIL image, so that nobody pays for a conversion. timm comes as
it is (bilinear or bicubic) and with the nearest pixel, which the others take. Every round draws sub-policies anew. The
ratio is ours with official strengths over the other, round by round: above 1, ours is faster.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from timm.data.auto_augment import auto_augment_transform
from torchvision.transforms import AutoAugment as TorchvisionAutoAugment

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from assemble.paired import conditions, interleave, ratios, spread  # noqa: E402
from tricks import create  # noqa: E402


def photographs(n: int, side: int = 224) -> list[np.ndarray]:
    """Smooth images with a little noise, uint8 (side, side, 3)."""
    rng = np.random.default_rng(0)
    images = []
    for _ in range(n):
        coarse = Image.fromarray(rng.integers(0, 256, (7, 7, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC)).astype(np.float32)
        images.append((smooth + rng.normal(0, 6, smooth.shape)).clip(0, 255).astype(np.uint8))
    return images


def once(augment: Callable[[Any], Any], images: Sequence[Any]) -> float:
    """Images a second of processor time, whatever else runs."""
    start = time.process_time()
    for image in images:
        augment(image)
    return len(images) / (time.process_time() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--images", type=int, default=256)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    random.seed(0)
    rng = np.random.default_rng(0)
    arrays = photographs(arguments.images)
    images = [Image.fromarray(array) for array in arrays]
    (official,) = create({"autoaugment": {}})
    (paper,) = create({"autoaugment": {"strengths": "paper"}})
    cases = {
        "ours, official": partial(once, lambda image: official.augment(image, rng), arrays),
        "ours, paper": partial(once, lambda image: paper.augment(image, rng), arrays),
        "torchvision": partial(once, TorchvisionAutoAugment(), images),
        "timm, nearest": partial(
            once, auto_augment_transform("original", {"interpolation": Image.Resampling.NEAREST}), images
        ),
        "timm": partial(once, auto_augment_transform("original", {}), images),
    }
    print(f"{conditions()}; images a second, median (min-max), and ours, official over it")
    interleave(cases, 1)
    speeds = interleave(cases, arguments.rounds)
    for name, values in speeds.items():
        print(f"  {name:15} {spread(values, 0):32} {spread(ratios(speeds['ours, official'], values), 2)}")
    print(conditions())


if __name__ == "__main__":
    main()
