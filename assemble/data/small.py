"""Data sets of small images that fit into memory: CIFAR, SVHN and MNIST's, by torchvision's readers.

Their training images are padded and cropped as in He et al. 2015 (arXiv 1512.03385), section 4.2, where the split of
CIFAR-10 into 45,000 and 5,000 images comes from; of the others a tenth is validated on as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from assemble.atomic import alone
from assemble.data.splits import Arrays, Source
from assemble.data.torchvision_crops import pad_and_shift, resize
from assemble.data.train_share import share_of_each_class
from assemble.errors import UserError
from assemble.schema import Border, DataConfig

DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class Small:
    """What torchvision calls one of them."""

    kind: str
    """The class."""
    place: str
    """What it makes in its folder."""
    classes: tuple[str, ...] = ()
    """Their names, where torchvision has none, or others than `assemble.data.digits`."""


SETS = {
    "cifar10": Small("CIFAR10", "cifar-10-batches-py/"),
    "cifar100": Small("CIFAR100", "cifar-100-python/"),
    "svhn": Small("SVHN", "train_32x32.mat and test_32x32.mat", DIGITS),
    "mnist": Small("MNIST", "MNIST/raw/", DIGITS),
    "fashion_mnist": Small("FashionMNIST", "FashionMNIST/raw/"),
}


def open_small(cfg: DataConfig) -> Source:
    """Open the data set ``cfg.name`` in ``cfg.root``; a tenth of the training images, always the same, is to validate.

    With ``data.val_share=0`` none is held out, and the test images are validated on. ``cfg.download`` fetches what is
    not there.

    Raises:
        UserError: it is not there, not whole, or cannot be downloaded.
    """
    chosen = SETS[cfg.name]
    if not cfg.root:
        raise UserError(f"data={cfg.name} needs data.root=DIR, the folder that has, or shall have, {chosen.place}")
    root = Path(cfg.root).expanduser()
    if cfg.download:
        _download(chosen, root)
    try:
        train, test = (_part(chosen, root, train) for train in (True, False))
    except Exception as error:  # whatever the readers meet in files that are damaged
        raise UserError(
            f"data.root={cfg.root} has no whole {chosen.place}: remove what is there of it, and data.download=true "
            "fetches it"
        ) from error
    images, labels = _arrays(train)
    scored = Arrays(*_arrays(test))
    val, rest = _held_out(labels, cfg)
    return Source(
        classes=list(chosen.classes or train.classes),
        train=Arrays(images[rest], labels[rest]),
        val=Arrays(images[val], labels[val]) if len(val) else Arrays(scored.images, scored.labels),
        test=scored,
        train_crop=partial(pad_and_shift, pad=cfg.crop_pad, flip=cfg.flip, border=cfg.border or Border.zeros),
        eval_crop=partial(resize, size=cfg.scored_size),
    )


def _held_out(labels: np.ndarray, cfg: DataConfig) -> tuple[np.ndarray, np.ndarray]:
    """Return which images are to validate and which to train: a tenth, or what ``data.val_share`` asks for."""
    if cfg.val_share is None:
        order = np.random.default_rng(0).permutation(len(labels))
        val, rest = np.split(order, [len(order) // 10])
        return val, rest
    val = share_of_each_class(labels, cfg.val_share, cfg.val_share_seed) if cfg.val_share else np.array([], np.int64)
    return val, np.setdiff1d(np.arange(len(labels)), val)


def _part(chosen: Small, root: Path, train: bool, **more: Any) -> Any:
    import torchvision

    which = {"split": "train" if train else "test"} if chosen.kind == "SVHN" else {"train": train}
    return getattr(torchvision.datasets, chosen.kind)(root, **which, **more)


def _arrays(found: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return images uint8 (N, H, W, 3), or (N, H, W, 1) of grey ones, and labels (N,)."""
    images = np.asarray(found.data)
    if images.ndim == 3:
        images = images[..., None]
    elif images.shape[1] == 3:  # SVHN
        images = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
    return images, np.asarray(found.labels if hasattr(found, "labels") else found.targets)


def _download(chosen: Small, root: Path) -> None:
    """Download what is missing; of several processes one does, and the others find it there."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        with alone(root / f".{chosen.kind}.lock"):
            for train in (True, False):
                _part(chosen, root, train, download=True)
    except Exception as error:  # of the network, the archive or the disk
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"{chosen.place} cannot be downloaded into {root} ({reason}): try again, or put it there"
        ) from error
