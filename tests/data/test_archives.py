"""Images in archives are those of the folders that were packed: names, order, labels, pixels, digest, bad ones."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from assemble.data import archive_index, members, parts
from assemble.data.archive_index import BESIDE
from assemble.data.identity import DataIdentity, data_digest
from assemble.data.places import OPEN, Archive
from assemble.data.sources import open_scored, open_source
from assemble.data.splits import Source
from assemble.data.verify import left_out
from assemble.errors import UserError
from assemble.schema import DataConfig, OnBadImage, ScoredSplit
from lit_modules.datamodule import ClassifierData
from tests.helpers.packed import CLASSES, PACKINGS, add, files_of, tar_of, write_folders, write_shards, zip_of


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "assemble"


@pytest.fixture
def folders(tmp_path) -> Path:
    return write_folders(tmp_path / "folders")


def config(root: Path, **changes) -> DataConfig:
    return DataConfig(**{"name": "imagefolder", "root": str(root), "image_size": 16, **changes})


def assert_same(ours: Source, theirs: Source) -> None:
    assert ours.classes == theirs.classes
    assert DataIdentity.of(ours) == DataIdentity.of(theirs)
    for name in ("train", "val", "test"):
        one, other = getattr(ours, name), getattr(theirs, name)
        assert one.labels.tolist() == other.labels.tolist()
        for i in range(len(other.labels)):
            assert np.array_equal(one.load(i, ours.eval_crop), other.load(i, theirs.eval_crop))


@pytest.mark.parametrize("packing", PACKINGS)
def test_the_same_images_in_the_same_order(tmp_path, folders, packing):
    root = PACKINGS[packing](folders, tmp_path / "packed")
    assert_same(open_source(config(root)), open_source(config(folders)))
    assert data_digest(config(root)) == data_digest(config(folders))
    shared = {"val_share": 0.3, "val_share_seed": 1}
    assert_same(open_source(config(root, **shared)), open_source(config(folders, **shared)))
    for split in ScoredSplit:
        ours, theirs = (open_scored(config(r), split) for r in (root, folders))
        assert (ours.classes, ours.split, ours.images.digest()) == (
            theirs.classes,
            theirs.split,
            theirs.images.digest(),
        )


def test_an_archive_of_class_folders_alone_is_train(tmp_path, folders):
    shared = {"val_share": 0.3}
    for within in ("", "all"):
        root = tar_of(folders / "train", tmp_path / f"{within}.tar", within)
        assert_same(open_source(config(root, **shared)), open_source(config(folders / "train", **shared)))
    with pytest.raises(UserError, match=r"has no train/ folder or train\.tar \(.*\.tar\): expected DIR/train/<class>"):
        open_source(config(root))


def test_folders_beside_archives_and_without_test(tmp_path, folders):
    shutil.rmtree(folders / "test")
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    tar_of(folders / "train", mixed / "train.tar")
    shutil.copytree(folders / "val", mixed / "val")
    source = open_source(config(mixed))
    assert_same(source, open_source(config(folders)))
    assert source.scored_split == "val"


def test_beside_folders_that_are_whole_no_archive_is_looked_at(folders):
    """What was read before archives could be is read as before."""
    shutil.rmtree(folders / "test")
    expected = data_digest(config(folders))
    for name in ("test.tar", "train.tar", "test-000000.tar"):
        (folders / name).write_bytes(b"something else")
    assert DataIdentity.of(open_source(config(folders))).digest == expected
    assert len(open_source(config(folders, val_share=0.5)).val.labels) == 12


def test_shards_in_folders_with_numbers_alone(tmp_path, folders):
    """Their classes are called by their numbers; keys that come twice are told apart by their shards."""
    for split in ("train", "val"):
        (tmp_path / "shards" / split).mkdir(parents=True)
        for number in range(2):
            with tarfile.open(tmp_path / "shards" / split / f"{number}.tar", "w") as tar:
                for key, file in enumerate(files_of(folders / split)[number::2]):
                    add(tar, f"{key:04d}.cls", str(CLASSES.index(file.relative_to(folders / split).parts[0])).encode())
                    add(tar, f"{key:04d}.jpg", file.read_bytes())
                add(tar, "9999.txt", b"")
    source = open_source(config(tmp_path / "shards"))
    assert source.classes == ["0", "1", "2"]
    assert np.bincount(source.train.labels).tolist() == [7, 7, 7]
    assert len(set(source.folders[0].files.tolist())) == 21
    assert source.folders[0].files[0].startswith(b"0/0/00")
    assert left_out(source.folders) == ["train: 2 .txt", "val: 2 .txt"]
    expected = open_source(config(folders))
    hashes = [
        sorted(s.load(i, lambda image: image.decode().copy()).tobytes() for i in range(21))
        for s in (source.train, expected.train)
    ]
    assert hashes[0] == hashes[1]


def test_what_is_left_out_is_told(tmp_path, folders):
    (folders / "train" / "ant" / "notes.txt").touch()
    (folders / "train" / "ant" / ".hidden.jpg").touch()
    (folders / "train" / "read.me").touch()
    root = tar_of(folders, tmp_path / "all.tar")
    expected = {".txt": 1, "hidden": 1, ".me beside the folders of the classes": 1}
    for place in (folders, root):
        assert [folder.left_out for folder in open_source(config(place)).folders] == [expected, {}, {}]


def test_links_are_what_they_lead_to(tmp_path, folders):
    """Hard links come about by themselves, where a folder has them."""
    os.link(folders / "train/ant/0.jpg", folders / "train/bee/linked.jpg")
    (folders / "train/cow/linked.jpg").symlink_to("../ant/0.jpg")
    with tarfile.open(tmp_path / "all.tar", "w") as tar:
        tar.add(folders, ".")
    assert_same(open_source(config(tmp_path / "all.tar")), open_source(config(folders)))
    (folders / "train/cow/lost.jpg").symlink_to("../../../nothing.jpg")
    with tarfile.open(tmp_path / "lost.tar", "w") as tar:
        tar.add(folders, ".")
    with pytest.raises(UserError, match=r"lost\.tar has a link, train/cow/lost\.jpg, to no file in it: .*dereference"):
        open_source(config(tmp_path / "lost.tar"))


BAD = ("train/ant/0.jpg", "val/bee/2.JPEG")


@pytest.mark.parametrize("packing", ["tar", "deflated zip", "shards"])
def test_bad_images_are_named_and_skipped_as_in_folders(tmp_path, folders, packing):
    clean = shutil.copytree(folders, tmp_path / "clean")
    for file in BAD:
        (clean / file).unlink()
        (folders / file).write_bytes((folders / file).read_bytes()[:300])
    root = PACKINGS[packing](folders, tmp_path / "packed")
    with pytest.raises(UserError, match=r"2 of 36 images cannot be read: .*:ant/0\.jpg \(.*:bee/2\.JPEG \("):
        ClassifierData(config(root, verify=True), micro_batch=2)
    ClassifierData(config(PACKINGS[packing](clean, tmp_path / "whole"), verify=True), micro_batch=2)
    source = open_source(config(root))
    with pytest.raises(UserError, match=r"cannot read the image .*:ant/0\.jpg \(.*\): replace it, or remove it"):
        source.train.load(0, source.eval_crop)
    skipped = open_source(config(root, on_bad_image=OnBadImage.skip))
    assert_same(skipped, open_source(config(clean)))
    assert [list(folder.bad) for folder in skipped.folders] == [["ant/0.jpg"], ["bee/2.JPEG"], []]


def test_damaged_bytes_of_a_zip_are_a_bad_image(tmp_path, folders):
    root = zip_of(folders, tmp_path / "all.zip", zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(root) as archive:
        at = archive.getinfo("train/ant/0.jpg").header_offset + 60
    data = bytearray(root.read_bytes())
    data[at : at + 200] = bytes(200)
    root.write_bytes(data)
    source = open_source(config(root))
    with pytest.raises(UserError, match=r"all\.zip:ant/0\.jpg \((it cannot be decomp|it has 14 bytes and not 7)"):
        source.train.load(0, source.eval_crop)


# --- the index


def indices(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def test_the_index_is_made_once_and_mapped(tmp_path, folders, monkeypatch):
    root = PACKINGS["tars"](folders, tmp_path / "packed")
    source = open_source(config(root))
    assert len(indices(root / BESIDE)) == 3
    monkeypatch.setattr(parts, "members", lambda path: pytest.fail("looked into again"))
    again = open_source(config(root))
    assert_same(again, source)
    assert not again.train.labels.flags.writeable  # it is the file's memory
    assert not again.train.labels.flags.owndata


@pytest.mark.parametrize("same_size", [True, False])
def test_an_index_of_another_archive_is_never_used(tmp_path, folders, same_size):
    root = PACKINGS["tars"](folders, tmp_path / "packed")
    first = open_source(config(root))
    assert len(first.train.labels) == 21
    train = folders / "train"
    if same_size:
        (train / "ant/0.jpg").rename(train / "cow/aa.jpg")
    else:
        (train / "ant/0.jpg").unlink()
    size = (root / "train.tar").stat().st_size
    tar_of(train, root / "other.tar").rename(root / "train.tar")
    assert not same_size or (root / "train.tar").stat().st_size == size
    assert_same(open_source(config(root)), open_source(config(folders)))
    assert len(indices(root / BESIDE)) == 3  # the one before is gone
    with pytest.raises(UserError, match=r"train\.tar has changed since this run began: start it again"):
        Archive(str(root / "train.tar"), size, 0).read(0, 1)


def test_a_damaged_index_is_made_anew(tmp_path, folders):
    root = PACKINGS["tar"](folders, tmp_path / "packed")
    open_source(config(root))
    (file,) = (root.parent / BESIDE).glob("*/0-where.npy")
    file.write_bytes(b"x")
    assert_same(open_source(config(root)), open_source(config(folders)))
    assert file.stat().st_size > 1


def test_where_nothing_can_be_written_the_index_is_in_the_cache(tmp_path, folders, cache):
    root = PACKINGS["tars"](folders, tmp_path / "packed")
    (root / BESIDE).touch()
    assert_same(open_source(config(root)), open_source(config(folders)))
    assert len(indices(cache / "indices")) == 3
    open_source(config(root, cache_dir=str(tmp_path / "elsewhere")))
    assert indices(tmp_path / "elsewhere" / "indices") == indices(cache / "indices")
    with pytest.raises(UserError, match=r"cannot be kept in .*/indices \(Not a directory\): set data\.cache_dir"):
        open_source(config(root, cache_dir=str(root / "train.tar")))


def test_several_processes_make_one_index(tmp_path, folders):
    """The others wait for it. (Threads would share the lock, so these are processes.)"""
    root = PACKINGS["tar"](folders, tmp_path / "packed")
    looked = tmp_path / "looked"
    children = []
    for _ in range(4):
        if not (child := os.fork()):
            code = 1
            try:
                find = members.members

                def counted(path, find=find):
                    with looked.open("ab") as file:
                        file.write(b".")
                    return find(path)

                parts.members = counted
                code = 0 if len(open_source(config(root)).train.labels) == 21 else 2
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    assert looked.read_bytes() == b"."


def test_workers_get_it_pickled_or_forked_and_many_archives_are_not_all_kept_open(tmp_path, folders):
    root = PACKINGS["shards"](folders, tmp_path / "packed")
    source = open_source(config(root))
    images = pickle.loads(pickle.dumps(source.train))
    assert np.array_equal(images.load(3, source.eval_crop), source.train.load(3, source.eval_crop))
    files = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(OPEN + 20):
        path = tmp_path / f"{number}.bin"
        path.write_bytes(b"0123")
        assert Archive.at(path).read(1, 2) == b"12"
    assert len(list(Path("/proc/self/fd").iterdir())) <= files + OPEN


# --- what cannot be read


def assert_refused(root: Path, reason: str) -> None:
    with pytest.raises(UserError, match=reason) as caught:
        open_source(config(root))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("left", [0.1, 0.5, 0.9, -1, -1024, -20480])
def test_a_tar_that_is_cut_off_is_refused(tmp_path, folders, left):
    """Even at the border of two members, where the library sees nothing."""
    with tarfile.open(tmp_path / "all.tar", "w") as tar:
        for file in files_of(folders):
            tar.add(file, file.relative_to(folders))
    data = (tmp_path / "all.tar").read_bytes()
    with tarfile.open(tmp_path / "all.tar") as tar:
        last = max(m.offset for m in tar.getmembers())
    cut = {-1: last, -1024: last + 512}.get(left, int(left * last) if left > 0 else last - 512)
    (tmp_path / "all.tar").write_bytes(data[:cut])
    assert_refused(tmp_path / "all.tar", r"all\.tar is damaged or cut off \(.*\): copy or download it again")


def test_a_tar_with_rubbish_between_is_refused(tmp_path, folders):
    root = tar_of(folders, tmp_path / "all.tar")
    with tarfile.open(root) as tar:
        offset = tar.getmembers()[9].offset
    data = bytearray(root.read_bytes())
    data[offset : offset + 100] = b"x" * 100
    root.write_bytes(data)
    assert_refused(root, r"all\.tar is damaged or cut off \(its end is missing after byte")


@pytest.mark.parametrize("left", [0.5, 0.99])
def test_a_zip_that_is_cut_off_is_refused(tmp_path, folders, left):
    root = zip_of(folders, tmp_path / "all.zip")
    root.write_bytes(root.read_bytes()[: int(root.stat().st_size * left)])
    assert_refused(root, r"all\.zip is damaged or cut off \(.*\): copy or download it again")


def test_a_zip_with_rubbish_between_is_refused(tmp_path, folders):
    root = zip_of(folders, tmp_path / "all.zip")
    data = root.read_bytes()
    root.write_bytes(data[:3000] + b"x" * 3000 + data[6000:])
    assert_refused(root, r"all\.zip is damaged or cut off \(.* is not where it should be\): copy or download it again")


def test_other_files_are_refused(tmp_path, folders):
    with tarfile.open(tmp_path / "all.tar.gz", "w:gz") as tar:
        tar.add(folders, ".")
    assert_refused(
        tmp_path / "all.tar.gz", r"all\.tar\.gz is compressed as a whole \(gzip\), so .*: unpack it, or make"
    )
    zip_of(folders, tmp_path / "all.zip", zipfile.ZIP_BZIP2)
    assert_refused(tmp_path / "all.zip", r"all\.zip has .* compressed by method 12: store or deflate it")
    (tmp_path / "x.tar").write_bytes(b"")
    assert_refused(tmp_path / "x.tar", r"x\.tar is damaged or cut off \(empty file\)")
    (tmp_path / "x.tar").write_bytes(b"no archive" * 1000)
    assert_refused(tmp_path / "x.tar", r"x\.tar is damaged or cut off")
    tar_of(folders / "train" / "ant", tmp_path / "flat.tar")
    (tmp_path / "d").mkdir()
    (tmp_path / "flat.tar").rename(tmp_path / "d" / "train.tar")
    assert_refused(tmp_path / "d", r"has no train/ folder|has no val/ folder")


def test_a_class_without_images_or_one_that_train_has_not(tmp_path, folders):
    (folders / "val" / "dog").mkdir()
    with tarfile.open(tmp_path / "all.tar", "w") as tar:
        tar.add(folders, ".")
    assert_refused(
        tmp_path / "all.tar", r"all\.tar/val/dog has no images \(\.jpg, .*\): add some, or remove the folder"
    )
    shutil.copy(folders / "val/ant/0.jpg", folders / "val/dog/0.jpg")
    tar_of(folders, tmp_path / "all.tar")
    assert_refused(tmp_path / "all.tar", r"all\.tar/val has the class dog, which is none of the training images")


def jpeg() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        ({"a.jpg": b"x"}, r"has no label of a: expected a\.cls, or a\.json with a label"),
        ({"a.jpg": b"x", "a.json": b"{}"}, r"has no label in a\.json: expected a number or the name of a class"),
        ({"a.jpg": b"x", "a.cls": b" "}, r"has no label in a\.cls"),
        ({"a.jpg": b"x", "a.png": b"x", "a.cls": b"0"}, r"has 2 images with the key a: one has one label"),
        ({"a.jpg": b"x", "a.cls": b"7"}, r"have the label 7, which is no class: classes\.txt beside it has 3 classes"),
        ({"a.cls": b"0"}, r"has no images in its shards"),
    ],
)
def test_shards_that_are_none(tmp_path, folders, contents, reason):
    for split in ("train", "val"):
        write_shards(folders, tmp_path, split)
    for number in range(3) if "no images" in reason else (0,):
        with tarfile.open(tmp_path / f"train-{number:06d}.tar", "w") as tar:
            for name, data in contents.items():
                add(tar, name, jpeg() if data == b"x" else data)
    assert_refused(tmp_path, reason)


def test_a_shard_that_is_missing_is_told(tmp_path, folders):
    write_shards(folders, tmp_path, "val")
    write_shards(folders, tmp_path, "train")[1].unlink()
    assert_refused(tmp_path, r"shard 1 is missing beside .*train-000000\.tar: copy or download the shards again")


def test_the_library_finds_what_the_index_says(tmp_path, folders):
    """Long names, which a tar keeps apart from its headers."""
    long = folders / "train" / "ant" / ("x" * 120) / ("y" * 120 + "ü.png")
    long.parent.mkdir()
    Image.new("RGB", (8, 8)).save(long)
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        path = tmp_path / f"{form}.tar"
        with tarfile.open(path, "w", format=form) as tar:
            tar.add(folders, ".")
        with tarfile.open(path) as tar:
            expected = {os.path.normpath(m.name): (m.offset_data, m.size) for m in tar if m.isreg()}
        assert {e.name: (e.offset, e.size) for e in members.members(path) if not e.folder} == expected
        assert archive_index.Archive.at(path).read(*expected[str(long.relative_to(folders))]) == long.read_bytes()
