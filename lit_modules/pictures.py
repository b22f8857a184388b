"""Picture files: opened without decoding, decoded to uint8 (H, W, 3) when a crop knows what it needs.

JPEGs go through simplejpeg, everything else (CMYK included) through Pillow. Both wrap libjpeg-turbo with its accurate
integer DCT, so the pixels are the same and only the time differs.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image


class Picture:
    """A picture file in memory.

    Raises:
        Exception: whatever the decoders' parsers meet in a file that is no picture.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.opened = None  # by Pillow, where simplejpeg is not for it
        try:
            height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
            self.width, self.height = int(width), int(height)
        except ValueError:
            colours = None
        if colours not in ("Gray", "YCbCr", "RGB"):
            self.opened = Image.open(io.BytesIO(data))
            self.width, self.height = self.opened.size

    @classmethod
    def read(cls, path: Path) -> Picture:
        return cls(path.read_bytes())

    def decode(self, width: int | None = None, height: int | None = None) -> np.ndarray:
        """All pixels, uint8 (H, W, 3).

        Where ``width`` x ``height`` pixels would do, a JPEG comes at 4/8, 3/8, 2/8 or 1/8 of its sides, but no smaller
        than that: libjpeg then does less work.
        """
        if self.opened is None:
            try:
                return simplejpeg.decode_jpeg(
                    self.data, min_width=width or self.width, min_height=height or self.height, min_factor=2
                )
            except ValueError:
                pass  # damaged: Pillow puts up with what is harmless, and says what is wrong with the rest
        return np.array(to_rgb(self.opened or Image.open(io.BytesIO(self.data))))


def to_rgb(picture: Image.Image) -> Image.Image:
    """Eight bits in three channels.

    An alpha channel is dropped, not blended with a background (so does torchvision). Sixteen bits of grey are scaled to
    eight, and floating point values from 0 to 1 to 0-255.

    Raises:
        ValueError: numbers of which it is not clear what is white.
    """
    if picture.mode == "RGB":
        return picture
    if picture.mode == "P" and "transparency" in picture.info:
        return picture.convert("RGBA").convert("RGB")  # directly, Pillow warns
    if picture.mode[0] not in "IF":  # 1, L, LA, P, RGBA, CMYK, ...
        return picture.convert("RGB")
    values, white = np.asarray(picture, np.float64), 65535 if picture.mode[0] == "I" else 1
    # Pillow clips such values at 255: grey of 16 bits would come out white, and floats of [0, 1] black.
    if not (values.min() >= 0 and values.max() <= white):
        raise ValueError(f"its values are not all in [0, {white}]: save it with 8 bits a channel")
    return Image.fromarray(np.rint(values * (255 / white)).astype(np.uint8)).convert("RGB")
