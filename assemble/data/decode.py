"""Image files: opened without decoding, decoded to uint8 (H, W, 3) when a crop knows what it needs.

JPEGs go through simplejpeg where it is installed, everything else (CMYK included) through Pillow. Both wrap
libjpeg-turbo with its accurate integer DCT, so the pixels are the same and only the time differs.
"""

from __future__ import annotations

import io
import math
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image

try:
    import simplejpeg
except ModuleNotFoundError:  # an optional dependency, for speed alone
    simplejpeg = None


class Scratch(threading.local):
    """Memory that a thread uses anew for every image: fresh memory costs as much time as what is done with it."""

    memory = np.empty(0, np.uint8)

    def array(self, shape: tuple[int, ...], dtype: type[np.generic] = np.uint8) -> np.ndarray:
        """Return an array of any content, which stays valid until the thread asks for the next one."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if len(self.memory) < size:
            self.memory = np.empty(size, np.uint8)
        return self.memory[:size].view(dtype).reshape(shape)


_decoded = Scratch()


class ImageFile:
    """An image file in memory.

    Raises:
        Exception: whatever the decoders' parsers meet in a file that is no image.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.fast = False  # is it for simplejpeg?
        self.opened: Image.Image | None = None  # else by Pillow, until it is decoded
        if simplejpeg:
            try:
                height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
            except ValueError:
                height, width, colours = 0, 0, None
            if colours in ("Gray", "YCbCr", "RGB"):
                self.fast, self.width, self.height = True, int(width), int(height)
        if not self.fast:
            self.opened = Image.open(io.BytesIO(data))
            self.width, self.height = self.opened.size

    @classmethod
    def read(cls, path: str | Path) -> ImageFile:
        with io.FileIO(path) as file:
            return cls(file.readall())

    def decode(self, width: int = 0, height: int = 0, rows: int | None = None) -> np.ndarray:
        """Return the pixels, uint8 (H, W, 3), which stay valid until the thread decodes its next image.

        Where at least ``width`` x ``height`` pixels would do, a JPEG comes at a half, a quarter or an eighth of its
        sides, rounded up: libjpeg then does less work. Of one that comes whole, only ``rows`` or somewhat more at the
        top may be decoded.
        """
        enough = [s for s in (2, 4, 8) if 0 < s * width <= self.width and 0 < s * height <= self.height]
        share = max(enough, default=1)
        size = -(-self.width // share), -(-self.height // share)
        if simplejpeg and self.fast:
            buffer = _decoded.array((self.height, self.width, 3))
            top = shortened(self.data, rows) if rows and share == 1 else None
            if top:
                return simplejpeg.decode_jpeg(top, strict=False, buffer=buffer)  # strictly, the rest is a mistake
            # Damaged: Pillow puts up with what is harmless, and says what is wrong with the rest.
            with suppress(ValueError):
                return simplejpeg.decode_jpeg(
                    self.data, min_width=size[0], min_height=size[1], min_factor=2, buffer=buffer
                )
        image, self.opened = self.opened or Image.open(io.BytesIO(self.data)), None
        if share > 1:
            image.draft("RGB", (self.width // share, self.height // share))
        return np.array(to_rgb(image))


MCU = 16
"""Rows that a JPEG codes together, at most."""
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""Markers of the header that says how high a JPEG is."""
BASELINE, SCAN = 0xC0, 0xDA


def shortened(data: bytes, rows: int) -> bytes | None:
    """Return the same JPEG, said to be less high so that decoders stop early: at least ``rows`` rows keep their pixels.

    None where that would not do: little is saved, the rows do not come in one scan, or the file does not end as it
    should (a decoder that stops early would not notice).
    """
    position, found = 2, 0
    while position + 9 < len(data) and data[position] == 0xFF:
        marker, length = data[position + 1], int.from_bytes(data[position + 2 : position + 4], "big")
        if marker in FRAMES:
            found = position if marker == BASELINE else 0
        if marker == SCAN:
            # One MCU row more: colours of fewer pixels are interpolated between rows.
            height, enough = int.from_bytes(data[found + 5 : found + 7], "big"), (rows // MCU + 2) * MCU
            if not found or data[position + 4] != data[found + 9] or enough >= height or data[-2:] != b"\xff\xd9":
                return None
            return b"".join((data[: found + 5], enough.to_bytes(2, "big"), memoryview(data)[found + 7 :]))
        position += 2 + length
    return None


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert to eight bits in three channels.

    An alpha channel is dropped, not blended with a background (so does torchvision). Sixteen bits of grey are scaled to
    eight, and floating point values from 0 to 1 to 0-255.

    Raises:
        ValueError: numbers of which it is not clear what is white.
    """
    if image.mode == "RGB":
        return image
    if image.mode == "P" and "transparency" in image.info:
        return image.convert("RGBA").convert("RGB")  # directly, Pillow warns
    if image.mode[0] not in "IF":  # 1, L, LA, P, RGBA, CMYK, ...
        return image.convert("RGB")
    values, white = np.asarray(image, np.float64), 65535 if image.mode[0] == "I" else 1
    # Pillow clips such values at 255: grey of 16 bits would come out white, and floats of [0, 1] black.
    if not (values.min() >= 0 and values.max() <= white):
        raise ValueError(f"its values are not all in [0, {white}]: save it with 8 bits a channel")
    return Image.fromarray(np.rint(values * (255 / white)).astype(np.uint8)).convert("RGB")
