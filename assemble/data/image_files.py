"""Images in files as a split: loaded by position, read beforehand where that is asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np

from assemble.data.cache_folder import cache_folder
from assemble.data.decode import AS_IT_LIES, BadImageError, ImageFile, Reading
from assemble.data.pixel_cache import PixelCache, pixel_cache
from assemble.data.places import File, FilesIn, Place, Places, cannot_read
from assemble.data.splits import Crop, digest_of
from assemble.data.verify import damaged, decode_small, read_ends, remembered
from assemble.errors import UserError
from assemble.schema import Cache, DataConfig, OnBadImage

COUNTED = 100_000
"""Images of a split up to which the sizes of all are in its digest: on a network disk a million takes minutes."""
SAMPLED = 10_000
"""Of how many images, evenly spaced, the sizes are in the digest of a larger one."""


class ImageFiles:
    """Image files, with their labels.

    Args:
        folder: where they lie.
        files: their paths there (`os.fsencode`), by which they are known.
        labels: as many.
        name: of the split.
        left_out: what else lies there (`assemble.data.splits.OnDisk`).
        places: where their bytes are; None: in the files of these paths.
    """

    def __init__(
        self,
        folder: Path,
        files: Sequence[bytes] | np.ndarray,
        labels: Sequence[int] | np.ndarray,
        *,
        name: str = "",
        left_out: Mapping[str, int] | None = None,
        places: Places | None = None,
    ) -> None:
        self.name, self.left_out = name or folder.name, left_out or {}
        # One array, not a million strings: workers share it, since reading it touches no reference counts.
        self.files = np.asarray(files)
        self.labels = np.asarray(labels)
        self.places = places or FilesIn(folder, self.files)
        self.reading = AS_IT_LIES
        self.bad: Mapping[str, str] = {}
        self.cached: PixelCache | None = None

    def path(self, index: int) -> str:
        return str(self.places[index])

    def load(self, index: int, crop: Crop) -> np.ndarray:
        place, cached = self.places[index], self.cached
        if cached is None:
            return load(place, crop, self.reading)
        return _cropped(lambda: cached.image(index, place, self.reading), crop, place)

    def digest(self) -> str:
        """Return hex digits of names, labels and sizes: to read the images themselves would take an epoch's time."""
        count = len(self.files)
        looked_at = range(0, count, 1 if count <= COUNTED else -(-count // SAMPLED))
        return digest_of(self.files, self.labels, self.places.sizes(looked_at))

    def as_asked(self, cfg: DataConfig) -> Self:
        """Read the files as the configuration says, and keep those that can be decoded where it wants the others out.

        Raises:
            UserError: a class has no others; a file cannot be read from the disk.
        """
        self.reading = Reading.of(cfg)
        if cfg.on_bad_image is OnBadImage.skip:
            self._leave_out(remembered(self._find_damaged, self.files, self.places.stats(), self.reading))
        if cfg.cache is Cache.ram:
            self.cached = pixel_cache(self.places, self.files, self.reading, cache_folder(cfg), self.name)
        return self

    def _find_damaged(self) -> dict[str, str]:
        look = partial(decode_small, reading=self.reading)
        found = damaged(self.places, len(self.files), look, f"decoding {self.name}")
        return {os.fsdecode(self.files[index]): reason for index, reason in found.items()}

    def _leave_out(self, bad: Mapping[str, str]) -> None:
        if not bad:
            return
        kept = ~np.isin(self.files, [os.fsencode(path) for path in bad])
        for label in np.setdiff1d(self.labels, self.labels[kept]):
            first = self.path(int(np.argmax(self.labels == label)))
            raise UserError(f"no image beside {first} can be decoded, so its class has none: replace some of them")
        # As wide as the longest that stays: the digest is that of a folder without the others.
        self.files, self.labels, self.bad = np.array(self.files[kept].tolist()), self.labels[kept], bad
        self.places = self.places.kept(kept)

    def bad_headers(self) -> dict[str, str]:
        look = partial(read_ends, reading=self.reading)
        found = damaged(self.places, len(self.files), look, f"reading {self.name}")
        return {self.path(index): reason for index, reason in found.items()}


def load(place: Place | str | Path, crop: Crop, reading: Reading = AS_IT_LIES) -> np.ndarray:
    """Read an image, of a file where a path is given, and return what a crop makes of it.

    Raises:
        UserError: it cannot be read, decoded, or cropped; names the file.
    """
    place = File(str(place)) if isinstance(place, str | Path) else place
    return _cropped(lambda: ImageFile(place.read(), reading), crop, place)


def _cropped(opened: Callable[[], Any], crop: Crop, place: Place) -> np.ndarray:
    try:
        image = opened()  # what is wrong then names the place itself
    except BadImageError as error:
        raise cannot_read(place, error) from None
    try:
        return crop(image)
    except BadImageError as error:
        raise cannot_read(place, error) from None
    except UserError as error:
        raise UserError(f"{place}: {error}") from None
