"""What happens to one image on its way into a batch: torchvision's crops, shifts and flips, on uint8.

Every random function takes its own NumPy generator, so that an image's augmentation depends on nothing else. A train
crop takes an image, the generator and the size of the result, which may change from epoch to epoch; it flips as well,
since protocols differ in whether they do so before or after the resize (`tensorflow_crops` has another one).
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from PIL import Image

from assemble.data.decode import ImageFile
from assemble.data.splits import RandomCrop
from assemble.schema import Border, Interpolation

PILLOW = {Interpolation.bilinear: Image.Resampling.BILINEAR, Interpolation.bicubic: Image.Resampling.BICUBIC}


def random_crop_box(
    width: int, height: int, scale: tuple[float, float], ratio: tuple[float, float], rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """Draw Inception's random crop as (left, top, width, height).

    The area is uniform in ``scale`` (share of the image), the aspect ratio log-uniform in ``ratio``; after ten
    boxes that do not fit, the largest central box with an allowed ratio. The algorithm of
    ``torchvision.transforms.RandomResizedCrop.get_params``.
    """
    for _ in range(10):
        share, narrow, x, y = rng.random(4).tolist()  # in one go: calls for single numbers take much longer
        area = width * height * (scale[0] + share * (scale[1] - scale[0]))
        aspect = ratio[0] * (ratio[1] / ratio[0]) ** narrow
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return int(x * (width - w + 1)), int(y * (height - h + 1)), w, h
    w = min(width, max(1, round(height * ratio[1])))
    h = min(height, max(1, round(width / ratio[0])))
    return (width - w) // 2, (height - h) // 2, w, h


def random_resized_crop(
    image: ImageFile,
    rng: np.random.Generator,
    size: int,
    *,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    flip: float,
    how: Interpolation | None = Interpolation.bilinear,
) -> np.ndarray:
    """Take a random crop, resized with antialiasing, mirrored with probability ``flip`` -> uint8 (size, size, 3).

    ``how`` it is resized is drawn for each image where it is None, bilinear or bicubic, evenly, as timm does.

    A JPEG that is much larger than needed is decoded at 1/2 or less, which is several times as fast. The decoded crop
    keeps at least twice the final size, so that the last resize still does the antialiasing.
    """
    left, top, w, h = random_crop_box(image.width, image.height, scale, ratio, rng)
    how = how or (Interpolation.bilinear, Interpolation.bicubic)[rng.integers(2)]
    least = math.ceil(2 * size * image.width / w), math.ceil(2 * size * image.height / h)
    pixels = image.decode(*least, rows=top + h)
    if pixels.shape[1] == image.width:
        whole = pixels[top : top + h, left : left + w]
        # Of bicubic ones, only Pillow's are those of timm and torchvision: noise overshoots, and is cut off otherwise.
        crop = (
            resize(whole, size) if how is Interpolation.bilinear else resize_box(whole, (0, 0, w, h), size, PILLOW[how])
        )
    else:
        f = round(8 * pixels.shape[1] / image.width) / 8  # the last row and column may lack a part
        crop = resize_box(pixels, (left * f, top * f, (left + w) * f, (top + h) * f), size, PILLOW[how])
    return random_flip(crop, rng, probability=flip)


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """Resize uint8 (H, W, 3) bilinearly with antialiasing -> uint8 (size, size, 3).

    What torchvision does with tensors. It differs by at most 1 from what it does with PIL images, since both round
    between the two passes, and takes a third of the time.
    """
    if image.shape[:2] == (size, size):
        return image.copy()  # its memory may be the decoder's
    # Views by NumPy, which makes them faster. Reshaped in this order, a batch is seen to be channels_last.
    import torch  # late: a run's name, which its data is part of, is found without
    import torch.nn.functional as F

    batch = torch.from_numpy(image.reshape(1, *image.shape).transpose(0, 3, 1, 2))
    resized = F.interpolate(batch, (size, size), mode="bilinear", antialias=True)
    return resized.numpy()[0].transpose(1, 2, 0)


def resize_box(
    image: np.ndarray,
    box: tuple[float, float, float, float],
    size: int,
    how: Image.Resampling = Image.Resampling.BILINEAR,
) -> np.ndarray:
    """Resize a box (left, top, right, bottom), between pixels, as `resize` does but with Pillow."""
    height, width = image.shape[:2]
    box = (box[0], box[1], min(box[2], width), min(box[3], height))  # rounding may lead a little beyond
    return np.array(Image.fromarray(image).resize((size, size), how, box=box))


def center_crop_resize(
    image: ImageFile, *, size: int, short: int, how: Image.Resampling = Image.Resampling.BILINEAR
) -> np.ndarray:
    """Make the evaluation crop: shorter side to ``short``, then the centre -> uint8 (size, size, 3).

    The same as torchvision's ``Resize`` and ``CenterCrop``, but in one go: only what the crop keeps is resized.
    """
    width, height = image.width, image.height
    if width <= height:
        new_width, new_height = short, int(short * height / width)
    else:
        new_width, new_height = int(short * width / height), short
    left, top = round((new_width - size) / 2), round((new_height - size) / 2)
    sx, sy = width / new_width, height / new_height
    return resize_box(image.decode(), (left * sx, top * sy, (left + size) * sx, (top + size) * sy), size, how)


def squeeze(image: ImageFile, *, size: int, how: Image.Resampling = Image.Resampling.BILINEAR) -> np.ndarray:
    """Resize the whole image to a square, whatever its shape -> uint8 (size, size, 3)."""
    return resize_box(image.decode(), (0, 0, image.width, image.height), size, how)


def pad_and_shift(
    image: np.ndarray | ImageFile,
    rng: np.random.Generator,
    size: int,
    *,
    pad: int,
    flip: float,
    border: Border = Border.edge,
) -> np.ndarray:
    """Move an image by up to ``pad`` pixels each way, mirror it with probability ``flip``, resize it.

    It is a file, or uint8 (H, W, 3). What comes in repeats the border (``edge``), is black (``zeros``: the usual
    pad-and-crop of small images, He et al. 2015, section 4.2), or is the image mirrored at its border (``reflect``).
    """
    image = image if isinstance(image, np.ndarray) else image.decode()
    height, width = image.shape[:2]
    dy, dx = draw_shift(rng, pad)
    rows, columns = (_inside(np.arange(n) + by, n, border) for n, by in ((height, dy), (width, dx)))
    shifted = image.take(rows, axis=0).take(columns, axis=1)
    if border is Border.zeros:
        shifted[rows != np.arange(height) + dy] = 0
        shifted[:, columns != np.arange(width) + dx] = 0
    return random_flip(resize(shifted, size), rng, probability=flip)


def _inside(asked: np.ndarray, length: int, border: Border) -> np.ndarray:
    """Return which row or column stands for each that was asked for, some of them beyond the image."""
    if border is Border.reflect:
        return length - 1 - np.abs(length - 1 - np.abs(asked))
    return np.clip(asked, 0, length - 1)


def draw_shift(rng: np.random.Generator, pad: int) -> tuple[int, int]:
    """Draw how far an image is moved down and to the right, each up to ``pad`` pixels either way."""
    down, right = rng.integers(-pad, pad + 1, size=2).tolist()
    return down, right


def fit(image: ImageFile, *, size: int) -> np.ndarray:
    """Resize a whole image file, as `resize` does -> uint8 (size, size, 3)."""
    return resize(image.decode(), size)


def also_upside_down(
    image: Any, rng: np.random.Generator, size: int, *, crop: RandomCrop, probability: float
) -> np.ndarray:
    """Make a training crop, and turn it upside down with this probability."""
    cropped = crop(image, rng, size)
    return cv2.flip(cropped, 0) if rng.random() < probability else cropped


def random_flip(image: np.ndarray, rng: np.random.Generator, *, probability: float) -> np.ndarray:
    """Mirror (H, W, 3) left to right with this probability."""
    # By OpenCV, since NumPy takes twenty times as long to make the mirrored array contiguous.
    return cv2.flip(image, 1) if rng.random() < probability else image
