"""Weather. Each takes a uint8 image (H, W, C) and gives uint8, or floats, 1 for white, not yet clipped."""

from __future__ import annotations

import cv2
import numpy as np

from assemble.robustness.corruptions import filters
from assemble.robustness.corruptions.randomness import Random, integers
from assemble.robustness.corruptions.textures import DRAWN, Textures

WATER = np.array([175, 238, 238]) / 255
"""Pale turquoise, RGB."""
MUD = np.array([63, 42, 20]) / 255
"""Brown, RGB."""
GREY = np.array([0.299, 0.587, 0.114])
"""What red, green and blue weigh in grey."""


def snow(
    x: np.ndarray,
    rng: Random,
    mean: float,
    scale: float,
    zoom: float,
    threshold: float,
    radius: int,
    sigma: float,
    blend: float,
) -> np.ndarray:
    """Draw flakes in motion, once as they are and once turned by 180 degrees, on a whitened image.

    Flakes are normal noise, enlarged ``zoom`` times, where above ``threshold``. The share 1 - ``blend`` of the image
    is whitened.
    """
    x = x.astype(np.float32) / 255
    flakes = filters.zoom(rng.normal(size=x.shape[:2], loc=mean, scale=scale)[..., None], zoom)
    flakes[flakes < threshold] = 0
    flakes = (flakes.clip(0, 1) * 255).astype(np.uint8)
    flakes = filters.motion_blur(flakes, radius, sigma, rng.uniform(-135, -45)) / 255
    grey = cv2.cvtColor(x, cv2.COLOR_RGB2GRAY)[..., None] if x.shape[2] == 3 else x
    x = blend * x + (1 - blend) * np.maximum(x, grey * 1.5 + 0.5)
    return x + flakes + np.rot90(flakes, 2)


def frost(
    x: np.ndarray, rng: Random, image_weight: float, frost_weight: float, scale: float, *, textures: Textures
) -> np.ndarray:
    """Blend in a random part of one of the first five ``textures``; the original names six and never draws the last."""
    height, width, channels = x.shape
    texture = textures.at_least(int(integers(rng, 0, DRAWN)), scale, height, width)
    top = int(integers(rng, 0, texture.shape[0] - height))
    left = int(integers(rng, 0, texture.shape[1] - width))
    ice = texture[top : top + height, left : left + width]
    if channels == 1:
        ice = cv2.cvtColor(ice, cv2.COLOR_RGB2GRAY)[..., None]
    return (image_weight * x + frost_weight * ice).clip(0, 255).astype(np.uint8)


def fog(x: np.ndarray, rng: Random, strength: float, decay: float) -> np.ndarray:
    """Add a plasma fractal; the brightest value stays what it was."""
    x = x / 255
    height, width = x.shape[:2]
    white = x.max()
    x += strength * plasma(1 << (max(height, width) - 1).bit_length(), decay, rng)[:height, :width, None]
    return x * white / (white + strength)


def plasma(size: int, decay: float, rng: Random) -> np.ndarray:
    """Make a height map (size, size), 0 to 1, by the diamond-square algorithm on a torus; ``size`` is a power of two.

    Each new point is the mean of its four neighbours and a random shift, which falls by ``decay`` from scale to scale.
    """
    heights = np.zeros((size, size))
    step, wibble = size, 100.0

    def shifted(total: np.ndarray) -> np.ndarray:
        return total / 4 + wibble * rng.uniform(-wibble, wibble, total.shape)

    while step >= 2:
        half = step // 2
        corners = heights[::step, ::step]
        pairs = corners + np.roll(corners, -1, 0)
        middles = heights[half::step, half::step]
        middles[:] = shifted(pairs + np.roll(pairs, -1, 1))
        # Between two corners beside each other, with the middles above and below; then the same upright.
        beside = (middles + np.roll(middles, 1, 0)) + (corners + np.roll(corners, -1, 1))
        heights[::step, half::step] = shifted(beside)
        upright = (middles + np.roll(middles, 1, 1)) + (corners + np.roll(corners, -1, 0))
        heights[half::step, ::step] = shifted(upright)
        step, wibble = half, wibble / decay
    heights -= heights.min()
    return heights / heights.max()


def spatter(
    x: np.ndarray, rng: Random, mean: float, scale: float, sigma: float, threshold: float, amount: float, liquid: str
) -> np.ndarray:
    """Add drops of ``liquid``, "water" or "mud", where Gaussian-blurred normal noise is above ``threshold``.

    ``amount`` is the weight of the brightest water, and the sigma in pixels by which mud is blurred.
    """
    x = x.astype(np.float32) / 255
    layer = filters.gaussian(rng.normal(size=x.shape[:2], loc=mean, scale=scale), sigma)
    layer[layer < threshold] = 0
    if liquid == "water":
        return x + _glitter(layer, amount)[..., None] * _colour(WATER, x)
    cover = filters.gaussian((layer > threshold).astype(np.float32), amount)[..., None]
    cover[cover < 0.8] = 0
    return x * (1 - cover) + cover * _colour(MUD, x)


def _colour(rgb: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return ``rgb`` with as many channels as the image has, float32."""
    return (rgb if x.shape[2] == 3 else GREY @ rgb[:, None]).astype(np.float32)


def _glitter(layer: np.ndarray, amount: float) -> np.ndarray:
    """Return the light that water drops add, float32 (H, W) up to ``amount``: most some way off edges, in relief."""
    drops = (layer * 255).astype(np.int64).astype(np.uint8)  # what is above 1 wraps around, as in the original
    depth = cv2.distanceTransform(255 - cv2.Canny(drops, 50, 150), cv2.DIST_L2, 5)
    depth = cv2.blur(np.minimum(depth, 20), (3, 3)).astype(np.uint8)
    relief = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])
    depth = cv2.filter2D(cv2.equalizeHist(depth), cv2.CV_8U, relief)
    light = drops * cv2.blur(depth, (3, 3)).astype(np.float32)
    brightest = light.max()
    return light / brightest * amount if brightest > 0 else light
