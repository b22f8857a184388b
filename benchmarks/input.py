"""Images per second and core of the training input pipeline, against torchvision's on PIL images.

Both read the same JPEG files of 500x375 pixels (scikit-learn's two sample photographs, differently cut), decode, crop,
flip and collate batches of 64, each in a process of its own, as in training, on one thread (processor time is told);
with ``--augment``, AutoAugment's ImageNet policy between. Torchvision's also turns images into floats and normalises
them, as is usual; ours leave as uint8 and are normalised on the device. ``decoding`` is libjpeg-turbo's part of both.

    python benchmarks/input.py [--augment] [--small]

``--small``: 48x48 PNG files, 60 % crops and more, as of a folder of icons; no contract.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import datasets
from torchvision.transforms import AutoAugment, Compose, Normalize, RandomHorizontalFlip, RandomResizedCrop, ToTensor

import tricks
from assemble.data.decode import ImageFile
from assemble.data.sampler import EpochSampler
from assemble.memory import keep_freed
from assemble.paired import conditions, interleave, ratios, spread, verdict
from assemble.schema import DataConfig, Preprocessing
from lit_modules.datamodule import ClassifierData
from tricks.base import TRICKS, DataTrick

BATCH = 64
OURS = [preprocessing.value for preprocessing in Preprocessing]
PIL, DECODING = "PIL", "decoding"


def write_images(root: Path, size: tuple[int, int], ending: str) -> None:
    """Two batches of different cuts of photographs, in two classes."""
    package = find_spec("sklearn")
    assert package is not None
    assert package.submodule_search_locations is not None
    photos = [Path(package.submodule_search_locations[0], "datasets", "images", n) for n in ("china.jpg", "flower.jpg")]
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for photo in photos:
            folder = root / split / photo.stem
            folder.mkdir(parents=True)
            with Image.open(photo) as image:
                for i in range(BATCH if split == "train" else 1):
                    left, top = rng.integers(0, 128), rng.integers(0, 85)
                    cut = image.resize(size, Image.Resampling.LANCZOS, box=(left, top, left + 512, top + 342))
                    cut.save(folder / f"{i}{ending}", **({"quality": 90} if ending == ".jpg" else {}))


def augmentation() -> DataTrick:
    """The trick, whose default policy is torchvision's as well."""
    tricks.load()
    trick = TRICKS["autoaugment"]()
    assert isinstance(trick, DataTrick)
    return trick


def timed(epoch: Callable[[], int]) -> float:
    """Per image, of what returns how many there were."""
    start = time.process_time()
    count = epoch()
    return (time.process_time() - start) / count


def seconds(loader: DataLoader) -> float:
    """Per image, over one epoch; of ours the next one, so that rounds differ in what is drawn."""
    if isinstance(loader.sampler, EpochSampler):
        loader.sampler.set_epoch(loader.sampler.epoch + 1)
    return timed(lambda: sum(len(images) for images, *_ in loader))


def ours(root: Path, chosen: list[DataTrick], changes: dict[str, Any], preprocessing: Preprocessing) -> DataLoader:
    cfg = DataConfig(name="imagefolder", root=str(root), num_workers=0, preprocessing=preprocessing, **changes)
    return ClassifierData(cfg, micro_batch=BATCH, tricks=chosen).train_dataloader()


def torchvisions(root: Path, augment: list, size: int, scale: tuple[float, float]) -> DataLoader:
    normalise = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    transform = Compose([RandomResizedCrop(size, scale), RandomHorizontalFlip(), *augment, ToTensor(), normalise])
    return DataLoader(datasets.ImageFolder(str(root / "train"), transform), BATCH, shuffle=True)


def pipeline(name: str, root: Path, augment: bool, size: int, scale: tuple[float, float]) -> Callable[[], float]:
    """Return what takes the processor time of an image, over one epoch."""
    if name == PIL:
        return partial(seconds, torchvisions(root, [AutoAugment()] if augment else [], size, scale))
    changes = {"image_size": size, "crop_scale": scale}
    if name != DECODING:
        keep_freed()  # as train.py does
        return partial(seconds, ours(root, [augmentation()] if augment else [], changes, Preprocessing(name)))
    files = sorted((root / "train").rglob("?*.*"))
    return partial(timed, lambda: sum(ImageFile.read(file).decode().size > 0 for file in files))


def serve(asked: Connection, *case: Any) -> None:
    """Answer every message with the time of an image, in a process that has nothing but this pipeline."""
    torch.set_num_threads(1)
    measure = pipeline(*case)
    with suppress(EOFError):  # no more rounds
        while asked.recv():
            asked.send(measure())


def ask(case: Connection) -> float:
    case.send(True)
    return case.recv()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--augment", action="store_true")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    size, scale = (48, (0.6, 1.0)) if args.small else (224, (0.08, 1.0))
    print(conditions())
    processes, cases = get_context("spawn"), {}
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder), *(((48, 48), ".png") if args.small else ((500, 375), ".jpg")))
        for name in (*OURS, PIL, DECODING):
            cases[name], theirs = processes.Pipe()
            case = (theirs, name, Path(folder), args.augment, size, scale)
            processes.Process(target=serve, args=case, daemon=True).start()
        taken = interleave({name: partial(ask, case) for name, case in cases.items()}, args.rounds + 1)
    taken = {name: values[1:] for name, values in taken.items()}  # the first round warms up
    for name, values in taken.items():
        print(f"{name:12s} {spread([1e6 * v for v in values], 0)} microseconds for an image")
    for name in OURS:
        faster = ratios(taken[PIL], taken[name])
        print(f"{name} over torchvision on PIL images: {spread(faster, 2)} times as fast")
        if args.augment and not args.small:
            verdict(f"time of {name} over PIL's", float(np.median([1 / f for f in faster])), 1 / 2.5)
    print(conditions())


if __name__ == "__main__":
    main()
