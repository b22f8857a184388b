"""Logits of a whole training set, computed once and kept on disk, row i for image i.

A folder of shards, ``logits-00000.npy`` and so on, and ``about.json``, which says what they are the logits of. A shard
is there whole or not at all, so the work goes on where it was stopped, and several processes may share it. Shards are
mapped into memory: all processes of a machine read one copy.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from assemble.atomic import write_whole
from assemble.errors import UserError
from assemble.json_files import parse_json

SHARD = 4096
"""Rows of a shard: what is lost when the work is stopped."""


@dataclass(frozen=True)
class LogitStore:
    """The folder, whether it is complete or not."""

    folder: Path
    rows: int
    shard: int
    about: Mapping[str, str]

    @classmethod
    def open(cls, folder: Path) -> LogitStore | None:
        """Open the store in ``folder``; None where none was begun.

        Raises:
            UserError: the folder holds something else.
        """
        path = folder / "about.json"
        try:
            about = parse_json(path.read_text(encoding="utf-8"))
            return cls(folder, int(about.pop("rows")), int(about.pop("shard")), about)
        except FileNotFoundError:
            if folder.exists() and (not folder.is_dir() or any(folder.glob("[!.]*"))):
                raise UserError(f"{folder} holds something other than logits: name another folder") from None
            return None
        except (ValueError, KeyError, AttributeError, TypeError, OSError) as error:
            raise UserError(f"{path} is damaged: remove {folder}, and the same command begins it anew") from error

    @classmethod
    def begin(cls, folder: Path, rows: int, about: Mapping[str, str], shard: int = SHARD) -> LogitStore:
        """Make an empty store. ``about``: what the logits depend on, as a few words or digits each."""
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"rows": rows, "shard": shard, **about}, indent=2) + "\n"
        write_whole(folder / "about.json", text)
        return cls(folder, rows, shard, dict(about))

    def check(self, rows: int, about: Mapping[str, str]) -> None:
        """Raise `UserError` unless these are logits of what ``about`` says, for as many images."""
        expected, found = {"rows": str(rows), **about}, {"rows": str(self.rows), **self.about}
        for key, value in expected.items():
            if found.get(key) != value:
                raise UserError(
                    f"{self.folder} holds logits of something else: {key} {found.get(key)} there, {value} here. Name "
                    "another folder, or remove this one"
                )

    @property
    def missing(self) -> list[int]:
        """The shards that have not been computed."""
        return [number for number in range(-(-self.rows // self.shard)) if not self._path(number).is_file()]

    def positions(self, number: int) -> range:
        """Return the images of a shard."""
        return range(number * self.shard, min((number + 1) * self.shard, self.rows))

    def write(self, number: int, logits: np.ndarray) -> None:
        """Store a shard (rows of it, K), in the precision it is given in.

        Raises:
            UserError: there are numbers in it that are not finite, in this precision.
        """
        if not np.isfinite(logits).all():
            raise UserError(f"logits that are not finite in {logits.dtype}: the network that gives them is broken")
        content = io.BytesIO()  # NumPy's own writing to a full disk raises an error that does not say what it is
        np.save(content, logits)
        write_whole(self._path(number), content.getvalue())

    def fill(self, rows_of: Callable[[range], Iterable[np.ndarray]]) -> None:
        """Compute what is missing.

        Args:
            rows_of: positions -> their logits, in order, in parts (n, K).
        """
        left = self.missing
        # In an order of its own, each of several processes rarely meets another one at the same shard; where two do,
        # they write the same.
        order = np.random.default_rng().permutation(left).tolist()
        done = self.rows - sum(len(self.positions(number)) for number in left)
        with tqdm(total=self.rows, initial=done, desc="logits", unit="image", file=sys.stderr) as bar:
            for number in order:
                positions = self.positions(number)
                if self._path(number).is_file():
                    bar.update(len(positions))
                    continue
                parts = []
                for part in rows_of(positions):
                    parts.append(part)
                    bar.update(len(part))
                self.write(number, np.concatenate(parts))

    def read(self) -> StoredLogits:
        """Read the rows.

        Raises:
            UserError: shards are missing or damaged.
        """
        if self.missing:
            raise UserError(f"{self.folder} lacks {len(self.missing)} shards of its logits")
        return StoredLogits([self._map(number) for number in range(-(-self.rows // self.shard))], self.shard)

    def _map(self, number: int) -> np.ndarray:
        path = self._path(number)
        try:
            rows = np.load(path, mmap_mode="r")
            if rows.ndim != 2 or len(rows) != len(self.positions(number)):
                raise ValueError(rows.shape)
        except (ValueError, OSError, EOFError) as error:
            raise UserError(f"{path} is damaged: remove it, and the same command computes it again") from error
        return rows

    def _path(self, number: int) -> Path:
        return self.folder / f"logits-{number:05}.npy"


@dataclass(frozen=True)
class StoredLogits:
    """Rows by position."""

    shards: Sequence[np.ndarray]
    shard: int

    @property
    def classes(self) -> int:
        """K."""
        return self.shards[0].shape[1]

    def __getitem__(self, positions: Sequence[int]) -> np.ndarray:
        """Return the logits (N, K) at positions (N,), in the precision they are stored in."""
        return np.stack([self.shards[i // self.shard][i % self.shard] for i in positions])
