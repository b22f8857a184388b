"""Tiny data sets in the file layouts that torchvision's classes read (written from their documentation).

Every image has one colour, ``colour(split, position)``, so that it is known which one was loaded.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

Listed = list[tuple[str, int]]
"""(path in data.root, label) for each image of a split."""
CLASSES = 2
TRAIN, TEST = 4, 3
"""Images of a class."""


def colour(label: int, position: int) -> tuple[int, int, int]:
    return (60 + 120 * label, 40, 20 * position)


def _draw(root: Path, listed: Listed) -> Listed:
    for position, (file, label) in enumerate(listed):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 36), colour(label, position)).save(root / file, quality=95)
    return listed


def food101(root: Path) -> dict[str, Listed]:
    base, names = root / "food-101", ["apple_pie", "ramen"]
    (base / "meta").mkdir(parents=True)
    splits = {}
    for split, start, count in (("train", 0, TRAIN), ("test", 100, TEST)):
        content = {name: [f"{name}/{start + i}" for i in range(count)] for name in reversed(names)}  # any order
        (base / "meta" / f"{split}.json").write_text(json.dumps(content))
        listed = [(f"food-101/images/{f}.jpg", names.index(name)) for name, files in content.items() for f in files]
        splits[split] = _draw(root, listed)
    return splits


def stanford_cars(root: Path) -> dict[str, Listed]:
    base = root / "stanford_cars"
    (base / "devkit").mkdir(parents=True)
    savemat(base / "devkit" / "cars_meta.mat", {"class_names": np.array(["AM General Hummer", "Acura RL"], object)})
    splits = {}
    for split, count, file in (
        ("train", TRAIN, "devkit/cars_train_annos.mat"),
        ("test", TEST, "cars_test_annos_withlabels.mat"),
    ):
        rows = [(i % CLASSES, f"{i + 1:05d}.jpg") for i in range(CLASSES * count)]
        kind = [("class", "u1"), ("fname", "O")]
        savemat(base / file, {"annotations": np.array([(label + 1, name) for label, name in rows], kind)})
        splits[split] = _draw(root, [(f"stanford_cars/cars_{split}/{name}", label) for label, name in rows])
    return splits


def flowers102(root: Path) -> dict[str, Listed]:
    base, labels = root / "flowers-102", [i % CLASSES for i in range(CLASSES * (TRAIN + TEST))]
    base.mkdir(parents=True)
    numbers = np.arange(1, len(labels) + 1)
    # 1 and 2 are for validation, and what the data set's authors call the test set is in front.
    test, val, train = np.split(numbers[::-1], [CLASSES * TEST, CLASSES * TEST + 2])
    savemat(base / "imagelabels.mat", {"labels": np.array(labels) + 1})
    savemat(base / "setid.mat", {"trnid": train, "valid": val, "tstid": test})

    def listed(ids: np.ndarray) -> Listed:
        return [(f"flowers-102/jpg/image_{i:05d}.jpg", labels[i - 1]) for i in ids]

    return {"train": _draw(root, listed(np.concatenate([train, val]))), "test": _draw(root, listed(test))}


def fgvc_aircraft(root: Path) -> dict[str, Listed]:
    base, names = root / "fgvc-aircraft-2013b" / "data", ["707-320", "A330-200 Plus"]
    (base / "images").mkdir(parents=True)
    (base / "variants.txt").write_text("".join(f"{name}\n" for name in names))
    splits = {}
    for split, start, count in (("train", 0, 1), ("trainval", 0, TRAIN), ("test", 500, TEST)):
        rows = [(start + i, i % CLASSES) for i in range(CLASSES * count)]
        lines = [f"{i:07d} {names[label]}\n" for i, label in rows]
        (base / f"images_variant_{split}.txt").write_text("".join(lines))
        splits[split] = _draw(root, [(f"fgvc-aircraft-2013b/data/images/{i:07d}.jpg", label) for i, label in rows])
    return {"train": splits["trainval"], "test": splits["test"]}


def oxford_pets(root: Path) -> dict[str, Listed]:
    base, names = root / "oxford-iiit-pet", ["Abyssinian", "american_bulldog"]
    (base / "annotations").mkdir(parents=True)
    splits = {}
    for split, start, count in (("trainval", 1, TRAIN), ("test", 101, TEST)):
        rows = [(f"{name}_{start + i}", label) for label, name in enumerate(names) for i in range(count)]
        lines = [f"{image} {label + 1} {label + 1} 1\n" for image, label in rows]
        (base / "annotations" / f"{split}.txt").write_text("".join(lines))
        splits[split] = _draw(root, [(f"oxford-iiit-pet/images/{image}.jpg", label) for image, label in rows])
    return {"train": splits["trainval"], "test": splits["test"]}


LAYOUTS: dict[str, Callable[[Path], dict[str, Listed]]] = {
    "food101": food101,
    "stanford_cars": stanford_cars,
    "flowers102": flowers102,
    "fgvc_aircraft": fgvc_aircraft,
    "oxford_pets": oxford_pets,
}


def accept_other_flowers(patch: pytest.MonkeyPatch) -> None:
    """torchvision compares the check sums of the labels with those of the real data set."""
    from torchvision.datasets import Flowers102

    files = {key: (name, None) for key, (name, _) in Flowers102._file_dict.items()}
    patch.setattr(Flowers102, "_file_dict", files)
