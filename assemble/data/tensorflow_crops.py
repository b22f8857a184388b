"""The crops of the official Assemble-ResNet code, which are TensorFlow 1's: ``data.preprocessing=official``.

They differ from torchvision's in the distribution of the crops, in the flip, which comes
before the resize, and in the resize: bilinear at ``output index * scale``, without half-pixel centres or antialiasing.
OpenCV interpolates; its versions before 5 round positions to 1/32 pixel and are refused.

*Differs*: training images leave as uint8, fractions cut off. The official code does so before AutoAugment, and keeps
floating point numbers where there is none. In evaluation floating point numbers are kept, as there.
"""

from __future__ import annotations

import math
from functools import cache
from types import ModuleType

import numpy as np

from assemble.data.decode import ImageFile, Scratch
from assemble.errors import UserError

MIN_OBJECT_COVERED = np.float32(0.1)
ATTEMPTS = 100
LONGEST = 32766
"""Pixels that OpenCV can address."""
_resized = Scratch()


def distorted_box(
    width: int, height: int, scale: tuple[float, float], ratio: tuple[float, float], rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """Draw TensorFlow's ``sample_distorted_bounding_box`` (left, top, width, height); the object is the whole image.

    The aspect ratio is uniform in ``ratio``, then the *height* is uniform between those which give an area in ``scale``
    (shares of the image) and fit; a crop that covers less than a tenth of the image is drawn anew, aspect ratio
    included. After a hundred attempts, the whole image. The arithmetic is the kernel's of TensorFlow 1.14, in float32
    with halves rounded to even, its two peculiarities included: heights are corrected by one to mend a rounded area,
    and a crop smaller than the image never touches its right and lower border.
    """
    f32 = np.float32
    least, most = (f32(share) * f32(width) * f32(height) for share in scale)
    low, high = map(f32, ratio)
    for _ in range(ATTEMPTS):
        turn, tall, down, right = rng.random(4).tolist()  # in one go: calls for single numbers take much longer
        aspect = f32(turn) * (high - low) + low
        tallest = _round(f32(math.sqrt(most / aspect)))
        if _round(f32(tallest) * aspect) > width:
            tallest = int((width + 0.5 - float(f32(1e-7))) / float(aspect))
        tallest = min(tallest, height)
        shortest = min(_round(f32(math.sqrt(least / aspect))), tallest)
        h = shortest + int(tall * (tallest - shortest + 1))
        w = _round(f32(h) * aspect)
        if w * h < least:
            h += 1
            w = _round(f32(h) * aspect)
        if w * h > most:
            h -= 1
            w = _round(f32(h) * aspect)
        fits = 0 < w <= width and 0 < h <= height and least <= w * h <= most
        if fits and f32(w * h) / f32(width * height) >= MIN_OBJECT_COVERED:
            return int(right * (width - w)), int(down * (height - h)), w, h
    return 0, 0, width, height


def _round(value: np.float32) -> int:
    return round(float(value))  # halves to even


def sample_bilinear(pixels: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Sample uint8 (H, W, 3) at columns ``x`` (w,) and rows ``y`` (h,), float32 -> float32 (h, w, 3).

    Beyond the border, the border's.
    """
    cv2 = opencv()
    (left, right), (top, bottom) = ((max(0, int(at.min())), int(at.max()) + 2) for at in (x, y))
    columns, rows = np.empty((2, len(y), len(x)), np.float32)
    columns[:], rows[:] = x - left, y[:, None] - top
    used = pixels[top:bottom, left:right].astype(np.float32)
    _check_sides(used)
    return cv2.remap(used, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _check_sides(pixels: np.ndarray) -> None:
    if max(pixels.shape) > LONGEST:
        raise UserError(f"sides above {LONGEST} pixels are too long for data.preprocessing=official: make it smaller")


@cache
def opencv() -> ModuleType:
    """Return OpenCV, in a version that interpolates exactly, on one thread.

    Workers have one, and no pool survives a fork.
    """
    import cv2

    if int(cv2.__version__.partition(".")[0]) < 5:
        raise UserError(
            f"OpenCV {cv2.__version__} interpolates too coarsely for data.preprocessing=official: "
            "pip install 'opencv-python-headless>=5' (and uninstall other opencv packages)"
        )
    cv2.setNumThreads(0)
    return cv2


def sample_positions(length: int, resized: int, start: int, count: int) -> np.ndarray:
    """Return where TensorFlow 1 samples ``length`` pixels for ``start`` to ``start + count`` of ``resized`` ones."""
    return np.arange(start, start + count, dtype=np.float32) * (np.float32(length) / np.float32(resized))


def distorted_crop(
    image: ImageFile,
    rng: np.random.Generator,
    size: int,
    *,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    flip: float,
) -> np.ndarray:
    """Make the training crop: a random box, mirrored with probability ``flip``, resized -> uint8 (size, size, 3)."""
    left, top, w, h = distorted_box(image.width, image.height, scale, ratio, rng)
    crop = image.decode(rows=top + h)[top : top + h, left : left + w].astype(np.float32)
    _check_sides(crop)
    first, step = (w - 1, -w / size) if rng.random() < flip else (0, w / size)
    # Column i is at first + i * step: the positions of `sample_bilinear`, but for the rounding in float32, in half its
    # time.
    cv2 = opencv()
    resized = _resized.array((size, size, 3), np.float32)
    matrix, how = np.array([[step, 0, first], [0, h / size, 0]]), cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(crop, matrix, (size, size), resized, how, cv2.BORDER_REPLICATE).astype(np.uint8)


def central_crop(image: ImageFile, *, size: int, short: int) -> np.ndarray:
    """Make the evaluation crop: shorter side to ``short``, then the centre -> float32 (size, size, 3), 0-255 scale.

    The resized sides are products in float32, cut off to integers: the shorter one may so become ``short - 1`` (and is
    kept from becoming less than ``size``, where the official code would fail).
    """
    width, height = image.width, image.height
    factor = np.float32(short) / np.float32(min(width, height))
    new_width, new_height = (max(size, int(np.float32(side) * factor)) for side in (width, height))
    x = sample_positions(width, new_width, (new_width - size) // 2, size)
    y = sample_positions(height, new_height, (new_height - size) // 2, size)
    return sample_bilinear(image.decode(), x, y)
