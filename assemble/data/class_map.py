"""Labels by the names of classes: those that a network was trained with, or some that are chosen of the data's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from assemble.data.splits import Crop, Source, Split, digest_of
from assemble.data.train_share import Subset
from assemble.errors import UserError, require
from assemble.schema import DataConfig
from assemble.suggest import suggest


class Relabelled:
    """A split whose labels are positions in another list of classes."""

    def __init__(self, split: Split, positions: np.ndarray) -> None:
        self.split, self.labels = split, positions[split.labels]

    def load(self, index: int, crop: Crop) -> np.ndarray:
        return self.split.load(index, crop)

    def digest(self) -> str:
        return digest_of(self.labels, np.frombuffer(self.split.digest().encode(), np.uint8))


def chosen_classes(cfg: DataConfig) -> list[str] | None:
    """Return the names that ``data.classes`` lists, or the file that it names; None: all classes of the data.

    Raises:
        UserError: the file cannot be read; fewer than two names, or one twice.
    """
    if cfg.classes is None:
        return None
    if isinstance(cfg.classes, str):
        try:
            lines = Path(cfg.classes).expanduser().read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "no UTF-8"
            raise UserError(
                f"cannot read data.classes={cfg.classes} ({reason}): name a file with a class in each line, or list "
                "them, as data.classes=[cat,dog]"
            ) from error
        names = [line.strip() for line in lines if line.strip()]
    else:
        names = [str(name) for name in cfg.classes]
    twice = [name for name, count in Counter(names).items() if count > 1]
    require(
        (not twice, f"data.classes has {twice[0] if twice else ''} twice: leave it once"),
        (len(names) > 1, f"data.classes chooses {len(names)} classes: at least two are needed"),
    )
    return names


def check_known(chosen: Sequence[str], classes: Sequence[str]) -> None:
    """Raise `UserError` where ``data.classes`` names one that the data has not."""
    known = set(classes)
    unknown = [name for name in chosen if name not in known]
    if unknown:
        more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
        raise UserError(f"data.classes{more}: {suggest('class', unknown[0], classes)[:300]}")


def placed(
    labels: np.ndarray, own: Sequence[str], classes: Sequence[str], only: Collection[str] | None, where: str
) -> tuple[np.ndarray | slice, np.ndarray]:
    """Return which images are of classes that are wanted, and their labels as positions in ``classes``.

    Args:
        labels: positions in ``own`` (N,).
        own: the classes that there are.
        classes: those of the training images.
        only: those that are wanted; None: all.
        where: they lie, for the message.

    Raises:
        UserError: one that is wanted is not among ``classes``.
    """
    if only is None and list(classes) == list(own):
        return slice(None), labels  # as they are, perhaps mapped into memory
    wanted = {one for one in own if only is None or one in only}
    if unknown := wanted - {*classes}:
        raise UserError(
            f"{where} has the class {min(unknown)}, which is none of the training images: add it there, or remove it"
        )
    place = {name: position for position, name in enumerate(classes)}
    found = np.array([place[one] if one in wanted else -1 for one in own], np.int64)[labels]
    if len(wanted) == len(own):
        return slice(None), found
    kept = np.flatnonzero(found >= 0)
    return kept, found[kept]


def of_classes(source: Source, chosen: Sequence[str]) -> Source:
    """Return the images of those classes, in their order; labels are positions in ``chosen``.

    Raises:
        UserError: the data has no such class.
    """
    if list(source.classes) == list(chosen):
        return source
    check_known(chosen, source.classes)
    positions = np.full(len(source.classes), -1)
    positions[positions_of(chosen, source.classes, "the data")] = np.arange(len(chosen))
    made: dict[int, Split] = {}  # what is scored stays the same object as what is validated on

    def part(split: Split) -> Split:
        if id(split) not in made:
            made[id(split)] = Relabelled(Subset(split, np.flatnonzero(positions[split.labels] >= 0)), positions)
        return made[id(split)]

    return replace(source, classes=list(chosen), train=part(source.train), val=part(source.val), test=part(source.test))


def positions_of(classes: Sequence[str], among: Sequence[str], whose: str) -> np.ndarray:
    """Return the place of each class in the list ``among``, by its name.

    Args:
        classes: names in the order of today's labels.
        among: names in the order of a network's outputs.
        whose: what has the list ``among``, for the message.

    Raises:
        UserError: a class that is not in that list.
    """
    places = {name: place for place, name in enumerate(among)}
    unknown = [name for name in classes if name not in places]
    if unknown:
        others = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise UserError(
            f"the data has the class {unknown[0]}{others}, which {whose} does not know: it was trained on "
            f"{', '.join(among[:8])}{', ...' if len(among) > 8 else ''}"
        )
    return np.array([places[name] for name in classes])


def with_classes(source: Source, classes: Sequence[str], whose: str) -> Source:
    """Return the data set with labels that are positions in ``classes``, of which it may lack some.

    Raises:
        UserError: it has a class that is not among them.
    """
    if list(source.classes) == list(classes):
        return source
    positions = positions_of(source.classes, classes, whose)
    train, val = Relabelled(source.train, positions), Relabelled(source.val, positions)
    test = val if source.test is source.val else Relabelled(source.test, positions)
    return replace(source, classes=list(classes), train=train, val=val, test=test)
