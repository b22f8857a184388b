"""What several corruptions share: Gaussian filters, ImageMagick's motion blur, zooming into the middle."""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter

cv2.setNumThreads(0)  # loader workers run side by side; OpenCV's own threads would compete, and do not survive a fork


def gaussian(x: np.ndarray, sigma: float) -> np.ndarray:
    """Blur (H, W) or (H, W, C) floats by a Gaussian over height and width.

    It is scikit-image's: to 4 sigma, edges repeated.
    """
    return gaussian_filter(x, (sigma, sigma, 0)[: x.ndim], mode="nearest", truncate=4)


def motion_blur(x: np.ndarray, radius: int, sigma: float, angle: float) -> np.ndarray:
    """Apply ImageMagick's motion blur to a uint8 image (H, W, C), edges repeated; uint8.

    Half a Gaussian of 2 * ``radius`` + 1 taps, each one pixel further along ``angle`` (degrees, clockwise from the
    right) and rounded to whole pixels. ImageMagick works on 16 bits: the sum is rounded there, and truncated to 8 bits.
    """
    height, width, channels = x.shape
    taps = np.arange(2 * radius + 1)
    weights = np.exp(-(taps**2) / (2 * sigma**2))
    weights /= weights.sum()
    right = np.ceil(taps * math.cos(math.radians(angle)) - 0.5).astype(int)
    down = np.ceil(taps * math.sin(math.radians(angle)) - 0.5).astype(int)
    left, top = -right.min(), -down.min()
    padded = cv2.copyMakeBorder(x, top, down.max(), left, right.max(), cv2.BORDER_REPLICATE).astype(np.float64)
    blurred = np.zeros(x.shape if channels > 1 else x.shape[:2])
    for weight, i, j in zip(weights, down + top, right + left, strict=True):
        cv2.scaleAdd(padded[i : i + height, j : j + width], weight, blurred, blurred)
    return (np.floor(blurred * 257 + 0.5) // 257).astype(np.uint8).reshape(x.shape)


@lru_cache(maxsize=256)
def _zoom_taps(size: int, factor: float) -> tuple[np.ndarray, np.ndarray]:
    """Return, for ``size`` pixels of the zoomed axis, the pixel left of its source and the share (size,) of the next.

    The middle ceil(size / factor) pixels, enlarged with corner on corner to the nearest whole number of pixels, of
    which the middle ``size`` stay.
    """
    crop = math.ceil(size / factor)
    enlarged = round(crop * factor)
    position = (np.arange(size) + (enlarged - size) // 2) * ((crop - 1) / (enlarged - 1))
    near = np.minimum(position.astype(int), crop - 2)
    return near + (size - crop) // 2, position - near


def zoom(x: np.ndarray, factor: float) -> np.ndarray:
    """Enlarge the middle of (H, W, C) floats ``factor`` times by linear interpolation, cut to (H, W, C).

    What scipy.ndimage.zoom of order 1 gives, faster.
    """
    height, width, channels = x.shape
    rows, down = _zoom_taps(height, factor)
    columns, right = _zoom_taps(width, factor)
    x = between(x.take(rows, 0), x.take(rows + 1, 0), down[:, None, None].astype(x.dtype))
    columns = (columns[:, None] * channels + np.arange(channels)).ravel()
    right = right.repeat(channels).astype(x.dtype)
    x = x.reshape(height, -1)
    return between(x.take(columns, 1), x.take(columns + channels, 1), right).reshape(height, width, channels)


def between(a: np.ndarray, b: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Interpolate from ``a`` to ``b`` by ``share``, into ``b``: a + t (b - a) keeps what is flat exactly flat."""
    b -= a
    b *= share
    b += a
    return b
