"""ImageNet-1k as image-net.org hands it out (ILSVRC 2012): a tar of tars, flat validation images, a development kit."""

from __future__ import annotations

import io
import os
import re
import tarfile
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from assemble.data.archive_index import Archived, Table, indexed
from assemble.data.class_map import placed
from assemble.data.image_files import ImageFiles
from assemble.data.members import members, tar_within
from assemble.data.parts import Part
from assemble.data.places import FilesIn
from assemble.data.scan import EXTENSIONS, IMAGE, entries, kind, kind_by_name
from assemble.errors import UserError

TRAIN, VAL = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
KIT = "ILSVRC2012_devkit_t12"
"""The development kit: a folder, or a .tar.gz of it."""
TRUTH, SYNSETS = "data/ILSVRC2012_validation_ground_truth.txt", "data/meta.mat"
FLAT = re.compile(r"ILSVRC2012_val_(\d{8})\.JPEG")


def as_handed_out(root: Path, cache: Path, known: Collection[str]) -> dict[str, Part]:
    """Return train and val, each where image-net.org's files are in a folder, with the names that unpacked ones have.

    Training images are in ``ILSVRC2012_img_train.tar``, or in a tar for each class in ``train/``; validation images in
    ``ILSVRC2012_img_val.tar``, or in ``val/`` without folders of classes. The splits ``known`` are not looked for.

    Raises:
        UserError: an archive cannot be read; the development kit is missing, or of other images.
    """
    found: dict[str, Part] = {}
    outer, tars = root / TRAIN, sorted((root / "train").glob("n*.tar"))
    if "train" not in known and (outer.is_file() or tars):
        files = [outer] if outer.is_file() else tars
        tables, archives = indexed("classes", files, lambda: {"": _class_tars(files)}, cache)
        found["train"] = Archived(outer if outer.is_file() else root / "train", tables[""], archives)
    if "val" in known:
        return found
    if (root / VAL).is_file():
        tables, archives = indexed("flat", [root / VAL], lambda: {"": _flat_tar(root)}, cache, [_kit(root).path])
        found["val"] = Archived(root / VAL, tables[""], archives)
    elif any(FLAT.fullmatch(path.name) for path in (root / "val").glob("ILSVRC2012_val_*")):
        found["val"] = _FlatFolder(root)
    return found


def _class_tars(files: Sequence[Path]) -> Table:
    """Look into tars that are called after classes, which may be within one tar."""
    images: list[tuple[str, str, tuple[int, ...]]] = []  # class, name, where
    classes: set[str] = set()
    left_out: Counter[str] = Counter()
    nested = files[0].name == TRAIN
    for number, path in enumerate(files):
        inside = [entry for entry in members(path) if not entry.folder] if nested else [None]
        for tar in inside:
            of = Path(tar.name if tar else path.name)
            if of.suffix != ".tar":
                left_out[kind_by_name(of.name)] += 1
                continue
            classes.add(of.stem)
            before = len(images)
            for entry in tar_within(path, tar) if tar else members(path):
                name = entry.name.rpartition("/")[2]
                if not entry.folder and kind_by_name(name) == IMAGE:
                    images.append((of.stem, f"{of.stem}/{name}", (number, *entry.where)))
                elif not entry.folder:
                    left_out[kind_by_name(name)] += 1
            if len(images) == before:
                raise UserError(f"{path} has no images ({', '.join(EXTENSIONS)}) of {of.stem}: download it again")
    if not images:
        raise UserError(f"{files[0]} has no tars of classes (n01440764.tar, ...): download it again")
    names = sorted(classes)
    place = {name: position for position, name in enumerate(names)}
    return Table.of(names, [(place[of], name, where) for of, name, where in images], left_out)


def _flat_tar(root: Path) -> Table:
    truth = _kit(root).truth()
    found = {entry.name.rpartition("/")[2]: entry for entry in members(root / VAL) if not entry.folder}
    names, left_out = _labelled(list(found), truth, root / VAL)
    classes = sorted({*truth})
    return Table.of(
        classes, [(label, f"{classes[label]}/{name}", (0, *found[name].where)) for name, label in names], left_out
    )


def _labelled(names: Sequence[str], truth: Sequence[str], path: Path) -> tuple[list[tuple[str, int]], Counter[str]]:
    """Return the images with their labels, in the order of folders, and what is left out.

    Raises:
        UserError: they are not those that the development kit knows.
    """
    numbers = {name: int(match[1]) for name in names if (match := FLAT.fullmatch(name))}
    if sorted(numbers.values()) != list(range(1, 1 + len(truth))):
        raise UserError(
            f"{path} has {len(numbers):,} validation images and {KIT} the classes of {len(truth):,}: download what is "
            "missing, or take data=imagefolder"
        )
    place = {name: position for position, name in enumerate(sorted({*truth}))}
    found = [(name, place[truth[number - 1]]) for name, number in numbers.items()]
    left_out = Counter(kind_by_name(name) for name in names if name not in numbers)
    return sorted(found, key=lambda image: (image[1], image[0])), left_out


@dataclass(frozen=True)
class _FlatFolder:
    """val/ without folders of classes (`assemble.data.parts.Part`)."""

    root: Path

    def __str__(self) -> str:
        return str(self.root / "val")

    def classes(self) -> list[str]:
        return sorted({*_kit(self.root).truth()})

    def images(self, classes: list[str], name: str, only: Collection[str] | None = None) -> ImageFiles:
        folder, own = self.root / "val", self.classes()
        there = [entry for entry in entries(folder) if entry.is_file() or kind(entry) == IMAGE]
        found, left_out = _labelled([entry.name for entry in there], _kit(self.root).truth(), folder)
        kept, labels = placed(np.array([label for _, label in found]), own, classes, only, str(folder))
        files = np.array([os.fsencode(file) for file, _ in found])
        names = np.array([os.fsencode(f"{own[label]}/{file}") for file, label in found])
        places = FilesIn(folder, files[kept])
        return ImageFiles(folder, names[kept], labels, name=name, left_out=left_out, places=places)


# --- the development kit


@dataclass(frozen=True)
class _Kit:
    """The development kit, a folder or an archive."""

    path: Path

    def truth(self) -> list[str]:
        """Return the class of each validation image, as WordNet numbers it.

        Raises:
            UserError: it cannot be read.
        """
        from scipy.io import loadmat

        try:
            with self._opened() as read:
                numbers = [int(line) for line in read(TRUTH).split()]
                synsets: Any = loadmat(io.BytesIO(read(SYNSETS)), squeeze_me=True)["synsets"]
            # What has children stands for several classes.
            called = {int(s["ILSVRC2012_ID"]): str(s["WNID"]) for s in synsets if int(s["num_children"]) == 0}
            return [called[number] for number in numbers]
        except Exception as error:  # whatever the parsers of archives and MATLAB files meet
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise UserError(f"{self.path} cannot be read ({reason}): download it again") from error

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        if self.path.is_dir():
            yield lambda name: (self.path / name).read_bytes()
            return
        with tarfile.open(self.path) as tar:

            def read(name: str) -> bytes:
                file = tar.extractfile(f"{KIT}/{name}")
                assert file is not None
                return file.read()

            yield read


def _kit(root: Path) -> _Kit:
    """Return the development kit in a folder; raises `UserError` where there is none."""
    for path in (root / f"{KIT}.tar.gz", root / f"{KIT}.tar", root / KIT):
        if path.exists():
            return _Kit(path)
    raise UserError(
        f"{root} has no {KIT}.tar.gz, which says of which class the validation images are: put it there, or put each "
        "into a folder of its class"
    )
