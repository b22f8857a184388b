"""Picture files: opened without decoding, decoded to uint8 (H, W, 3) when a crop knows what it needs.

JPEGs go through simplejpeg, everything else through Pillow. Both wrap libjpeg-turbo with its accurate integer DCT, so
the pixels are the same and only the time differs.
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
        try:
            self.height, self.width = simplejpeg.decode_jpeg_header(data)[:2]
            self.is_jpeg = True
        except ValueError:
            self.width, self.height = Image.open(io.BytesIO(data)).size
            self.is_jpeg = False

    @classmethod
    def read(cls, path: Path) -> Picture:
        return cls(path.read_bytes())

    def decode(self, width: int | None = None, height: int | None = None) -> np.ndarray:
        """All pixels, uint8 (H, W, 3).

        Where ``width`` x ``height`` pixels would do, a JPEG comes at 4/8, 3/8, 2/8 or 1/8 of its sides, but no smaller
        than that: libjpeg then does less work.
        """
        if self.is_jpeg:
            try:
                return simplejpeg.decode_jpeg(
                    self.data, min_width=width or self.width, min_height=height or self.height, min_factor=2
                )
            except ValueError:
                pass  # CMYK, or a damaged file: Pillow converts the one, and says what is wrong with the other
        with Image.open(io.BytesIO(self.data)) as picture:
            return np.array(to_rgb(picture))


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
