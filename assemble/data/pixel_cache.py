"""Decoded images of files, kept in one file that all processes of a machine map into memory (``data.cache=ram``).

The pixels are those that decoding gives, whole. Where a crop would do with a JPEG at a half of its sides or less, it
is decoded anew, since that gives other pixels: what a run sees does not depend on whether there is a cache.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import PIL

from assemble.atomic import alone
from assemble.data.cache_folder import free_memory
from assemble.data.decode import DECODER, BadImageError, ImageFile, Reading
from assemble.data.places import Place, Places, cannot_read
from assemble.data.splits import digest_of
from assemble.devices import cores
from assemble.errors import UserError
from assemble.progress_bar import bar

CHUNK = 1024
"""Files that are begun with before the first of them is asked for: what an interrupt waits for."""


class PixelCache:
    """The images of a split, uint8, one after the other.

    Args:
        folder: where they are kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return PixelCache, (self.folder,)  # a worker maps the file, and gets no copy of it

    @cached_property
    def _sides(self) -> np.ndarray:
        """Width and height of each (N, 2)."""
        return np.load(self.folder / "sides.npy")

    @cached_property
    def _starts(self) -> np.ndarray:
        return starts_of(self._sides)

    @cached_property
    def _pixels(self) -> np.ndarray:
        return np.asarray(
            np.memmap(self.folder / "pixels.bin", np.uint8, "c")
        )  # private: torch warns of what may not be written

    def image(self, index: int, place: Place, reading: Reading) -> CachedImage:
        """Return an image, whose bytes are at ``place``."""
        width, height = self._sides[index].tolist()
        start = int(self._starts[index])
        pixels = self._pixels[start : start + 3 * width * height].reshape(height, width, 3)
        return CachedImage(pixels, place, reading)


class CachedImage:
    """What a crop asks of an `ImageFile`."""

    def __init__(self, pixels: np.ndarray, place: Place, reading: Reading) -> None:
        self.pixels, self.place, self.reading = pixels, place, reading
        self.height, self.width = pixels.shape[:2]

    def decode(self, width: int = 0, height: int = 0, rows: int | None = None) -> np.ndarray:
        """Return the pixels, uint8 (H, W, 3), as `ImageFile.decode` does; they are not to be written to."""
        if 0 < 2 * width <= max(self.width, self.height) and 0 < 2 * height <= max(self.width, self.height):
            return ImageFile(self.place.read(), self.reading).decode(width, height, rows)
        return self.pixels


def starts_of(sides: np.ndarray) -> np.ndarray:
    """Return where each image begins, from widths and heights (N, 2) -> bytes (N + 1,), the last one the end."""
    return np.concatenate([[0], np.cumsum(3 * sides.prod(1))])


def pixel_cache(places: Places, files: np.ndarray, reading: Reading, top: Path, name: str) -> PixelCache:
    """Return the decoded images of these ``places``, whose names are ``files``.

    They are kept in ``top`` while these, the decoders and their options stay.

    Of several processes that ask at once one decodes for all.

    Raises:
        UserError: memory or disk have no room for them, a file is no image, or the cache cannot be written.
    """
    decoders = f"{PIL.__version__} {DECODER} {reading}"
    folder = top / "pixels" / digest_of(files, places.stats(), np.frombuffer(decoders.encode(), np.uint8))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with alone(folder.with_suffix(".lock")):
            if not folder.is_dir():
                _fill(folder, places, len(files), reading, name)
    except OSError as error:
        raise UserError(
            f"data.cache=ram keeps decoded images in {folder.parent}, which cannot be used ({error.strerror}): set "
            "data.cache_dir to a folder that can"
        ) from error
    return PixelCache(folder)


def _fill(folder: Path, places: Places, count: int, reading: Reading, name: str) -> None:
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)  # of a process that was killed
    part.mkdir()
    try:
        with ThreadPoolExecutor(cores()) as pool:
            opened = _in_order(
                pool, lambda i: _opened(places[i], reading, size=True), range(count), f"measuring {name}"
            )
            sides = np.array(opened, np.int64).reshape(-1, 2)
            starts = starts_of(sides)
            _check_room(int(starts[-1]), folder.parent)
            pixels = np.memmap(part / "pixels.bin", np.uint8, "w+", shape=(max(1, int(starts[-1])),))

            def decode(index: int) -> None:
                pixels[starts[index] : starts[index + 1]] = _opened(places[index], reading).reshape(-1)

            _in_order(pool, decode, range(count), f"decoding {name}")
        pixels.flush()
        np.save(part / "sides.npy", sides)
        part.replace(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _in_order(pool: ThreadPoolExecutor, do: Any, items: Sequence[Any], what: str) -> list[Any]:
    done = []
    with bar(what, "image", total=len(items), delay=2) as progress:
        for start in range(0, len(items), CHUNK):
            done += pool.map(do, items[start : start + CHUNK])
            progress.update(len(items[start : start + CHUNK]))
    return done


def _opened(place: Place, reading: Reading, size: bool = False) -> Any:
    try:
        image = ImageFile(place.read(), reading)
        return (image.width, image.height) if size else image.decode()
    except BadImageError as error:
        raise cannot_read(place, error) from None


def _check_room(size: int, folder: Path) -> None:
    for place, free in (("memory", free_memory()), (f"disk of {folder}", shutil.disk_usage(folder).free)):
        if size > free:
            raise UserError(
                f"data.cache=ram: the decoded images take {size / 1e9:.1f} GB, and the {place} has {free / 1e9:.1f} GB "
                "free: leave it out"
            )
