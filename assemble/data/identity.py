"""Which data a run is of: the names of its classes, and digests of its splits."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from assemble.data.class_map import chosen_classes
from assemble.data.members import ARCHIVES
from assemble.data.sources import open_whole
from assemble.data.splits import Source
from assemble.errors import UserError
from assemble.schema import DataConfig


@dataclass(frozen=True)
class DataIdentity:
    """What makes two data sets the same one, wherever they lie."""

    classes: tuple[str, ...]
    splits: Mapping[str, str]
    """Split -> hex digits of the names, labels and sizes of its images, in order."""

    @classmethod
    def of(cls, source: Source) -> DataIdentity:
        """Return the identity of an opened data set."""
        return cls(tuple(source.classes), {name: getattr(source, name).digest() for name in ("train", "val", "test")})

    @property
    def digest(self) -> str:
        """Sixteen hex digits of all of it."""
        text = "\0".join([*self.classes, *(f"{name} {digits}" for name, digits in sorted(self.splits.items()))])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


_KNOWN: dict[tuple[object, ...], str] = {}


def data_digest(cfg: DataConfig) -> str | None:
    """Return `DataIdentity.digest` of the whole data set that ``cfg`` names; None where it cannot be opened.

    Kept by the times of its folders: the jobs of a sweep ask for it one after the other.
    """
    try:
        key = (
            cfg.name,
            cfg._target_,
            repr(cfg.args),
            cfg.val_share,
            cfg.val_share_seed,
            cfg.folds,
            *(chosen_classes(cfg) or [None]),
            cfg.on_bad_image,
            cfg.white,
            *_folder_times(cfg.root),
        )
        if key not in _KNOWN:
            _KNOWN[key] = DataIdentity.of(open_whole(replace(cfg, cache=None))).digest
    except UserError:
        return None
    return _KNOWN[key]


def _folder_times(root: str | None) -> list[object]:
    if root is None:
        return []
    folder = Path(root).expanduser().resolve()
    patterns = ("*/", "*/*/", *(f"{below}*{end}" for end in (*ARCHIVES, ".parquet") for below in ("", "*/")))
    found = [folder, *(path for pattern in patterns for path in folder.glob(pattern))]
    return [folder, *(path.stat().st_mtime_ns for path in found if path.exists())]
