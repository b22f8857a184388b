"""A share of the training images: what a search trains its candidates on, as AutoAugment's does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from assemble.data.splits import Crop, Source, Split, digest_of
from assemble.schema import DataConfig


class Subset:
    """Some images of a split, by their positions there (N,)."""

    def __init__(self, split: Split, chosen: np.ndarray) -> None:
        self.split, self.chosen = split, chosen
        self.labels = split.labels[chosen]

    def load(self, index: int, crop: Crop) -> np.ndarray:
        return self.split.load(int(self.chosen[index]), crop)

    def digest(self) -> str:
        return digest_of(self.chosen, np.frombuffer(self.split.digest().encode(), np.uint8))


def share_of_each_class(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Return rising positions of ``share`` of each class's images, rounded, at least one.

    A larger share with the same seed has those of a smaller one, too.
    """
    order = np.lexsort((np.random.default_rng(seed).permutation(len(labels)), labels))
    _, first, counts = np.unique(labels[order], return_index=True, return_counts=True)
    kept = np.maximum(1, np.floor(share * counts + 0.5)).astype(int)
    return np.sort(np.concatenate([order[start : start + n] for start, n in zip(first, kept, strict=True)]))


def reduced(source: Source, cfg: DataConfig) -> Source:
    """Return the whole data set with those images to train on that ``cfg.train_share`` chooses."""
    if cfg.train_share == 1:
        return source
    return replace(source, train=Subset(source.train, _chosen(source, cfg)))


def left_out(source: Source, cfg: DataConfig) -> Subset:
    """Return, of the whole data set, those images to train on that ``cfg.train_share`` does not choose."""
    return Subset(source.train, np.setdiff1d(np.arange(len(source.train.labels)), _chosen(source, cfg)))


def _chosen(source: Source, cfg: DataConfig) -> np.ndarray:
    return share_of_each_class(source.train.labels, cfg.train_share, cfg.train_share_seed)
