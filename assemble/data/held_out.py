"""Which of the training images are validated on: those of val/, a share of each class, or one of several folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from assemble.data.crops import crops
from assemble.data.image_files import ImageFiles
from assemble.data.splits import Source, Split
from assemble.data.train_share import Subset, share_of_each_class
from assemble.errors import UserError, require
from assemble.schema import DataConfig


def from_train(cfg: DataConfig) -> bool:
    """Return whether validation images are taken out of the training images.

    Raises:
        UserError: in two ways at once.
    """
    require(
        (
            cfg.val_share is None or cfg.folds is None,
            f"data.val_share={cfg.val_share} and data.folds={cfg.folds} both say which images are validated on: "
            "set one of them to null",
        ),
        (cfg.val_share != 0, "data.val_share=0 leaves no images to validate on: choose a share, or leave it out"),
    )
    return cfg.val_share is not None or cfg.folds is not None


def parted(classes: Sequence[str], images: Mapping[str, ImageFiles], cfg: DataConfig) -> Source:
    """Make a data set of the images of train, val and perhaps test (without it, test is val).

    With ``data.val_share`` the validation images are that share of train's; what is scored is test, or val, and where
    there is neither, the same share. With ``data.folds`` the same goes for a fold, which `folded` takes out: until
    then it is all of train, so that all folds are of one data set.
    """
    train: Split = images["train"]
    if not from_train(cfg):
        val: Split = images["val"]
        test: Split = images.get("test", val)
    else:
        val = train
        if cfg.val_share is not None:
            held_out = share_of_each_class(train.labels, cfg.val_share, cfg.val_share_seed)
            train, val = _without(train, held_out), Subset(train, held_out)
        test = images.get("test") or images.get("val") or val
    return Source(list(classes), train, val, test, *crops(cfg), tuple(images.values()))


def folds_of(labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Deal images to folds, class by class: labels (N,) -> the fold of each (N,).

    The folds' sizes differ by one at most, and so do the numbers of images that a class has in them.
    """
    order = np.lexsort((np.random.default_rng(seed).permutation(len(labels)), labels))
    fold = np.empty(len(labels), np.int64)
    fold[order] = np.arange(len(labels)) % folds
    return fold


def folded(source: Source, cfg: DataConfig) -> Source:
    """Return the data set with the images of fold ``cfg.fold`` to validate, and to train on those of the others.

    The fold is scored as well, where there are no other images for that.

    Raises:
        UserError: there is no such fold, or a class has no images outside of it.
    """
    require(
        (
            cfg.fold is None or cfg.folds is not None,
            f"data.fold={cfg.fold} is one of how many? Set data.folds, or leave data.fold out",
        ),
        (
            cfg.folds is None or cfg.fold is not None,
            f"data.folds={cfg.folds} needs data.fold=0 to {(cfg.folds or 0) - 1}: one of them, or a sweep of all, "
            f"python train.py -m data.fold={','.join(map(str, range(min(cfg.folds or 0, 10))))}",
        ),
    )
    if cfg.folds is None or cfg.fold is None:
        return source
    from_train(cfg)  # refuses both
    labels = source.train.labels
    require(
        (cfg.fold < cfg.folds, f"data.fold={cfg.fold} is none of the folds 0 to {cfg.folds - 1} of data.folds"),
        (cfg.folds <= len(labels), f"data.folds={cfg.folds} is more than the {len(labels)} training images: lower it"),
    )
    chosen = np.flatnonzero(folds_of(labels, cfg.folds, cfg.fold_seed) == cfg.fold)
    train, fold = _without(source.train, chosen), Subset(source.train, chosen)
    for label in np.setdiff1d(labels, train.labels):
        raise UserError(
            f"the class {source.classes[label]} has one training image, which fold {cfg.fold} validates on: add others"
        )
    return replace(source, train=train, val=fold, test=fold if source.test is source.train else source.test)


def _without(split: Split, positions: np.ndarray) -> Subset:
    return Subset(split, np.setdiff1d(np.arange(len(split.labels)), positions))
