"""Blurs. Each takes a uint8 image (H, W, C) and gives uint8, or floats, 1 for white, not yet clipped."""

from __future__ import annotations

import cv2
import numpy as np

from assemble.robustness.corruptions import filters
from assemble.robustness.corruptions.randomness import Random, integers


def gaussian_blur(x: np.ndarray, rng: Random, sigma: float) -> np.ndarray:
    """Apply a Gaussian filter."""
    return filters.gaussian(x / 255, sigma)


def defocus_blur(x: np.ndarray, rng: Random, radius: float, alias_blur: float) -> np.ndarray:
    """Take the mean over a disk of ``radius`` pixels, its rim softened by a small Gaussian of ``alias_blur`` pixels."""
    reach = max(8, round(radius))
    distance = np.arange(-reach, reach + 1)
    disk = (distance[:, None] ** 2 + distance**2 <= radius**2).astype(np.float32)
    disk /= disk.sum()
    disk = cv2.GaussianBlur(disk, (3, 3) if radius <= 8 else (5, 5), sigmaX=alias_blur)
    return cv2.filter2D(x / 255, -1, disk).reshape(x.shape)


def motion_blur(x: np.ndarray, rng: Random, radius: int, sigma: float) -> np.ndarray:
    """Blur along a trail of up to 2 * ``radius`` pixels in a direction within 45 degrees of the horizontal."""
    return filters.motion_blur(x, radius, sigma, rng.uniform(-45, 45))


def zoom_blur(x: np.ndarray, rng: Random, stop: float, step: float) -> np.ndarray:
    """Return the mean of the image and of zooms into its middle, from 1 to ``stop`` by ``step``."""
    x = (x / 255).astype(np.float32)
    factors = np.arange(1, stop, step)
    return (x + sum(filters.zoom(x, factor) for factor in factors)) / (len(factors) + 1)


def glass_blur(x: np.ndarray, rng: Random, sigma: float, reach: int, rounds: int) -> np.ndarray:
    """Blur by a Gaussian, put pixels in place of others at most ``reach`` away, ``rounds`` times, and blur again."""
    x = (filters.gaussian(x / 255, sigma) * 255).astype(np.uint8)
    for _ in range(rounds):
        x = _scatter(x, rng, reach)
    return filters.gaussian(x / 255, sigma)


def _scatter(x: np.ndarray, rng: Random, reach: int) -> np.ndarray:
    """Do one round of the glass: from bottom right to top left, each pixel becomes a copy of a random neighbour.

    The original means to swap the two, but its right side holds views of the image: the second assignment copies the
    new value back. A pixel gets what its neighbour has *at that moment*: its old value if the neighbour comes later in
    the order, else the value that it was given before, which came from a neighbour in turn. Such chains always lead
    towards the bottom right. All are followed at once, in steps that double: a chain of n pixels takes log2(n) steps.
    """
    height, width = x.shape[:2]
    rows = np.arange(height - reach, reach, -1)
    columns = np.arange(width - reach, reach, -1)
    moves = integers(rng, -reach, reach, (len(rows), len(columns), 2))
    place = np.arange(height * width).reshape(height, width)
    source = place.copy()
    source[rows[:, None], columns] += moves[..., 1] * width + moves[..., 0]
    source, place = source.ravel(), place.ravel()
    open_chain = source > place  # the neighbour comes first; the border, never given a value, is its own source
    while (unfinished := np.flatnonzero(open_chain)).size:
        following = source[unfinished]
        source[unfinished], open_chain[unfinished] = source[following], open_chain[following]
    return x.reshape(height * width, -1)[source].reshape(x.shape)
