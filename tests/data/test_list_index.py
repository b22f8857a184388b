"""Lists of large folders that are kept: the same as a search would find, and found anew where a folder has changed."""

import os
from pathlib import Path

import numpy as np
import pytest

from assemble.data import list_index, scan
from assemble.data.folders import ImageFolder
from assemble.data.sources import open_source
from assemble.data.splits import digest_of
from assemble.errors import UserError
from assemble.schema import DataConfig

CLASSES = ["a", "b"]


@pytest.fixture
def train(tmp_path, monkeypatch) -> Path:
    """train/{a,b}/{0,1,sub/2}.png, taken for large and for old."""
    monkeypatch.setattr(list_index, "LARGE", 3)
    monkeypatch.setattr(list_index, "SETTLED", -1.0)
    for name in CLASSES:
        (tmp_path / "train" / name / "sub").mkdir(parents=True)
        for file in ("0.png", "1.png", "sub/2.png"):
            (tmp_path / "train" / name / file).write_bytes(b"any")
    (tmp_path / "train" / "a" / "notes.txt").touch()
    return tmp_path / "train"


def opened(train: Path, classes: list[str] = CLASSES, cache: str = "cache") -> ImageFolder:
    return ImageFolder(train, classes, cache=train.with_name(cache))


def listed(folder: ImageFolder) -> list[str]:
    return [os.fsdecode(file) for file in folder.files]


@pytest.fixture
def no_search(monkeypatch):
    def refuse() -> None:
        monkeypatch.setattr(scan, "_below", lambda *args: pytest.fail("searched again"))

    return refuse


def test_what_is_kept_is_what_was_found(train, no_search):
    first = opened(train)
    expected = (listed(first), first.labels.tolist(), dict(first.left_out), first.digest())
    assert expected[0] == [f"{name}/{file}" for name in CLASSES for file in ("0.png", "1.png", "sub/2.png")]
    no_search()
    again = opened(train)
    assert (listed(again), again.labels.tolist(), dict(again.left_out), again.digest()) == expected
    assert again.path(2) == f"{train}/a/sub/2.png"
    assert not again.files.flags.owndata  # the file's own memory, which other processes map too
    assert not again.labels.flags.owndata


def test_other_classes_and_places_have_lists_of_their_own(train, tmp_path):
    opened(train)
    assert opened(train, ["x", "b", "a"]).labels.tolist() == [2] * 3 + [1] * 3
    train.rename(tmp_path / "moved")
    (tmp_path / "moved" / "b" / "0.png").unlink()
    assert len(opened(tmp_path / "moved").files) == 5


CHANGES = {
    "an image more": lambda train: (train / "b" / "9.png").touch(),
    "one less": lambda train: (train / "a" / "sub" / "2.png").unlink(),
    "another name": lambda train: (train / "a" / "0.png").rename(train / "a" / "7.png"),
    "another class": lambda train: (train / "a" / "0.png").rename(train / "b" / "7.png"),
    "a folder more": lambda train: (train / "b" / "more").mkdir() or (train / "b" / "more" / "1.png").touch(),
    "something beside the classes": lambda train: (train / "readme.md").touch(),
    "a link to images": lambda train: (train / "b" / "linked").symlink_to(train.with_name("elsewhere")),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("hidden", [False, True])
def test_a_changed_folder_is_read_again(train, change, hidden):
    """Even where a tool has set the folders' times back, as those that copy do."""
    (train.with_name("elsewhere")).mkdir()
    (train.with_name("elsewhere") / "5.png").touch()
    opened(train)
    times = {folder: folder.stat() for folder in (train, *train.glob("*/"), *train.glob("*/*/"))}
    CHANGES[change](train)
    if hidden:
        for folder, about in times.items():
            os.utime(folder, ns=(about.st_atime_ns, about.st_mtime_ns))
    found, fresh = opened(train), opened(train, cache="another")
    assert listed(found) == listed(fresh)
    assert found.left_out == fresh.left_out


def test_a_folder_behind_a_link_is_watched(train):
    elsewhere = train.with_name("elsewhere")
    elsewhere.mkdir()
    (elsewhere / "5.png").touch()
    (train / "b" / "linked").symlink_to(elsewhere)
    assert listed(opened(train))[3:] == ["b/0.png", "b/1.png", "b/linked/5.png", "b/sub/2.png"]
    (elsewhere / "6.png").touch()
    assert "b/linked/6.png" in listed(opened(train))


def test_nothing_is_kept_of_small_folders_of_fresh_ones_or_where_nothing_can_be(train, monkeypatch):
    monkeypatch.setattr(list_index, "SETTLED", 3.0)
    assert len(opened(train).files) == 6
    assert not train.with_name("cache").exists()
    monkeypatch.setattr(list_index, "SETTLED", -1.0)
    monkeypatch.setattr(list_index, "LARGE", 7)
    assert len(opened(train).files) == 6
    assert not train.with_name("cache").exists()
    monkeypatch.setattr(list_index, "LARGE", 3)
    train.with_name("cache").touch()  # a file in the place of the folder
    assert len(opened(train).files) == 6


def test_a_damaged_list_is_made_anew(train):
    expected = listed(opened(train))
    (kept,) = (train.with_name("cache") / "lists").iterdir()
    whole = kept.read_bytes()
    for damage in (b"", b"\xff" * 9, whole[:40], whole[:-5]):
        kept.write_bytes(damage)
        assert listed(opened(train)) == expected
        assert kept.read_bytes() == whole


def test_ranks_that_begin_together_read_one_list(train, monkeypatch, no_search):
    monkeypatch.setenv("WORLD_SIZE", "2")
    expected = listed(opened(train))
    no_search()
    assert listed(opened(train)) == expected


def test_an_empty_class_is_still_an_error(train):
    (train / "c").mkdir()
    with pytest.raises(UserError, match="train/c has no images"):
        opened(train, ["a", "b", "c"])


def test_the_key_of_the_cache_reaches_it(train, no_search):
    train.with_name("val").mkdir()
    for name in CLASSES:
        (train.with_name("val") / name).mkdir()
        (train.with_name("val") / name / "0.png").touch()
    cfg = DataConfig(name="imagefolder", root=str(train.parent), cache_dir=str(train.with_name("own")))
    digest = open_source(cfg).train.digest()
    assert len(list((train.with_name("own") / "lists").iterdir())) == 1  # val is small
    assert open_source(cfg).train.digest() == digest


def test_digests_are_of_the_same_bytes_as_ever():
    """Results that are stored by them are found again."""
    files, labels = np.array([b"a/0.png", b"b/long.png"]), np.array([0, 1])
    assert digest_of(files, labels, np.array([], np.int64)) == "aa26ff342a3df336"
