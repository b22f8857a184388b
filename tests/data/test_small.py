"""CIFAR, SVHN and MNIST from files as torchvision reads them (with other check sums: the images here are drawn)."""

import gzip
import hashlib
import struct
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat
from torchvision.datasets import CIFAR10, CIFAR100, MNIST, SVHN

from assemble.data.small import SETS
from assemble.data.sources import open_source
from assemble.data.torchvision_crops import pad_and_shift
from assemble.errors import UserError
from assemble.schema import Border, DataConfig
from tests.helpers.small_sets import cifar

RNG = np.random.default_rng(0)


def config(root: object, name: str = "cifar10", **changes) -> DataConfig:
    return DataConfig(name=name, root=str(root), **{"image_size": 32, **changes})


def svhn(root: Path, monkeypatch) -> np.ndarray:
    """60 images to train, 20 to test; returns the former (60, 32, 32, 3)."""
    kept, splits = [], {}
    for name, count in (("train", 60), ("test", 20)):
        images = RNG.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        labels = (1 + np.arange(count) % 10)[:, None]  # a zero has the label 10
        file = root / f"{name}_32x32.mat"
        savemat(file, {"X": images.transpose(1, 2, 3, 0), "y": labels.astype(np.uint8)})
        splits[name] = ["no address", file.name, hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()]
        kept.append(images)
    monkeypatch.setattr(SVHN, "split_list", splits)
    return kept[0]


def mnist(root: Path, name: str) -> np.ndarray:
    """60 images to train, 20 to test; returns the former (60, 28, 28)."""
    folder = root / name / "raw"
    folder.mkdir(parents=True)
    kept = []
    for part, count in (("train", 60), ("t10k", 20)):
        images = RNG.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        head = struct.pack(">IIII", 0x803, count, 28, 28)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(head + images.tobytes())
        labels = (np.arange(count) % 10).astype(np.uint8)
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, count) + labels.tobytes())
        kept.append(images)
    return kept[0]


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Six batches of 20 images."""
    cifar(tmp_path, monkeypatch, CIFAR10, "labels", 20, list("abcdefghij"))
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


def test_cifar100_has_its_fine_labels(tmp_path, monkeypatch):
    names = [f"n{i:02}" for i in range(100)]
    cifar(tmp_path, monkeypatch, CIFAR100, "fine_labels", 50, names)
    source = open_source(config(tmp_path, "cifar100"))
    assert source.classes == names
    assert (len(source.train.labels), len(source.val.labels), len(source.test.labels)) == (45, 5, 50)
    assert np.array_equal(source.test.labels, CIFAR100(tmp_path, train=False).targets)


def test_svhn(tmp_path, monkeypatch):
    images = svhn(tmp_path, monkeypatch)
    source = open_source(config(tmp_path, "svhn"))
    order = np.random.default_rng(0).permutation(60)
    assert np.array_equal(source.train.load(2, source.eval_crop), images[order[6 + 2]])
    assert np.array_equal(source.train.labels, (order[6:] + 1) % 10)
    assert source.classes == list("0123456789")
    assert (len(source.val.labels), len(source.test.labels)) == (6, 20)


@pytest.mark.parametrize(("name", "place"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")])
def test_grey_images_become_three_equal_channels(tmp_path, name, place):
    images = mnist(tmp_path, place)
    source = open_source(config(tmp_path, name, image_size=28))
    order = np.random.default_rng(0).permutation(60)
    found = source.val.load(4, source.eval_crop)
    assert found.shape == (28, 28, 3)
    assert np.array_equal(found, images[order[4]][..., None].repeat(3, axis=2))
    assert np.array_equal(source.val.labels, order[:6] % 10)
    moved = source.train.load(0, lambda image: source.train_crop(image, np.random.default_rng(0), 28))
    assert moved.shape == (28, 28, 3)
    assert source.classes == (list("0123456789") if name == "mnist" else source.classes)
    assert len(source.classes) == 10


@pytest.mark.parametrize("name", SETS)
def test_a_missing_or_damaged_file_gets_one_line(tmp_path, monkeypatch, name):
    with pytest.raises(UserError, match=rf"data={name} needs data\.root=DIR"):
        open_source(DataConfig(name=name))
    with pytest.raises(UserError, match=rf"has no whole {SETS[name].place}: .* data\.download=true fetches it"):
        open_source(config(tmp_path / "nosuch", name))
    if name == "mnist":
        mnist(tmp_path, "MNIST")
        damaged = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    elif name == "svhn":
        svhn(tmp_path, monkeypatch)
        damaged = tmp_path / "test_32x32.mat"
    elif name == "cifar10":
        cifar(tmp_path, monkeypatch, CIFAR10, "labels", 20, list("abcdefghij"))
        damaged = tmp_path / CIFAR10.base_folder / "data_batch_3"
    else:
        return
    damaged.write_bytes(damaged.read_bytes()[:-9])
    with pytest.raises(UserError, match=f"has no whole {SETS[name].place}"):
        open_source(config(tmp_path, name))


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder, and says nothing of it."""

    def log_message(self, format: str, *args: object) -> None: ...


def test_what_is_missing_is_downloaded(tmp_path, monkeypatch):
    """Torchvision's way, from a server in the place of the network's."""
    mnist(tmp_path / "mirror", "MNIST")
    resources = []
    for file in sorted((tmp_path / "mirror" / "MNIST" / "raw").iterdir()):
        packed = file.with_name(f"{file.name}.gz")
        packed.write_bytes(gzip.compress(file.read_bytes()))
        resources.append((packed.name, hashlib.md5(packed.read_bytes(), usedforsecurity=False).hexdigest()))
    monkeypatch.setattr(MNIST, "resources", resources)
    served = partial(Quiet, directory=str(tmp_path / "mirror" / "MNIST" / "raw"))
    root = tmp_path / "new"
    with pytest.raises(UserError, match="has no whole MNIST/raw/"):
        open_source(config(root, "mnist"))
    with ThreadingHTTPServer(("127.0.0.1", 0), served) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(MNIST, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
        downloaded = open_source(config(root, "mnist", download=True))
        server.shutdown()
    assert downloaded.test.digest() == open_source(config(tmp_path / "mirror", "mnist")).test.digest()
    open_source(config(root, "mnist", download=True))  # it is there
    with pytest.raises(UserError, match=r"MNIST/raw/ cannot be downloaded into .*: try again"):
        open_source(config(tmp_path / "other", "mnist", download=True))


def test_what_comes_in_is_black():
    image = np.full((8, 8, 3), 255, np.uint8)
    moved = [pad_and_shift(image, np.random.default_rng(i), 8, pad=2, flip=0.0, border=Border.zeros) for i in range(40)]
    black = [((m == 0).all(2).all(1).sum(), (m == 0).all(2).all(0).sum()) for m in moved]  # rows, columns
    assert {rows for rows, _ in black} == {columns for _, columns in black} == {0, 1, 2}
    for m, (rows, columns) in zip(moved, black, strict=True):
        assert (m == 255).sum() == 3 * (8 - rows) * (8 - columns)
