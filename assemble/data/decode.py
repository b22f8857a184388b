"""Image files: opened without decoding, decoded to uint8 (H, W, 3) when a crop knows what it needs.

JPEGs go through simplejpeg where it is installed, everything else (CMYK included) through Pillow. Both wrap
libjpeg-turbo with its accurate integer DCT, so the pixels are the same and only the time differs.
"""

from __future__ import annotations

import io
import math
import threading
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from assemble.data.rgb import to_rgb
from assemble.errors import UserError
from assemble.schema import DataConfig

try:
    import simplejpeg
except ModuleNotFoundError:  # an optional dependency, for speed alone
    simplejpeg = None

DECODER = f"simplejpeg {simplejpeg.__version__}" if simplejpeg else "Pillow"
"""Of most JPEGs."""

# They name no file: what is decoded is decoded, and what is not is an error of ours.
warnings.filterwarnings("ignore", module=r"PIL\.")


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


class BadImageError(UserError):
    """An image file that is there, and that no decoder makes an image of. The message is the reason alone."""

    @classmethod
    def because(cls, error: Exception) -> BadImageError:
        """Say what a decoder has met."""
        if isinstance(error, UnidentifiedImageError):
            return cls("its format is unknown")
        if isinstance(error, Image.DecompressionBombError):
            return cls(f"it has more than the {most_pixels():,} pixels that are decoded")
        return cls(" ".join(str(error).split()) or type(error).__name__)


def most_pixels() -> int:
    """Return how many pixels an image may have, for any decoder: as many as Pillow decodes before it suspects a bomb.

    Zero where ``PIL.Image.MAX_IMAGE_PIXELS`` was set to None, which allows any.
    """
    return 2 * (Image.MAX_IMAGE_PIXELS or 0)


@dataclass(frozen=True)
class Reading:
    """What may be chosen about how a file becomes pixels (``data.exif_orientation``, ``data.white``)."""

    exif_orientation: bool = False
    white: float | None = None

    @classmethod
    def of(cls, cfg: DataConfig) -> Reading:
        return cls(cfg.exif_orientation, cfg.white)


AS_IT_LIES = Reading()


class ImageFile:
    """An image file in memory. Only its header has been read.

    Attributes:
        width, height: in pixels, as `decode` returns it whole.

    Raises:
        BadImageError: it is none, or one of too many pixels.
    """

    def __init__(self, data: bytes, reading: Reading = AS_IT_LIES) -> None:
        self.data, self.reading = data, reading
        self.fast = False  # is it for simplejpeg?
        self.orientation = 1
        self.opened: Image.Image | None = None  # else by Pillow, until it is decoded
        try:
            self._open()
        except MemoryError:
            raise
        except Exception as error:  # Pillow's plugins raise whatever their parsers meet
            raise BadImageError.because(error) from error
        if 0 < most_pixels() < self.width * self.height:
            raise BadImageError.because(Image.DecompressionBombError())
        self._stored = self.width, self.height
        if self.orientation >= 5:
            self.width, self.height = self.height, self.width

    def _open(self) -> None:
        if simplejpeg:
            try:
                height, width, colours, _ = simplejpeg.decode_jpeg_header(self.data)
            except ValueError:
                height, width, colours = 0, 0, None
            if colours in ("Gray", "YCbCr", "RGB"):
                self.fast, self.width, self.height = True, int(width), int(height)
        if not self.fast:
            self.opened = Image.open(io.BytesIO(self.data))
            self.width, self.height = self.opened.size
        if self.reading.exif_orientation:
            self.orientation = orientation_of(self.opened or Image.open(io.BytesIO(self.data)))

    @classmethod
    def read(cls, path: str | Path, reading: Reading = AS_IT_LIES) -> ImageFile:
        """Read a file.

        Raises:
            UserError: it is not there, or may not be read.
        """
        return cls(content(path), reading)

    def decode(self, width: int = 0, height: int = 0, rows: int | None = None) -> np.ndarray:
        """Return the pixels, uint8 (H, W, 3), which stay valid until the thread decodes its next image.

        Where at least ``width`` x ``height`` pixels would do, a JPEG comes at a half, a quarter or an eighth of its
        sides, rounded up: libjpeg then does less work. Of one that comes whole, only ``rows`` or somewhat more at the
        top may be decoded. One that is turned by its EXIF orientation comes whole.

        Raises:
            BadImageError: it is damaged.
        """
        try:
            if self.orientation == 1:
                return self._decode(width, height, rows)
            return turned(self._decode(), self.orientation)
        except MemoryError:
            raise
        except Exception as error:
            raise BadImageError.because(error) from error

    def _decode(self, width: int = 0, height: int = 0, rows: int | None = None) -> np.ndarray:
        whole_width, whole_height = self._stored
        enough = [s for s in (2, 4, 8) if 0 < s * width <= whole_width and 0 < s * height <= whole_height]
        share = max(enough, default=1)
        size = -(-whole_width // share), -(-whole_height // share)
        if simplejpeg and self.fast:
            buffer = _decoded.array((whole_height, whole_width, 3))
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
            image.draft("RGB", (whole_width // share, whole_height // share))
        return np.array(to_rgb(image, self.reading.white))


def content(path: str | Path) -> bytes:
    """Return what is in a file.

    Raises:
        UserError: it is not there, or may not be read.
    """
    try:
        with io.FileIO(path) as file:
            return file.readall()
    except OSError as error:
        raise unreadable(path, error) from None


def unreadable(path: str | Path, error: OSError) -> UserError:
    """Say that a file cannot be read from the disk, whatever is in it."""
    return UserError(f"cannot read the file {path} ({error.strerror}): make it readable, or remove it")


def orientation_of(image: Image.Image) -> int:
    """Return how the EXIF data of an opened image say that it is to be turned, 1 to 8; 1 is as it lies."""
    if image.format == "TIFF":
        return 1  # Pillow has turned it, whatever is asked for
    if image.format == "PNG":
        image.load()  # where they may stand at the end; done below, an error would be lost
    with suppress(Exception):  # EXIF data that cannot be read say nothing
        found: Any = image.getexif().get(ExifTags.Base.Orientation)
        return found if found in range(1, 9) else 1
    return 1


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn (H, W, 3) as an EXIF orientation says."""
    pixels = pixels.swapaxes(0, 1) if orientation >= 5 else pixels
    pixels = pixels[::-1] if orientation in (3, 4, 7, 8) else pixels
    return np.ascontiguousarray(pixels[:, ::-1] if orientation in (2, 3, 6, 7) else pixels)


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
