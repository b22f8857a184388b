"""Image operations of the AutoAugment family, on one uint8 image (H, W, 3), in two dialects.

`TENSORFLOW` has the operations of the code that Assemble-ResNet and EfficientNet were trained with, `PILLOW` those of
Pillow, with which the AutoAugment paper, torchvision and timm work. Look-up tables are mostly the same in both; grey,
contrast, sharpness and everything geometric differ. Each maps a name to ``op(image, *strengths)``, which draws no
random number and gives a new image or, where nothing changes, the given one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageEnhance

cv2.setNumThreads(0)  # loader workers run side by side; OpenCV's own threads would compete, and do not survive a fork

Op = Callable[..., np.ndarray]
GREY = 128
"""What the TensorFlow code puts where an image has been moved away."""
VALUES = np.arange(256)


def as_image(image: Any) -> np.ndarray:
    """Return a PIL image, uint8 tensor (3, H, W) or uint8 array (H, W, 3) as a contiguous array (H, W, 3)."""
    if isinstance(image, Image.Image):
        image = image.convert("RGB")
    elif not isinstance(image, np.ndarray):
        image = image.permute(1, 2, 0)
    return np.ascontiguousarray(image)


# --- tables: the new value depends on the old one (and on the image's histogram)


def lookup(image: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Replace each value by its entry in ``table``, (256,), in the table's type."""
    return cv2.LUT(image, table)


def posterize(image: np.ndarray, bits: int) -> np.ndarray:
    """Keep only the ``bits`` highest bits: 8 changes nothing, 0 gives black."""
    return image & np.uint8(0xFF << (8 - bits) & 0xFF)


def solarize(image: np.ndarray, threshold: float) -> np.ndarray:
    """Invert values from ``threshold`` on: 256 changes nothing, 0 inverts everything."""
    _, inverted = cv2.threshold(image, math.ceil(threshold) - 1, 255, cv2.THRESH_BINARY)  # 255 above, 0 up to it
    return cv2.bitwise_xor(image, inverted)


def solarize_add(image: np.ndarray, addition: int, threshold: int = 128) -> np.ndarray:
    """Add ``addition`` to values below ``threshold``."""
    return lookup(image, np.where(threshold > VALUES, (VALUES + addition).clip(0, 255), VALUES).astype(np.uint8))


def brightness(image: np.ndarray, factor: float) -> np.ndarray:
    """Change the brightness: 0 is black, 1 the image."""
    return blend_even(0, image, factor)


def by_channel(image: np.ndarray, table_of: Callable[[np.ndarray], np.ndarray | None]) -> np.ndarray:
    """Look each channel up in the table (256,) that ``table_of`` makes of its histogram (256,); None: as it is.

    Channel by channel, since OpenCV looks up and counts twice as fast in contiguous bytes. Tables are best made by
    arrays' methods: after an image was decoded, NumPy's functions in Python (``flatnonzero``, ``cumsum``) take 20
    microseconds each.
    """
    planes = []
    for plane in cv2.split(image):
        counts = cv2.calcHist([plane], [0], None, [256], [0, 256]).ravel().astype(np.int64)
        table = table_of(counts)
        planes.append(plane if table is None else cv2.LUT(plane, table))
    return cv2.merge(planes)


def equalize(image: np.ndarray) -> np.ndarray:
    """Give each channel an even histogram."""

    def table(counts: np.ndarray) -> np.ndarray | None:
        below = counts.cumsum() - counts
        step = below[counts.nonzero()[0][-1]] // 255
        return np.minimum((below + step // 2) // step, 255).astype(np.uint8) if step else None

    return by_channel(image, table)


def autocontrast(image: np.ndarray, real: type[np.floating] = np.float32) -> np.ndarray:
    """Stretch each channel to 0..255, computed in the precision ``real``, which shows in a few values."""

    def table(counts: np.ndarray) -> np.ndarray | None:
        found = counts.nonzero()[0]
        low, high = real(found[0]), real(found[-1])
        scale = real(255) / max(high - low, real(1))
        return (VALUES.astype(real) * scale - low * scale).clip(0, 255).astype(np.uint8) if high > low else None

    return by_channel(image, table)


def cutout(image: np.ndarray, half: int, down: float, right: float) -> np.ndarray:
    """Paint a grey square of side 2 * ``half`` pixels around the pixel at these shares of height and width."""
    y, x = int(down * image.shape[0]), int(right * image.shape[1])
    image = image.copy()
    image[max(y - half, 0) : y + half, max(x - half, 0) : x + half] = GREY
    return image


# --- blends: below + factor * (image - below) in float32, cut off; 1 is the image, above 1 extrapolates


def blend(below: np.ndarray, image: np.ndarray, factor: float) -> np.ndarray:
    """Blend two images."""
    if factor == 1:
        return image
    mixed, base = image.astype(np.float32), below.astype(np.float32)
    mixed -= base
    mixed *= np.float32(factor)
    mixed += base
    return (mixed if factor < 1 else mixed.clip(0, 255, out=mixed)).astype(np.uint8)


def blend_even(below: int, image: np.ndarray, factor: float) -> np.ndarray:
    """Blend an image with an even grey of that value."""
    mixed = np.float32(below) + np.float32(factor) * (VALUES - below).astype(np.float32)
    return lookup(image, mixed.clip(0, 255).astype(np.uint8))


# --- TensorFlow: float32 in its order of operations, results cut off rather than rounded


def tf_grey(image: np.ndarray) -> np.ndarray:
    """Return the image in grey (H, W), as ``rgb_to_grayscale`` does."""
    shares = VALUES.astype(np.float32) * np.float32(1 / 255)
    red, green, blue = cv2.split(image)
    grey = lookup(red, shares * np.float32(0.2989))
    grey += lookup(green, shares * np.float32(0.587))
    grey += lookup(blue, shares * np.float32(0.114))
    grey *= np.float32(255.5)
    return grey.astype(np.uint8)


def tf_color(image: np.ndarray, factor: float) -> np.ndarray:
    """Change the colour: 0 is grey, 1 the image."""
    return blend(cv2.cvtColor(tf_grey(image), cv2.COLOR_GRAY2RGB), image, factor)


def tf_contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """Change the contrast: 0 is even grey.

    Meant to be the image's mean, it is the number of its pixels over 256 (196 at 224x224).
    """
    height, width = image.shape[:2]
    return blend_even(min(height * width // 256, 255), image, factor)


def tf_sharpness(image: np.ndarray, factor: float) -> np.ndarray:
    """Change the sharpness: 0 is smoothed (the border is not), 1 the image."""
    height, width = image.shape[:2]
    # In float32 the order of the sum decides whether 7 or 6.9999995 is cut off, in one pixel of 13.
    around = lookup(image, VALUES.astype(np.float32) * (np.float32(1) / np.float32(13)))
    centre = lookup(image, VALUES.astype(np.float32) * (np.float32(5) / np.float32(13)))
    smooth = np.zeros((height - 2, width - 2, 3), np.float32)
    for y in range(3):
        for x in range(3):
            smooth += (centre if y == x == 1 else around)[y : y + height - 2, x : x + width - 2]
    below = image.copy()
    below[1:-1, 1:-1] = smooth.clip(0, 255)
    return blend(below, image, factor)


@lru_cache(maxsize=32)
def _tf_sources(height: int, width: int, matrix: tuple[float, ...]) -> np.ndarray:
    """Return where each pixel comes from, (H, W, 2) as (x, y), int16: rounded half away from zero."""
    y, x = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)
    a, b, c, d, e, f = np.array(matrix, np.float32)
    sources = np.stack([a * x + b * y + c, d * x + e * y + f], -1).astype(np.float64)
    return np.trunc(sources + np.copysign(0.5, sources)).clip(-1, max(height, width)).astype(np.int16)


def tf_transform(image: np.ndarray, matrix: tuple[float, ...]) -> np.ndarray:
    """Take pixel (x, y) from (a x + b y + c, d x + e y + f), the nearest; from outside comes grey."""
    sources = _tf_sources(image.shape[0], image.shape[1], matrix)
    nothing = np.empty((0, 0), np.int16)
    return cv2.remap(image, sources, nothing, cv2.INTER_NEAREST, None, cv2.BORDER_CONSTANT, (GREY, GREY, GREY))


def tf_rotate(image: np.ndarray, degrees: float) -> np.ndarray:
    """Rotate around the centre."""
    radians = np.float32(degrees) * np.float32(np.pi / 180)
    cos, sin = np.float32(math.cos(radians)), np.float32(math.sin(radians))  # NumPy's last bit varies with the CPU
    h, w = np.float32(image.shape[0] - 1), np.float32(image.shape[1] - 1)
    right, down = (w - (cos * w - sin * h)) / 2, (h - (sin * w + cos * h)) / 2
    return tf_transform(image, tuple(map(float, (cos, -sin, right, sin, cos, down))))


# --- Pillow


def _with_pillow(change: Callable[..., Image.Image]) -> Op:
    """Return an operation on PIL images as one on arrays."""
    return lambda image, *strengths: np.array(change(Image.fromarray(image), *strengths))


def pil_transform(
    image: Image.Image,
    matrix: tuple[float, ...],
    resample: Image.Resampling = Image.Resampling.NEAREST,
    fill: tuple[int, int, int] = (0, 0, 0),
) -> Image.Image:
    """Take pixel (x, y) from (a x + b y + c, d x + e y + f); from outside comes ``fill``."""
    return image.transform(image.size, Image.Transform.AFFINE, matrix, resample, fillcolor=fill)


def pil_rotate(
    image: Image.Image,
    degrees: float,
    resample: Image.Resampling = Image.Resampling.NEAREST,
    fill: tuple[int, int, int] = (0, 0, 0),
) -> Image.Image:
    """Rotate around the centre, counter-clockwise."""
    return image.rotate(degrees, resample, fillcolor=fill)


_SHARED: dict[str, Op] = {
    "Identity": lambda image: image,
    "Invert": np.invert,
    "Posterize": posterize,
    "Solarize": solarize,
    "SolarizeAdd": solarize_add,
    "Equalize": equalize,
    "Brightness": brightness,
    "Cutout": cutout,
}
TENSORFLOW: Mapping[str, Op] = _SHARED | {
    "AutoContrast": autocontrast,
    "Color": tf_color,
    "Contrast": tf_contrast,
    "Sharpness": tf_sharpness,
    "Rotate": tf_rotate,
    "ShearX": lambda image, slope: tf_transform(image, (1, slope, 0, 0, 1, 0)),
    "ShearY": lambda image, slope: tf_transform(image, (1, 0, 0, slope, 1, 0)),
    "TranslateX": lambda image, pixels: tf_transform(image, (1, 0, pixels, 0, 1, 0)),
    "TranslateY": lambda image, pixels: tf_transform(image, (1, 0, 0, 0, 1, pixels)),
}
"""Geometry takes the nearest pixel and fills with grey."""
PILLOW: Mapping[str, Op] = _SHARED | {
    "AutoContrast": partial(autocontrast, real=np.float64),
    "Color": _with_pillow(lambda image, factor: ImageEnhance.Color(image).enhance(factor)),
    "Contrast": _with_pillow(lambda image, factor: ImageEnhance.Contrast(image).enhance(factor)),
    "Sharpness": _with_pillow(lambda image, factor: ImageEnhance.Sharpness(image).enhance(factor)),
    "Rotate": _with_pillow(pil_rotate),
    "ShearX": _with_pillow(lambda image, slope, *how: pil_transform(image, (1, slope, 0, 0, 1, 0), *how)),
    "ShearY": _with_pillow(lambda image, slope, *how: pil_transform(image, (1, 0, 0, slope, 1, 0), *how)),
    "TranslateX": _with_pillow(lambda image, pixels, *how: pil_transform(image, (1, 0, pixels, 0, 1, 0), *how)),
    "TranslateY": _with_pillow(lambda image, pixels, *how: pil_transform(image, (1, 0, 0, 0, 1, pixels), *how)),
}
"""Geometry takes two more strengths, ``resample`` and ``fill``: nearest and black if they are not given."""
