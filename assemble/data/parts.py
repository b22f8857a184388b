"""Where the splits of a data set are: folders of classes, archives of them, or WebDataset's shards."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Protocol

from assemble.data.archive_index import Archived, Table, indexed
from assemble.data.image_files import ImageFiles
from assemble.data.members import ARCHIVES, Entry, members
from assemble.data.places import Archive
from assemble.data.scan import BESIDE_CLASSES, EXTENSIONS, HIDDEN, IMAGE, kind_by_name
from assemble.errors import UserError

SPLITS = ("train", "val", "test")
SHARD = r"(.*[-_.])?({names})[-_.](\d+)\.tar"
"""What shards beside each other are called, in a folder that has those of all splits."""
CALLED = {"train": "train", "val": "val|valid|validation", "test": "test"}
CLASSES = "classes.txt"
"""File beside shards that has the name of each class, one a line."""


class Part(Protocol):
    """The images of one split, before they are looked for. As a text it is how messages name it."""

    def classes(self) -> list[str]:
        """Return the names of its classes, in the order of their labels."""
        ...

    def images(self, classes: list[str], name: str, only: Collection[str] | None = None) -> ImageFiles:
        """Return its images, with labels that are positions in ``classes``; of more classes, ``only`` those.

        Raises:
            UserError: it has others.
        """
        ...


def parts_within(archive: Path, cache: Path) -> dict[str, Part]:
    """Return split -> what an archive has of it; '' where class folders are in no split's.

    Raises:
        UserError: it cannot be read, or has no images where they should be.
    """
    tables, archives = indexed("tree", [archive], lambda: tree(archive), cache)
    return {split: Archived(archive / split, table, archives) for split, table in tables.items()}


def archived_part(root: Path, split: str, cache: Path) -> Part | None:
    """Return what archives in a folder have of a split; None where there is none. Raises as `parts_within`."""
    if archive := next((f for end in ARCHIVES if (f := root / f"{split}{end}").is_file()), None):
        tables, archives = indexed("split", [archive], lambda: tree(archive, split), cache)
        return Archived(archive, tables[""], archives)
    if not (shards := shards_of(root, split)):
        return None
    named = next((f for f in (shards[0].parent / CLASSES, root / CLASSES) if f.is_file()), None)
    beside = [named] if named else []
    tables, archives = indexed("shards", shards, lambda: {"": shard_table(shards, named)}, cache, beside)
    return Archived(shards[0].parent / f"{split}-*.tar", tables[""], archives)


def shards_of(root: Path, split: str) -> list[Path]:
    """List the shards of a split: all archives of root/split/, or what is called so in root.

    Raises:
        UserError: one is missing between others.
    """
    if (root / split).is_dir():
        return sorted((root / split).glob("*.tar"))
    pattern = re.compile(SHARD.format(names=CALLED[split]))
    found = sorted((int(match[3]), file) for file in root.glob("*.tar") if (match := pattern.fullmatch(file.name)))
    for (one, file), (other, _) in pairwise(found):
        if other != one + 1:
            what = f"two shards have the number {one}" if other == one else f"shard {one + 1} is missing"
            raise UserError(f"{what} beside {file}: copy or download the shards again")
    return [file for _, file in found]


# --- class folders within an archive


def tree(path: Path, split: str | None = None) -> dict[str, Table]:
    """Look into an archive of class folders: return split -> its images.

    Args:
        path: of the archive.
        split: which it is of, where it is of one: the folders of the classes are in it, or in its folder ``split/``.
            None: train/, val/ and test/ are in it, perhaps in a folder that has all, or the folders of the classes are
            (their split is '' then).
    """
    found = [(entry.name.split("/"), entry) for entry in members(path) if entry.name not in {".", ".."}]
    tops = {parts[0] for parts, _ in found if not parts[0].startswith(".")}
    wrapped = split in tops if split else not tops & {*SPLITS}
    if len(tops) == 1 and wrapped and any(len(parts) > 2 for parts, entry in found if not entry.folder):
        found = [(parts[1:], entry) for parts, entry in found if len(parts) > 1]
        tops = {parts[0] for parts, _ in found}
    if split or not tops & {*SPLITS}:
        return {"": _class_folders(path, found)}
    return {
        name: _class_folders(path / name, [(parts[1:], e) for parts, e in found if parts[0] == name and len(parts) > 1])
        for name in SPLITS
        if name in tops
    }


def _class_folders(path: Path, found: Sequence[tuple[list[str], Entry]]) -> Table:
    images: dict[str, list[tuple[str, Entry]]] = {}
    left_out: Counter[str] = Counter()
    for parts, entry in found:
        hidden = any(part.startswith(".") for part in parts)
        if not hidden and (entry.folder or len(parts) > 1):
            images.setdefault(parts[0], [])
        if entry.folder:
            continue
        what = HIDDEN if hidden else kind_by_name(parts[-1])
        if len(parts) == 1 and not hidden:
            left_out[what + BESIDE_CLASSES] += 1
        elif what == IMAGE:
            images[parts[0]].append(("/".join(parts), entry))
        else:
            left_out[what] += 1
    if not images:
        raise UserError(f"{path} has no class folders: expected <class>/*.jpg there")
    for name, inside in images.items():
        if not inside:
            raise UserError(f"{path / name} has no images ({', '.join(EXTENSIONS)}): add some, or remove the folder")
    classes = sorted(images)
    return Table.of(
        classes,
        [(label, name, (0, *e.where)) for label, one in enumerate(classes) for name, e in images[one]],
        left_out,
    )


# --- WebDataset's shards


def shard_table(shards: Sequence[Path], named: Path | None) -> Table:
    """Look into shards: key.jpg with key.cls (a number, or the name of a class) or key.json with a ``label``.

    Args:
        shards: in their order.
        named: file with the names of the classes; None: they are the numbers, or the names in key.cls.

    Raises:
        UserError: an image has no label, or one that is no class.
    """
    given = _lines(named) if named else None
    samples: list[tuple[str, str, tuple[int, ...]]] = []  # label, name, where
    left_out: Counter[str] = Counter()
    for number, path in enumerate(shards):
        archive, parts = Archive.at(path), {}
        for entry in members(path):
            if entry.folder:
                continue
            folder, _, file = entry.name.rpartition("/")
            key, _, ending = file.partition(".")
            if not key:
                left_out[HIDDEN] += 1
            else:
                parts.setdefault(f"{folder}/{key}" if folder else key, {})[ending.lower()] = entry
        for key, sample in parts.items():
            pictured = [entry for ending, entry in sample.items() if f".{ending}".endswith(EXTENSIONS)]
            if len(pictured) > 1:
                raise UserError(f"{path} has {len(pictured)} images with the key {key}: one has one label")
            if not pictured:
                left_out.update(f".{ending}" for ending in sample)
                continue
            samples.append((_label(archive, key, sample), pictured[0].name, (number, *pictured[0].where)))
    if not samples:
        raise UserError(f"{shards[0].parent} has no images in its shards ({', '.join(EXTENSIONS)})")
    classes = given or class_names({label for label, *_ in samples})
    place = {name: position for position, name in enumerate(classes)}
    numbers = [_position(label, place, given, shards[0]) for label, *_ in samples]
    names = [name_in_class(classes[n], name) for n, (_, name, _) in zip(numbers, samples, strict=True)]
    if len({*names}) < len(names):  # keys are those of their shard alone
        names = [
            f"{classes[n]}/{shards[where[0]].stem}/{name}" for n, (_, name, where) in zip(numbers, samples, strict=True)
        ]
    return Table.of(classes, [(n, name, w) for n, name, (*_, w) in zip(numbers, names, samples, strict=True)], left_out)


def name_in_class(of: str, name: str) -> str:
    """Return what an image is called in folders of classes."""
    return name if name.startswith(f"{of}/") else f"{of}/{name}"


def _lines(path: Path) -> list[str]:
    lines = [line.strip() for line in path.read_text("utf-8", "surrogateescape").splitlines()]
    names = [line for line in lines if line]
    if len({*names}) < len(names):
        raise UserError(f"{path} has a class twice: give each its own name")
    return names


def _label(archive: Archive, key: str, sample: dict[str, Entry]) -> str:
    """Return the label of a sample as it is written."""
    found = sample.get("cls") or sample.get("json")
    if found is None:
        raise UserError(f"{archive.path} has no label of {key}: expected {key}.cls, or {key}.json with a label")
    text = archive.read(found.offset, found.length).decode("utf-8", "replace").strip()
    if "cls" not in sample:
        try:
            label = json.loads(text)["label"]
        except (ValueError, KeyError, TypeError):
            label = None
        text = str(label) if isinstance(label, int | str) else ""
    if not text:
        raise UserError(f"{archive.path} has no label in {found.name}: expected a number or the name of a class")
    return text


def class_names(labels: set[str]) -> list[str]:
    """Return the classes that are not named: numbers up to the largest, or all names."""
    if all(label.isdecimal() for label in labels):
        return [str(number) for number in range(1 + max(map(int, labels)))]
    return sorted(labels)


def _position(label: str, place: dict[str, int], given: list[str] | None, shard: Path) -> int:
    if label in place:
        return place[label]
    if label.isdecimal() and int(label) < len(place):
        return int(label)
    known = f"{CLASSES} beside it has {len(place)} classes" if given else "others have names"
    raise UserError(f"the shards beside {shard} have the label {label[:50]}, which is no class: {known}")
