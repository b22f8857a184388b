"""A data set that is drawn: stripes in four directions, with noise."""

from __future__ import annotations

from functools import partial

import numpy as np

from assemble.data.splits import Arrays, Source
from assemble.data.torchvision_crops import pad_and_shift, resize
from assemble.plugins import register_data
from assemble.schema import DataConfig

CLASSES = ["horizontal", "vertical", "falling", "rising"]


def draw(count: int, size: int, noise: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw images uint8 (count, size, size, 3), and their labels (count,)."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % len(CLASSES)
    y, x = np.mgrid[:size, :size]
    along = np.stack([y, x, y + x, y - x])[labels]  # (count, size, size)
    waves = np.sin(along * 1.2 + rng.uniform(0, 2 * np.pi, (count, 1, 1)))
    grey = 127 + 90 * waves + 255 * noise * rng.normal(size=waves.shape)
    return np.clip(grey, 0, 255).astype(np.uint8)[..., None].repeat(3, axis=3), labels


@register_data
def stripes(cfg: DataConfig, noise: float = 0.1, count: int = 256) -> Source:
    """Stripes in four directions, drawn: nothing to download."""
    train, val, test = (Arrays(*draw(n, cfg.image_size, noise, i)) for i, n in enumerate((count, 64, 64)))
    return Source(
        classes=CLASSES,
        train=train,
        val=val,
        test=test,
        train_crop=partial(pad_and_shift, pad=cfg.crop_pad, flip=0.0),
        eval_crop=partial(resize, size=cfg.scored_size),
    )
