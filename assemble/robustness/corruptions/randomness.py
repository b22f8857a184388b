"""Generators, new or legacy.

The original draws from numpy's global ``np.random``. Every corruption here makes the same draws, in the same order and
of the same shapes, from the generator that it is given. With ``np.random.RandomState(seed)`` it gives what the original
gives after ``np.random.seed(seed)``: where the original leaves salt and pepper to scikit-image, that of scikit-image
before 0.19, which drew from there too.
"""

from __future__ import annotations

import numpy as np

Random = np.random.Generator | np.random.RandomState


def integers(rng: Random, low: int, high: int, size: tuple[int, ...] | None = None) -> np.ndarray:
    """Draw whole numbers from ``low`` up to, not including, ``high``."""
    draw = rng.randint if isinstance(rng, np.random.RandomState) else rng.integers
    return np.asarray(draw(low, high, size=size))
