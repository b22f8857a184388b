"""The data sets of fine-grained classification that Assemble-ResNet is fine-tuned on (arXiv 2001.06268, Table 14).

torchvision knows their files, splits and labels, and where they are downloaded; the images go through our own
pipeline. The splits are the paper's: all that is not for testing is trained on. So no images are left to choose by,
and the test images are also those that are validated on: an epoch chosen by that (``eval.weights=best``) is scored
on what chose it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assemble.atomic import alone
from assemble.data.crops import crops
from assemble.data.image_files import ImageFiles
from assemble.data.scan import entries
from assemble.data.splits import Source
from assemble.errors import UserError
from assemble.schema import DataConfig


@dataclass(frozen=True)
class Benchmark:
    """What torchvision calls one of them and its parts."""

    kind: str  # the class
    folder: str  # in data.root
    train: tuple[str, ...]  # the splits that make up the paper's training set
    files: str = "_image_files"  # where the object keeps the paths; labels are in _labels
    lost: str = ""  # why torchvision cannot download it, and what to do


SETS = {
    "food101": Benchmark("Food101", "food-101", ("train",)),
    "stanford_cars": Benchmark(
        "StanfordCars",
        "stanford_cars",
        ("train",),
        files="_samples",
        lost="its own site is gone, and github.com/pytorch/vision/issues/7545 says where copies are: put cars_train/, "
        "cars_test/, devkit/ and cars_test_annos_withlabels.mat there",
    ),
    "flowers102": Benchmark("Flowers102", "flowers-102", ("train", "val")),
    "fgvc_aircraft": Benchmark("FGVCAircraft", "fgvc-aircraft-2013b", ("trainval",)),
    "oxford_pets": Benchmark("OxfordIIITPet", "oxford-iiit-pet", ("trainval",), files="_images"),
}


def open_fgvc(cfg: DataConfig) -> Source:
    """Open the data set ``cfg.name`` in the folder ``cfg.root``; ``cfg.download`` fetches it where it is not there.

    Raises:
        UserError: it is not there, not whole, or cannot be downloaded.
    """
    chosen = SETS[cfg.name]
    if not cfg.root:
        raise UserError(f"data={cfg.name} needs data.root=DIR: the folder in which {chosen.folder}/ is, or shall be")
    root = Path(cfg.root).expanduser().absolute()
    train_crop, eval_crop = crops(cfg)
    if cfg.download and not chosen.lost:
        _download(chosen, root)
    if not (root / chosen.folder).is_dir():
        remedy = chosen.lost or "data.download=true fetches it"
        raise UserError(f"data={cfg.name}: there is no {root / chosen.folder}: {remedy}")
    try:
        train = [_split(chosen, root, name) for name in chosen.train]
        test = _split(chosen, root, "test")
    except Exception as error:  # whatever the parsers of lists, JSON and MATLAB files meet
        raise UserError(f"{root / chosen.folder} cannot be read ({_reason(error)}): {_again(chosen)}") from error
    trained_on, scored = _images(chosen, root, train, "train", cfg), _images(chosen, root, [test], "test", cfg)
    # Flowers102 has no names before torchvision 0.21.
    classes = getattr(train[0], "classes", None) or [str(label) for label in range(1 + max(train[0]._labels))]
    return Source(list(classes), trained_on, scored, scored, train_crop, eval_crop, (trained_on, scored))


def _split(chosen: Benchmark, root: Path, name: str, **more: Any) -> Any:
    """Return torchvision's object of a split, which opens no image."""
    import torchvision

    return getattr(torchvision.datasets, chosen.kind)(root, name, **more)


def _reason(error: Exception) -> str:
    """Return the error's message without torchvision's advice for Python programmers."""
    return " ".join(str(error).split()).partition(" You can use download")[0].rstrip(".") or type(error).__name__


def _again(chosen: Benchmark) -> str:
    return "put back what is missing" if chosen.lost else "remove that folder, and data.download=true fetches it again"


def _images(chosen: Benchmark, root: Path, splits: Sequence[Any], name: str, cfg: DataConfig) -> ImageFiles:
    """Return the images of some splits, all of which must be there."""
    if chosen.files == "_samples":  # pairs
        listed = [pair for found in splits for pair in found._samples]
    else:
        listed = [pair for found in splits for pair in zip(getattr(found, chosen.files), found._labels, strict=True)]
    start = len(str(root / "_")) - 1
    files = [str(file)[start:] for file, _ in listed]
    # Folder by folder: asking for 100,000 files one by one takes seconds.
    folders = sorted({file.rpartition("/")[0] for file in files})
    there = {f"{folder}/{e.name}" for folder in folders if (root / folder).is_dir() for e in entries(root / folder)}
    missing = [file for file in files if file not in there]
    if missing:
        more = f" and {len(missing) - 1:,} more are" if len(missing) > 1 else " is"
        raise UserError(f"{root / chosen.folder} is not whole: {missing[0]}{more} missing: {_again(chosen)}")
    labels = [int(label) for _, label in listed]
    return ImageFiles(root, [os.fsencode(file) for file in files], labels, name=name).as_asked(cfg)


def _download(chosen: Benchmark, root: Path) -> None:
    """Download all of the data set or nothing: torchvision takes a folder that was unpacked in part for whole."""
    folder, aside = root / chosen.folder, root / f".{chosen.folder}.part"
    root.mkdir(parents=True, exist_ok=True)
    with alone(root / f".{chosen.folder}.lock"):
        if folder.is_dir():
            return
        shutil.rmtree(aside / chosen.folder, ignore_errors=True)
        try:
            _split(chosen, aside, "test", download=True)
        except Exception as error:  # of the network, the archive or the disk
            raise UserError(f"{folder} cannot be downloaded ({_reason(error)}): try again, or put it there") from error
        (aside / chosen.folder).replace(folder)
        shutil.rmtree(aside)
