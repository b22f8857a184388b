"""CIFAR's files as torchvision reads them, with drawn images and other check sums."""

import hashlib
import pickle
from pathlib import Path

import numpy as np
from torchvision.datasets import CIFAR10

RNG = np.random.default_rng(0)


def cifar(root: Path, monkeypatch, kind: type[CIFAR10], key: str, each: int, classes: list[str]) -> None:
    """Batches of ``each`` images."""
    folder = root / kind.base_folder
    folder.mkdir()

    def write(name: str, content: dict) -> str:
        data = pickle.dumps(content)
        (folder / name).write_bytes(data)
        return hashlib.md5(data, usedforsecurity=False).hexdigest()

    def batch() -> dict:
        pixels = RNG.integers(0, 256, (each, 3072), dtype=np.uint8)
        return {"data": pixels, key: RNG.integers(0, len(classes), each).tolist()}

    for part in ("train_list", "test_list"):
        monkeypatch.setattr(kind, part, [[name, write(name, batch())] for name, _ in getattr(kind, part)])
    names = {kind.meta["key"]: classes}
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": write(kind.meta["filename"], names)})
