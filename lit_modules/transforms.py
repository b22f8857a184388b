"""What happens to one picture on its way into a batch: crops, shifts and flips, on uint8.

Every random function takes its own NumPy generator, so that a picture's augmentation depends on nothing else.
Pictures are PIL images as they come from disk, or uint8 arrays (H, W, 3).
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image


def random_crop_box(
    width: int, height: int, scale: tuple[float, float], ratio: tuple[float, float], rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """Inception's random crop as (left, top, width, height).

    The area is uniform in ``scale`` (share of the picture), the aspect ratio log-uniform in ``ratio``; after ten
    boxes that do not fit, the largest central box with an allowed ratio. The algorithm of
    ``torchvision.transforms.RandomResizedCrop.get_params``.
    """
    for _ in range(10):
        area = width * height * rng.uniform(*scale)
        aspect = math.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1])))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1)), w, h
    w = min(width, max(1, round(height * ratio[1])))
    h = min(height, max(1, round(width / ratio[0])))
    return (width - w) // 2, (height - h) // 2, w, h


def random_resized_crop(
    picture: Image.Image, rng: np.random.Generator, *, size: int, scale: tuple[float, float], ratio: tuple[float, float]
) -> np.ndarray:
    """A random crop, resized bilinearly with antialiasing -> uint8 (size, size, 3).

    A JPEG that is much larger than needed is decoded at 1/2, 1/4 or 1/8, which is several times as fast. The decoded
    crop keeps at least twice the final size, so that the last resize still does the antialiasing.
    """
    full_width, full_height = picture.size
    left, top, w, h = random_crop_box(full_width, full_height, scale, ratio, rng)
    picture.draft("RGB", (math.ceil(2 * size * full_width / w), math.ceil(2 * size * full_height / h)))
    f = round(full_width / picture.width)  # 1, or where the draft took effect 2, 4 or 8: f source pixels to one decoded
    box = (left / f, top / f, min((left + w) / f, picture.width), min((top + h) / f, picture.height))
    return np.asarray(_rgb(picture).resize((size, size), Image.Resampling.BILINEAR, box=box))


def center_crop_resize(picture: Image.Image, *, size: int, share: float) -> np.ndarray:
    """The evaluation crop: shorter side to ``int(size / share)``, then the centre -> uint8 (size, size, 3).

    The same as torchvision's ``Resize`` and ``CenterCrop``, but in one go: only what the crop keeps is resized.
    """
    width, height = picture.size
    short = int(size / share)
    if width <= height:
        new_width, new_height = short, int(short * height / width)
    else:
        new_width, new_height = int(short * width / height), short
    left, top = round((new_width - size) / 2), round((new_height - size) / 2)
    sx, sy = width / new_width, height / new_height
    box = (left * sx, top * sy, min((left + size) * sx, width), min((top + size) * sy, height))
    return np.asarray(_rgb(picture).resize((size, size), Image.Resampling.BILINEAR, box=box))


def pad_and_shift(picture: np.ndarray, rng: np.random.Generator, *, pad: int) -> np.ndarray:
    """Move uint8 (H, W, 3) by up to ``pad`` pixels each way; what comes in repeats the border.

    The usual pad-and-crop of small pictures (He et al. 2016, section 4.2), which pads with zeros instead.
    """
    height, width = picture.shape[:2]
    dy, dx = rng.integers(-pad, pad + 1, size=2)
    rows = np.clip(np.arange(height) + dy, 0, height - 1)
    columns = np.clip(np.arange(width) + dx, 0, width - 1)
    return picture.take(rows, axis=0).take(columns, axis=1)


def random_flip(picture: np.ndarray, rng: np.random.Generator, *, probability: float) -> np.ndarray:
    """Mirror (H, W, 3) left to right with this probability."""
    return picture[:, ::-1] if rng.random() < probability else picture


def _rgb(picture: Image.Image) -> Image.Image:
    """Three channels: grey, palette, CMYK and alpha pictures included. Does not copy one that has them."""
    return picture if picture.mode == "RGB" else picture.convert("RGB")
