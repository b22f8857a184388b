"""Density matching: how well a network recognises augmented images, knowing neither the images nor augmentation.

Paper: Lim et al. 2019, Fast AutoAugment (arXiv 1905.00397), section 3: where it does, augmented images lie where the
data lies, and nothing need be trained to see it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from assemble.data.sources import open_source
from assemble.data.splits import TrainSet
from assemble.data.train_share import left_out
from assemble.devices import device_of
from assemble.schema import Config
from assemble.scoring.accuracy import score
from assemble.scoring.predictor import Loading, Predictor
from assemble.scoring.trained import open_trained

if TYPE_CHECKING:
    from tricks.base import DataTrick


class Child:
    """The network of a finished run, and the images that ``data.train_share`` kept from it.

    Args:
        cfg: the run's configuration, with a share below 1.
        checkpoint: its weights.
    """

    def __init__(self, cfg: Config, checkpoint: Path) -> None:
        self._cfg = cfg.data
        whole = open_source(replace(cfg.data, train_share=1.0))
        self._kept, self._crop = left_out(whole, cfg.data), whole.train_crop
        device = device_of(cfg.trainer.accelerator)
        self._predict = Predictor(open_trained(str(checkpoint), cfg.data.image_size), device)
        self._load = Loading(cfg.eval.batch_size or cfg.data.batch_size, cfg.data.num_workers, device)

    def top1(self, trick: DataTrick, seed: int) -> float:
        """Return the accuracy in % on those images, each cropped as in training and then augmented once."""
        augmented = TrainSet(self._kept, self._crop, self._cfg.image_size, tricks=[trick], seed=seed)
        outputs, offset = self._predict.trained.classes, self._cfg.label_offset
        return score(self._predict, self._load(_Once(augmented)), outputs, offset).metrics["top1"]


class _Once:
    """Each image as in the first epoch, with its label."""

    def __init__(self, images: TrainSet) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return self.images[0, 0, index][:2]
