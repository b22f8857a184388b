"""CIFAR-10, by torchvision's reader, which knows the files by their check sums."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from assemble.data.splits import Arrays, Source
from assemble.data.torchvision_crops import pad_and_shift, resize
from assemble.errors import UserError
from assemble.schema import DataConfig


def open_cifar10(cfg: DataConfig) -> Source:
    """Open the data set in ``cfg.root``; a tenth of the training images, always the same, is to validate.

    With the pad-and-crop of He et al. 2015 (arXiv 1512.03385), section 4.2, where these 45,000 and 5,000 come from.

    Raises:
        UserError: it is not there, or not whole.
    """
    if not cfg.root:
        raise UserError("data=cifar10 needs data.root=DIR, the folder that has cifar-10-batches-py/")
    from torchvision.datasets import CIFAR10

    try:
        train, test = (CIFAR10(Path(cfg.root).expanduser(), train=part) for part in (True, False))
    except RuntimeError:
        raise UserError(
            f"data.root={cfg.root} has no whole cifar-10-batches-py/ folder: unpack cifar-10-python.tar.gz there, from "
            f"{CIFAR10.url}"
        ) from None
    labels, order = np.array(train.targets), np.random.default_rng(0).permutation(len(train))
    val, rest = np.split(order, [len(order) // 10])
    return Source(
        classes=list(train.classes),
        train=Arrays(train.data[rest], labels[rest]),
        val=Arrays(train.data[val], labels[val]),
        test=Arrays(test.data, np.array(test.targets)),
        train_crop=partial(pad_and_shift, pad=cfg.crop_pad, flip=cfg.flip, zeros=True),
        eval_crop=partial(resize, size=cfg.scored_size),
    )
