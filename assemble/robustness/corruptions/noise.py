"""Noise. Each takes a uint8 image (H, W, C) and gives floats, 1 for white, not yet clipped."""

from __future__ import annotations

import numpy as np

from assemble.robustness.corruptions.randomness import Random


def gaussian_noise(x: np.ndarray, rng: Random, scale: float) -> np.ndarray:
    """Add normal noise of standard deviation ``scale``."""
    return x / 255 + rng.normal(size=x.shape, scale=scale)


def shot_noise(x: np.ndarray, rng: Random, photons: float) -> np.ndarray:
    """Apply Poisson noise, with ``photons`` expected at white."""
    return rng.poisson(x / 255 * photons) / photons


def impulse_noise(x: np.ndarray, rng: Random, amount: float) -> np.ndarray:
    """Turn a share ``amount`` of all values (each channel of a pixel by itself) white or black, half each.

    scikit-image's salt and pepper: one uniform number for each value decides whether, a second one which.
    """
    hit = rng.random(x.shape) < amount
    white = rng.random(x.shape) < 0.5
    return np.where(hit, white, x / 255)


def speckle_noise(x: np.ndarray, rng: Random, scale: float) -> np.ndarray:
    """Add normal noise of standard deviation ``scale`` times the value."""
    x = x / 255
    return x + x * rng.normal(size=x.shape, scale=scale)
