"""Image files by a list: a CSV file with a line for each image, its path, its label, and perhaps its split."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from assemble.data.held_out import from_train, parted
from assemble.data.image_files import ImageFiles
from assemble.data.parts import SPLITS
from assemble.data.scan import entries
from assemble.data.splits import Source
from assemble.errors import UserError
from assemble.schema import DataConfig

COLUMNS = ("path", "label")
LAYOUT = "expected a CSV file with the columns path, label and perhaps split (train, val or test)"
OTHERS = {";": "semicolons", "\t": "tabs"}
"""What stands between the columns of files that are nearly such lists."""
SHOWN = 5
"""Lines that are named in an error."""


@dataclass
class Listed:
    """The lines of one split, in their order."""

    files: list[str] = field(default_factory=list)
    """Paths in the list's folder."""
    labels: list[str] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    """Where each stands in the list, from 1."""


def listed(cfg: DataConfig) -> Source:
    """Open the images of the list ``cfg.root``; the order of a split is that of its lines.

    The classes are the labels of the training images: sorted as names, or as numbers where all are numbers.

    Raises:
        UserError: the list, or an image of it, is not there; a line is wrong, which is named by its number.
    """
    path, splits = _read(cfg)
    if len(splits) == 1 and not from_train(cfg):
        raise UserError(
            f"{path} has images of {next(iter(splits))} alone: a column split says which are of val, or "
            "data.val_share=0.1 or data.folds=5 takes them from the training images"
        )
    for name in ("train",) if from_train(cfg) else ("train", "val"):
        if name not in splits:
            raise UserError(f"{path} has no image of the split {name}: {LAYOUT}")
    classes = _classes(splits["train"].labels)
    return parted(
        classes, {name: _images(path, name, splits[name], classes, cfg) for name in SPLITS if name in splits}, cfg
    )


def listed_split(
    cfg: DataConfig, names: Sequence[str], classes: list[str] | None
) -> tuple[list[str], ImageFiles] | None:
    """Open the first of those splits that the list has, with the classes of train, else its own; None: it has none."""
    path, splits = _read(cfg)
    for name in names:
        if name in splits:
            classes = classes or _classes(splits.get("train", splits[name]).labels)
            return classes, _images(path, name, splits[name], classes, cfg)
    return None


def _read(cfg: DataConfig) -> tuple[Path, dict[str, Listed]]:
    """Return where the list is, and its lines by split; without a column for it, all are to train."""
    if not cfg.root:
        raise UserError(f"data={cfg.name} needs data.root=FILE.csv: {LAYOUT}")
    path = Path(cfg.root).expanduser()
    splits: dict[str, Listed] = {}
    seen: dict[str, int] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file, skipinitialspace=True)
            rows.fieldnames = [name.strip() for name in rows.fieldnames or ()]
            for column in COLUMNS:
                if column not in rows.fieldnames:
                    for sign, words in OTHERS.items():
                        if sign in "".join(rows.fieldnames):
                            raise UserError(f"{path} has {words} between its columns: put commas there")
                    raise UserError(f"{path} has no column {column} in its first line: {LAYOUT}")
            for row in rows:
                line = rows.line_num
                name, label = _inside(row["path"] or "", path.parent), (row["label"] or "").strip()
                split = (row["split"] or "").strip() if "split" in row else "train"
                if not name or not label:
                    raise UserError(f"{path}, line {line}: its {'label' if name else 'path'} is empty: write it there")
                if split not in SPLITS:
                    raise UserError(f"{path}, line {line}: the split '{split}' is none of {', '.join(SPLITS)}")
                if (first := seen.setdefault(name, line)) != line:
                    raise UserError(f"{path}, line {line}: {name} stands in line {first} already: remove one of them")
                found = splits.setdefault(split, Listed())
                found.files.append(name)
                found.labels.append(label)
                found.lines.append(line)
    except OSError as error:
        raise UserError(f"cannot read the list {path} ({error.strerror}): {LAYOUT}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is no CSV file in UTF-8 ({error}): {LAYOUT}") from error
    if not splits:
        raise UserError(f"{path} has no lines below the first: {LAYOUT}")
    return path, splits


def _inside(name: str, folder: Path) -> str:
    """Return a path as one in ``folder``, the same however it was written; empty if it is."""
    plain = name and not name.startswith(("/", "./", "../")) and "//" not in name and "/." not in name
    if plain or not name.strip():  # most: the other way takes ten times as long
        return name.strip() and name
    top = folder.absolute()
    return os.path.relpath(top / name, top)  # pathlib's own leaves .. as it is


def _classes(labels: Sequence[str]) -> list[str]:
    found = set(labels)
    return sorted(found, key=int) if all(label.isascii() and label.isdigit() for label in found) else sorted(found)


def _images(path: Path, name: str, found: Listed, classes: Sequence[str], cfg: DataConfig) -> ImageFiles:
    numbers = {label: number for number, label in enumerate(classes)}
    for label, line in zip(found.labels, found.lines, strict=True):
        if label not in numbers:
            raise UserError(f"{path}, line {line}: the label {label} is no class of the training images")
    # Folder by folder: asking for a million files one by one takes minutes.
    folders = {file.rpartition("/")[0] for file in found.files}
    root = path.parent
    there = {f"{f}/{e.name}".lstrip("/") for f in folders if (root / f).is_dir() for e in entries(root / f)}
    missing = [(file, line) for file, line in zip(found.files, found.lines, strict=True) if file not in there]
    if missing:
        lines = ", ".join(str(line) for _, line in missing[:SHOWN])
        more = f" and {len(missing) - SHOWN:,} more" if len(missing) > SHOWN else ""
        raise UserError(
            f"{path}, line{'s' if len(missing) > 1 else ''} {lines}{more}: there is no {root / missing[0][0]}"
            f"{' and so on' if len(missing) > 1 else ''}: put back what is missing, or remove the lines"
        )
    files, labels = [os.fsencode(file) for file in found.files], [numbers[label] for label in found.labels]
    return ImageFiles(root, files, labels, name=name).as_asked(cfg)
