"""Labels by the names of classes: today's folders may have other numbers than those a network was trained with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from assemble.data.splits import Crop, Source, Split, digest_of
from assemble.errors import UserError


class Relabelled:
    """A split whose labels are positions in another list of classes."""

    def __init__(self, split: Split, positions: np.ndarray) -> None:
        self.split, self.labels = split, positions[split.labels]

    def load(self, index: int, crop: Crop) -> np.ndarray:
        return self.split.load(index, crop)

    def digest(self) -> str:
        return digest_of(self.labels, np.frombuffer(self.split.digest().encode(), np.uint8))


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
