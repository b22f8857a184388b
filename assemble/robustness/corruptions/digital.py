"""Colour, geometry and coding. Each takes a uint8 image (H, W, C) and gives uint8, or floats, 1 for white."""

from __future__ import annotations

from functools import lru_cache, reduce
from io import BytesIO

import cv2
import numpy as np
from PIL import Image

from assemble.robustness.corruptions.filters import between
from assemble.robustness.corruptions.randomness import Random


def brightness(x: np.ndarray, rng: Random, shift: float) -> np.ndarray:
    """Add ``shift`` to the value of HSV."""
    value, saturation, depth = _hsv(x)
    return (value + shift).clip(0, 1) * (1 - saturation * depth)


def saturate(x: np.ndarray, rng: Random, factor: float, shift: float) -> np.ndarray:
    """Multiply and shift the saturation of HSV; grey pixels turn red under a shift: their hue is 0.

    A grey image has no saturation and stays as it is.
    """
    if x.shape[2] == 1:
        return x
    value, saturation, depth = _hsv(x)
    return value * (1 - (saturation * factor + shift).clip(0, 1) * depth)


def _hsv(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return value, saturation (H, W, 1) of HSV, ``depth`` (H, W, C): value * (1 - saturation * depth) is the image.

    Depth stands for the hue. It says where each channel lies between the largest (0) and the smallest (1) of its pixel.
    """
    largest, smallest = (reduce(pick, np.split(x, x.shape[2], 2)) for pick in (np.maximum, np.minimum))
    value = largest / 255
    span = value - smallest / 255
    grey = span == 0
    red = np.arange(x.shape[2]) > 0
    depth = np.where(grey, red, (value - x / 255) / np.where(grey, 1, span))
    return value, span / np.where(grey, 1, value), depth


def contrast(x: np.ndarray, rng: Random, factor: float) -> np.ndarray:
    """Multiply distances from the channel's mean by ``factor``."""
    x = x / 255
    mean = x.mean((0, 1), keepdims=True)
    return (x - mean) * factor + mean


def pixelate(x: np.ndarray, rng: Random, scale: float) -> np.ndarray:
    """Shrink the image to ``scale`` and enlarge it again with a box filter."""
    height, width = x.shape[:2]
    small = Image.fromarray(x.squeeze()).resize((int(width * scale), int(height * scale)), Image.Resampling.BOX)
    return np.asarray(small.resize((width, height), Image.Resampling.BOX)).reshape(x.shape)


def jpeg_compression(x: np.ndarray, rng: Random | None, quality: int) -> np.ndarray:
    """Send the image through a JPEG file of ``quality``, 1 to 95."""
    file = BytesIO()
    Image.fromarray(x.squeeze()).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file)).reshape(x.shape)


def elastic_transform(x: np.ndarray, rng: Random, displacement: float, sigma: float, shift: float) -> np.ndarray:
    """Apply a small random affine map, then move every pixel by up to ``displacement`` pixels.

    The map takes three points around the centre to places up to ``shift`` pixels off. The moves are uniform noise
    under a Gaussian of ``sigma`` pixels, which leaves little of them. OpenCV 4 places the map's pixels to 1/32, which
    makes up to 4 grey levels; OpenCV 5 does not.
    """
    image = x.astype(np.float32) / 255
    height, width = x.shape[:2]
    centre, reach = np.array([height // 2, width // 2]), min(height, width) // 3
    points = (centre + reach * np.array([[1, 1], [1, -1], [-1, -1]])).astype(np.float32)
    moved = points + rng.uniform(-shift, shift, size=(3, 2)).astype(np.float32)
    affine = cv2.getAffineTransform(points, moved)
    image = cv2.warpAffine(image, affine, (width, height), borderMode=cv2.BORDER_REFLECT_101).reshape(x.shape)
    over_rows, over_columns = _gaussian_matrix(height, sigma), _gaussian_matrix(width, sigma)
    right, down = (
        (over_rows @ rng.uniform(-1, 1, size=(height, width)) @ over_columns.T * displacement).astype(np.float32)
        for _ in range(2)
    )
    return _sample(image, np.arange(height)[:, None] + down, np.arange(width) + right)


@lru_cache(maxsize=32)
def _gaussian_matrix(size: int, sigma: float) -> np.ndarray:
    """Return (size, size) which, times a column of pixels, filters it and its mirror images by a Gaussian to 3 sigma.

    The filter may be many times as long as the image, where two products with such a matrix take far less time.
    """
    reach = int(3 * sigma + 0.5)
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (offsets / max(sigma, 1e-9)) ** 2)
    matrix = np.zeros((size, size))
    places = np.arange(size)[:, None]
    np.add.at(matrix, (places, _mirror(places + offsets, size)), weights / weights.sum())
    return matrix


def _mirror(index: np.ndarray, size: int) -> np.ndarray:
    """Return indices of ... c b a | a b c d | d c b ... within 0 and ``size`` - 1."""
    index = index % (2 * size)
    return np.minimum(index, 2 * size - 1 - index)


def _sample(image: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Sample ``image`` (H, W, C) at fractional ``rows`` and ``columns`` (H, W), linearly, mirrored outside."""
    height, width, channels = image.shape
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    down, right = (rows - top)[..., None].astype(np.float32), (columns - left)[..., None].astype(np.float32)
    pixels = image.reshape(-1, channels)
    upper, lower = _mirror(top, height) * width, _mirror(top + 1, height) * width
    near, far = _mirror(left, width), _mirror(left + 1, width)
    above = between(pixels.take(upper + near, 0), pixels.take(upper + far, 0), right)
    below = between(pixels.take(lower + near, 0), pixels.take(lower + far, 0), right)
    return between(above, below, down)
