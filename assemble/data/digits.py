"""Scikit-learn's handwritten digits, which come along with it: the data of a first run."""

from __future__ import annotations

import gzip
import importlib.util
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from assemble.data.splits import Crop, Source, digest_of
from assemble.data.torchvision_crops import pad_and_shift, resize
from assemble.schema import Border, DataConfig


class Digits:
    """Some of scikit-learn's 8x8 digits (values 0 to 16), enlarged bilinearly, as three equal channels."""

    def __init__(self, chosen: np.ndarray, size: int) -> None:
        images, labels = read_digits()
        grey = np.round(images[chosen] * (255 / 16)).astype(np.uint8)
        enlarged = [Image.fromarray(g).resize((size, size), Image.Resampling.BILINEAR) for g in grey]
        self.images = np.stack([np.asarray(e) for e in enlarged])[..., None]  # (N, size, size, 1)
        self.grey, self.labels = grey, labels[chosen]

    def load(self, index: int, crop: Crop) -> np.ndarray:
        return crop(self.images[index].repeat(3, axis=2))

    def digest(self) -> str:
        return digest_of(self.grey, self.labels)


def read_digits() -> tuple[np.ndarray, np.ndarray]:
    """Read images (1797, 8, 8) and labels (1797,), the same as ``sklearn.datasets.load_digits``.

    Read from the file that scikit-learn ships: importing scikit-learn takes a second, this 30 milliseconds.
    """
    package = importlib.util.find_spec("sklearn")
    folders = (package.submodule_search_locations if package else None) or []
    for file in (Path(folder) / "datasets" / "data" / "digits.csv.gz" for folder in folders):
        if file.is_file():
            with gzip.open(file, "rt", encoding="ascii") as lines:
                table = np.loadtxt(lines, delimiter=",", dtype=np.int64)
            return table[:, :-1].reshape(-1, 8, 8).astype(np.float64), table[:, -1]
    from sklearn.datasets import load_digits  # the file is elsewhere in this version

    images, labels = load_digits(return_X_y=True)
    return np.asarray(images).reshape(-1, 8, 8), np.asarray(labels, dtype=np.int64)


def split_digits(labels: np.ndarray, held_out: int = 300) -> dict[str, np.ndarray]:
    """Return indices of the splits: ``held_out`` each for val and test, stratified, the same for every run.

    Sorted by class (shuffled within), the images fall into ``held_out`` runs of equal length; each run gives its
    first to val and its second to test, so every class is represented in proportion.
    """
    n = len(labels)
    order = np.lexsort((np.random.default_rng(0).permutation(n), labels))
    run = np.arange(n) * held_out // n
    place = np.arange(n) - np.searchsorted(run, run)
    return {"train": order[place > 1], "val": order[place == 0], "test": order[place == 1]}


def digits(cfg: DataConfig) -> Source:
    """Open scikit-learn's handwritten digits: 1,197 to train, 300 to validate, 300 to test."""
    images = {name: Digits(chosen, cfg.image_size) for name, chosen in split_digits(read_digits()[1]).items()}
    return Source(
        classes=[str(c) for c in range(10)],
        train=images["train"],
        val=images["val"],
        test=images["test"],
        train_crop=partial(pad_and_shift, pad=cfg.crop_pad, flip=cfg.flip, border=cfg.border or Border.edge),
        eval_crop=partial(resize, size=cfg.scored_size),
    )
