"""What a network's outputs are called."""

from __future__ import annotations

import re
from collections.abc import Sequence

from assemble.printable import printable

SYNSET = re.compile(r"n\d{8}")
"""WordNet's numbers, after which ImageNet's folders are named."""


def output_names(outputs: int, classes: Sequence[str] | None, offset: int = 0) -> list[str]:
    """Name each output: the data's classes, ImageNet's where there are 1,000 of no known name, else numbers.

    Args:
        outputs: K.
        classes: names of the data's classes, if they are known.
        offset: outputs before that of the first class.
    """
    if classes is None:
        classes = synsets() if outputs - offset == 1000 else [f"class {i}" for i in range(outputs - offset)]
    names = [*(["background"] * offset), *map(printable, in_words(classes))]
    return [*names, *(f"output {i}" for i in range(len(names), outputs))]


def synsets() -> list[str]:
    """Return the folder names of ImageNet-1k, in order."""
    from timm.data.imagenet_info import ImageNetInfo

    return ImageNetInfo().label_names()


def in_words(classes: Sequence[str]) -> list[str]:
    """Return WordNet's numbers as words, other names as they are."""
    if not any(SYNSET.fullmatch(name) for name in classes):
        return list(classes)
    from timm.data.imagenet_info import ImageNetInfo

    info = ImageNetInfo()
    known = set(info.label_names())
    return [info.label_name_to_description(name) if name in known else name for name in classes]


def is_imagenet(classes: Sequence[str], data: str) -> bool:
    """Return True for ImageNet-1k's classes: AlexNet's errors are measured on them, and a measure for them alone."""
    return len(classes) == 1000 and (data == "imagenet" or all(map(SYNSET.fullmatch, classes)))
