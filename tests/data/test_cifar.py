"""CIFAR-10 from files as torchvision reads them (with other check sums: the images here are drawn)."""

import hashlib
import pickle

import numpy as np
import pytest
from torchvision.datasets import CIFAR10

from assemble.data.sources import open_source
from assemble.data.torchvision_crops import pad_and_shift
from assemble.errors import UserError
from assemble.schema import DataConfig


def config(root: object) -> DataConfig:
    return DataConfig(name="cifar10", root=str(root), image_size=32)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Six batches of 20 images."""
    folder, rng = tmp_path / CIFAR10.base_folder, np.random.default_rng(0)
    folder.mkdir()

    def write(name: str, content: dict) -> str:
        data = pickle.dumps(content)
        (folder / name).write_bytes(data)
        return hashlib.md5(data, usedforsecurity=False).hexdigest()

    def batch() -> dict:
        return {"data": rng.integers(0, 256, (20, 3072), dtype=np.uint8), "labels": rng.integers(0, 10, 20).tolist()}

    for part in ("train_list", "test_list"):
        monkeypatch.setattr(CIFAR10, part, [[name, write(name, batch())] for name, _ in getattr(CIFAR10, part)])
    names = {"label_names": list("abcdefghij")}
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": write(CIFAR10.meta["filename"], names)})
    return tmp_path


def test_splits_hold_every_image_once(root):
    source = open_source(config(root))
    train, val, test = source.train, source.val, source.test
    assert (len(train.labels), len(val.labels), len(test.labels)) == (90, 10, 20)
    raw = CIFAR10(root, train=True)
    found = [split.load(i, lambda p: p).tobytes() for split in (train, val) for i in range(len(split.labels))]
    assert sorted(found) == sorted(image.tobytes() for image in raw.data)
    labels = {image.tobytes(): label for image, label in zip(raw.data, raw.targets, strict=True)}
    assert [labels[p] for p in found] == [*train.labels, *val.labels]
    assert np.array_equal(test.load(3, source.eval_crop), CIFAR10(root, train=False).data[3])
    assert open_source(config(root)).val.digest() == val.digest()
    assert source.classes == list("abcdefghij")


def test_a_missing_or_damaged_file_gets_one_line(root, tmp_path):
    with pytest.raises(UserError, match=r"data=cifar10 needs data\.root=DIR"):
        open_source(DataConfig(name="cifar10"))
    with pytest.raises(UserError, match=r"has no whole cifar-10-batches-py/ folder: unpack"):
        open_source(config(tmp_path / "nosuch"))
    (root / CIFAR10.base_folder / "data_batch_3").write_bytes(b"damaged")
    with pytest.raises(UserError, match="has no whole cifar-10-batches-py/ folder"):
        open_source(config(root))


def test_what_comes_in_is_black():
    image = np.full((8, 8, 3), 255, np.uint8)
    moved = [pad_and_shift(image, np.random.default_rng(i), 8, pad=2, flip=0.0, zeros=True) for i in range(40)]
    black = [((m == 0).all(2).all(1).sum(), (m == 0).all(2).all(0).sum()) for m in moved]  # rows, columns
    assert {rows for rows, _ in black} == {columns for _, columns in black} == {0, 1, 2}
    for m, (rows, columns) in zip(moved, black, strict=True):
        assert (m == 255).sum() == 3 * (8 - rows) * (8 - columns)
