"""Image files as a split: loaded by position, read beforehand where that is asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np

from assemble.data.decode import AS_IT_LIES, BadImageError, ImageFile, Reading, content, unreadable
from assemble.data.splits import Crop, digest_of
from assemble.data.verify import damaged, decode_small, read_ends, remembered
from assemble.errors import UserError
from assemble.schema import DataConfig, OnBadImage

COUNTED = 100_000
"""Images of a split up to which the sizes of all are in its digest: on a network disk a million takes minutes."""
SAMPLED = 10_000
"""Of how many images, evenly spaced, the sizes are in the digest of a larger one."""


class ImageFiles:
    """Image files, by their paths in ``folder`` (`os.fsencode`), with their labels.

    Args:
        folder: where they lie.
        files: the paths.
        labels: as many.
        name: of the split.
        left_out: what else lies there (`assemble.data.splits.OnDisk`).
    """

    def __init__(
        self,
        folder: Path,
        files: Sequence[bytes],
        labels: Sequence[int],
        *,
        name: str = "",
        left_out: Mapping[str, int] | None = None,
    ) -> None:
        self.folder, self.name, self.left_out = folder, name or folder.name, left_out or {}
        # One array, not a million strings: workers share it, since reading it touches no reference counts.
        self.files = np.array(files)
        self.labels = np.array(labels)
        self.reading = AS_IT_LIES
        self.bad: Mapping[str, str] = {}

    def path(self, index: int) -> str:
        # With pathlib it would take ten times as long, longer than to read the file.
        return f"{self.folder}/{os.fsdecode(self.files[index])}"

    def paths(self) -> list[str]:
        return [self.path(index) for index in range(len(self.files))]

    def load(self, index: int, crop: Crop) -> np.ndarray:
        return load(self.path(index), crop, self.reading)

    def digest(self) -> str:
        """Return hex digits of names, labels and sizes: to read the images themselves would take an epoch's time."""
        count = len(self.files)
        looked_at = range(0, count, 1 if count <= COUNTED else -(-count // SAMPLED))
        sizes = [_size_and_time(self.path(index))[0] for index in looked_at]
        return digest_of(self.files, self.labels, np.array(sizes, np.int64))

    def _stats(self) -> list[tuple[int, int]]:
        """Return size and time of each file."""
        return [_size_and_time(path) for path in self.paths()]

    def as_asked(self, cfg: DataConfig) -> Self:
        """Read the files as the configuration says, and keep those that can be decoded where it wants the others out.

        Raises:
            UserError: a class has no others; a file cannot be read from the disk.
        """
        self.reading = Reading.of(cfg)
        if cfg.on_bad_image is OnBadImage.skip:
            self._leave_out(remembered(self._find_damaged, self.files, np.array(self._stats()), self.reading))
        return self

    def _find_damaged(self) -> dict[str, str]:
        found = damaged(self.paths(), partial(decode_small, reading=self.reading), f"decoding {self.name}")
        return {path.removeprefix(f"{self.folder}/"): reason for path, reason in found.items()}

    def _leave_out(self, bad: Mapping[str, str]) -> None:
        if not bad:
            return
        kept = ~np.isin(self.files, [os.fsencode(path) for path in bad])
        for label in np.setdiff1d(self.labels, self.labels[kept]):
            first = self.path(int(np.argmax(self.labels == label)))
            raise UserError(f"no image beside {first} can be decoded, so its class has none: replace some of them")
        # As wide as the longest that stays: the digest is that of a folder without the others.
        self.files, self.labels, self.bad = np.array(self.files[kept].tolist()), self.labels[kept], bad

    def bad_headers(self) -> dict[str, str]:
        return damaged(self.paths(), partial(read_ends, reading=self.reading), f"reading {self.name}")


def load(path: str | Path, crop: Crop, reading: Reading = AS_IT_LIES) -> np.ndarray:
    """Read an image file and return what a crop makes of it.

    Raises:
        UserError: it cannot be read, decoded, or cropped; names the file.
    """
    data = content(path)
    try:
        return crop(ImageFile(data, reading))
    except BadImageError as error:
        raise UserError(
            f"cannot read the image {path} ({error}): replace it, or remove it (data.on_bad_image=skip leaves it out)"
        ) from None
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _size_and_time(path: str) -> tuple[int, int]:
    try:
        about = os.stat(path)  # noqa: PTH116 - pathlib takes ten times as long
    except OSError as error:
        raise unreadable(path, error) from error
    return about.st_size, about.st_mtime_ns
