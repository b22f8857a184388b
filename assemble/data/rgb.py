"""Images of any mode -> eight bits in three channels: what is white where there are more bits."""

from __future__ import annotations

import numpy as np
from PIL import Image

BITS_PER_SAMPLE = 258
"""TIFF's tag."""


def to_rgb(image: Image.Image, white: float | None = None) -> Image.Image:
    """Convert to eight bits in three channels.

    An alpha channel is dropped, not blended with a background (so does torchvision). Greys of more than eight bits and
    floats are scaled, from ``white`` to 255; see `white_of` for what that is where nobody says.

    Raises:
        ValueError: there are values beyond.
    """
    if image.mode == "RGB":
        return image
    if image.mode == "P" and "transparency" in image.info:
        return image.convert("RGBA").convert("RGB")  # directly, Pillow warns
    if image.mode[0] not in "IF":  # 1, L, LA, P, RGBA, CMYK, ...
        return image.convert("RGB")
    declared, values = declared_white(image), np.asarray(image, np.float64)
    white = declared or white or white_of(values, image.mode)
    # Pillow clips such values at 255: grey of 16 bits would come out white, and floats of [0, 1] black.
    if not (values.min() >= 0 and values.max() <= white):
        raise ValueError(f"its values are not all in [0, {white:g}]: set data.white, or save it with 8 bits a channel")
    return Image.fromarray(np.rint(values * (255 / white)).astype(np.uint8)).convert("RGB")


def declared_white(image: Image.Image) -> int | None:
    """Return what is white in the greys of an opened file, where the file itself says so."""
    if image.format in ("PPM", "JPEG2000") and image.mode != "F":
        return 65535  # Pillow has scaled them from what it says
    bits = getattr(image, "tag_v2", {}).get(BITS_PER_SAMPLE)
    return 4095 if bits == (12,) else None


def white_of(values: np.ndarray, mode: str) -> int:
    """Guess what is white: 1 of floats, else the largest number of 8, 12 or 16 bits, the fewest that the values need.

    Files of 32 bits often have values of 8, those of 16 bits such of 12.
    """
    return 1 if mode == "F" else next((white for white in (255, 4095) if values.max() <= white), 65535)
