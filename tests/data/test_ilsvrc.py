"""ImageNet as image-net.org hands it out is the tree that is usually made of it, with a thousand tiny classes."""

from __future__ import annotations

import io
import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from assemble.data.identity import DataIdentity
from assemble.data.ilsvrc import KIT, SYNSETS, TRAIN, TRUTH, VAL, _kit
from assemble.data.sources import open_scored, open_source
from assemble.errors import UserError
from assemble.schema import DataConfig, ScoredSplit
from tests.helpers.packed import add, files_of

NAMES = [f"n{(7 * i) % 1000:04d}0000" for i in range(1000)]
"""WordNet's numbers in the order of ILSVRC2012_ID, which is another than that of names."""


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def image(number: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (2, 2), (number % 256, number // 256, 0)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def originals(tmp_path_factory) -> Path:
    """The three files."""
    root = tmp_path_factory.mktemp("ilsvrc")
    with tarfile.open(root / TRAIN, "w") as outer:
        for number, name in enumerate(NAMES):
            inner = io.BytesIO()
            with tarfile.open(fileobj=inner, mode="w") as tar:
                for i in range(1 + number % 2):
                    add(tar, f"{name}_{18 - i}.JPEG", image(number))
            add(outer, f"{name}.tar", inner.getvalue())
    truth = np.random.default_rng(0).permutation([*range(1, 1001), 5, 5, 7])
    with tarfile.open(root / VAL, "w") as tar:
        for i in range(len(truth)):
            add(tar, f"./ILSVRC2012_val_{i + 1:08d}.JPEG", image(2000 + i))
    fields: Any = ("ILSVRC2012_ID", "WNID", "words", "gloss", "num_children", "children")
    rows = [(i + 1, name, "a, b", "what", 0, []) for i, name in enumerate(NAMES)]
    rows.append((1001, "n99999999", "all", "what", 3, [1, 2, 3]))
    synsets = np.array(rows, dtype=[(name, object) for name in fields])
    file = io.BytesIO()
    savemat(file, {"synsets": synsets[:, None]})
    with tarfile.open(root / f"{KIT}.tar.gz", "w:gz") as tar:
        add(tar, f"{KIT}/{TRUTH}", "".join(f"{number}\n" for number in truth).encode())
        add(tar, f"{KIT}/{SYNSETS}", file.getvalue())
    # What people make of it.
    tree = root / "tree"
    with tarfile.open(root / TRAIN) as outer:
        for member in outer:
            inside = outer.extractfile(member)
            with tarfile.open(fileobj=inside) as tar:
                tar.extractall(tree / "train" / member.name.removesuffix(".tar"), filter="data")
    with tarfile.open(root / VAL) as tar:
        tar.extractall(root / "flat", filter="data")
    for i, number in enumerate(truth):
        folder = tree / "val" / NAMES[number - 1]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / "flat" / f"ILSVRC2012_val_{i + 1:08d}.JPEG", folder)
    return root


def config(root: Path) -> DataConfig:
    return DataConfig(name="imagenet", root=str(root), image_size=2)


def assert_same(root: Path, originals: Path) -> None:
    ours, theirs = open_source(config(root)), open_source(config(originals / "tree"))
    assert ours.classes == theirs.classes == sorted(NAMES)
    assert DataIdentity.of(ours) == DataIdentity.of(theirs)
    for split in ("train", "val"):
        one, other = getattr(ours, split), getattr(theirs, split)
        assert one.labels.tolist() == other.labels.tolist()
        for i in range(0, len(other.labels), 37):
            assert np.array_equal(*(s.load(i, lambda image: image.decode().copy()) for s in (one, other)))
    scored = open_scored(config(root), ScoredSplit.test)
    assert (scored.split, len(scored.images.labels)) == ("val", 1003)


def test_the_three_files(originals):
    assert_same(originals, originals)


def test_the_development_kit_is_read_as_torchvision_reads_it(tmp_path, originals, monkeypatch):
    from torchvision.datasets import imagenet

    shutil.copy(originals / f"{KIT}.tar.gz", tmp_path)
    monkeypatch.setattr(imagenet, "_verify_archive", lambda *_: None)  # its checksum is of the real one
    imagenet.parse_devkit_archive(str(tmp_path))
    assert imagenet.load_meta_file(str(tmp_path))[1] == _kit(tmp_path).truth()


def test_half_unpacked(tmp_path, originals):
    with tarfile.open(originals / TRAIN) as tar:
        tar.extractall(tmp_path / "train", filter="data")
    shutil.copytree(originals / "flat", tmp_path / "val")
    with tarfile.open(originals / f"{KIT}.tar.gz") as tar:
        tar.extractall(tmp_path, filter="data")
    assert_same(tmp_path, originals)
    shutil.rmtree(tmp_path / "train")
    (tmp_path / "train").symlink_to(originals / "tree" / "train")
    (tmp_path / TRAIN).write_bytes(b"never looked at, where there are folders")
    assert_same(tmp_path, originals)


def test_what_is_missing_is_told(tmp_path, originals):
    shutil.copy(originals / VAL, tmp_path)
    (tmp_path / "train").symlink_to(originals / "tree" / "train")
    with pytest.raises(UserError, match=r"has no ILSVRC2012_devkit_t12\.tar\.gz, which says of which class"):
        open_source(config(tmp_path))
    (tmp_path / f"{KIT}.tar.gz").write_bytes((originals / f"{KIT}.tar.gz").read_bytes()[:2000])
    with pytest.raises(UserError, match=r"ILSVRC2012_devkit_t12\.tar\.gz cannot be read \(.*\): download it again"):
        open_source(config(tmp_path))
    shutil.copy(originals / f"{KIT}.tar.gz", tmp_path)
    (tmp_path / VAL).unlink()
    shutil.copytree(originals / "flat", tmp_path / "val")
    files_of(tmp_path / "val")[3].unlink()
    with pytest.raises(UserError, match=r"val has 1,002 validation images and .* the classes of 1,003: download"):
        open_source(config(tmp_path))


@pytest.mark.parametrize("cut", [5000, 1536 * 800 + 300, -10000])
def test_a_tar_of_tars_that_is_cut_off_is_refused(tmp_path, originals, cut):
    data = (originals / TRAIN).read_bytes()
    (tmp_path / TRAIN).write_bytes(data[:cut])
    (tmp_path / "val").symlink_to(originals / "tree" / "val")
    with pytest.raises(UserError, match=r"ILSVRC2012_img_train\.tar is damaged or cut off"):
        open_source(config(tmp_path))


def test_a_tar_within_that_has_no_end_is_refused(tmp_path):
    """Else the library would go on with the classes after it, as if they were its images."""
    with tarfile.open(tmp_path / TRAIN, "w") as outer:
        for name in NAMES[:2]:
            inner = io.BytesIO()
            with tarfile.open(fileobj=inner, mode="w") as tar:
                add(tar, f"{name}_1.JPEG", image(0))
            add(outer, f"{name}.tar", inner.getvalue()[:1024])
    with pytest.raises(UserError, match=r"img_train\.tar:n.*\.tar is damaged or cut off \(.*\): copy"):
        open_source(config(tmp_path))
