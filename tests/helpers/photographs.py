"""The photographs and textures that the tests of corruptions share."""

import numpy as np
from sklearn.datasets import load_sample_image

from assemble.robustness.corruptions import CORRUPTIONS, EXTRA
from assemble.robustness.corruptions.textures import DRAWN, Textures

ALL = CORRUPTIONS + EXTRA
CHINA, FLOWER = load_sample_image("china.jpg"), load_sample_image("flower.jpg")
NOISE = Textures(tuple(np.random.RandomState(0).randint(0, 256, (DRAWN, 300, 320, 3)).astype(np.uint8)), "test", False)
"""In the place of frost."""


def photograph(side: int = 224) -> np.ndarray:
    """A part of a real one with sky, roof and trees."""
    return CHINA[100 : 100 + side, 250 : 250 + side]


def apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Grey levels between two images."""
    return np.abs(a.astype(int) - b.astype(int))
