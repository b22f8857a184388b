"""What a scan of folders takes, what it leaves out, and that no link makes it read anything twice."""

import os
from pathlib import Path

import pytest
from PIL import Image, features

from assemble.data import scan
from assemble.data.folders import ImageFolder
from assemble.data.scan import EXTENSIONS, in_words
from assemble.data.sources import open_source
from assemble.data.verify import left_out
from assemble.errors import UserError
from assemble.schema import DataConfig


def folders(root: Path) -> Path:
    """root/{train,val}/{a,b}/{0,sub/1}.png."""
    for split in ("train", "val"):
        for name in ("a", "b"):
            (root / split / name / "sub").mkdir(parents=True)
            for file in ("0.png", "sub/1.png"):
                Image.new("RGB", (4, 4)).save(root / split / name / file)
    return root / "train"


def names(train: Path) -> list[str]:
    return [os.fsdecode(file) for file in ImageFolder(train, ["a", "b"]).files]


PLAIN = ["a/0.png", "a/sub/1.png", "b/0.png", "b/sub/1.png"]


def test_what_is_left_out_is_counted_by_suffix(tmp_path):
    train = folders(tmp_path)
    for file in ("a/x.TXT", "a/sub/y.txt", "a/README", "b/.hidden.png", "b/z.heic", "c.md", "a/.DS_Store"):
        (train / file).touch()
    os.mkfifo(train / "a" / "pipe.png")
    found = ImageFolder(train, ["a", "b"])
    assert found.left_out == {
        ".txt": 2,
        "without a suffix": 1,
        "hidden": 2,
        ".heic": 1,
        "no regular file": 1,
        ".md beside the folders of the classes": 1,
    }
    source = open_source(DataConfig(name="imagefolder", root=str(tmp_path)))
    assert [line.partition(":")[0] for line in left_out(source.folders)] == ["train"]
    assert "2 .txt, 2 hidden, 1 " in left_out(source.folders)[0]
    alone = open_source(DataConfig(name="imagefolder", root=str(train), val_share=0.5))
    assert [folder.name for folder in alone.folders] == ["train"]  # whatever the folder is called


def test_many_kinds_are_summed_up():
    assert in_words({f".{i}": 10 - i for i in range(7)}) == "10 .0, 9 .1, 8 .2, 7 .3, 6 .4, 9 others"
    assert in_words({}) == ""


def test_every_format_that_pillow_decodes_is_taken():
    assert {".jfif", ".pgm", ".PNG".lower()} <= set(EXTENSIONS)
    assert (".jp2" in EXTENSIONS) == bool(features.check("jpg_2000"))
    assert (".avif" in EXTENSIONS) == bool("avif" in features.modules and features.check("avif"))
    assert not scan._decodes("a feature of a later Pillow")


@pytest.mark.parametrize("to", [".", "..", "../..", "../../..", "../b", "../b/sub", "sub", "/"])
def test_a_link_to_what_is_read_anyway_adds_nothing(tmp_path, to):
    """Whichever comes first in the alphabet: b/sub stays b's."""
    train = folders(tmp_path)
    (train / "a" / "A").symlink_to(to)
    (train / "a" / "sub" / "z").symlink_to(f"../{to}")
    assert names(train) == PLAIN
    assert ImageFolder(train, ["a", "b"]).left_out[scan.AGAIN] >= 2


def test_links_to_elsewhere_are_followed_once(tmp_path):
    train = folders(tmp_path / "data")
    other = tmp_path / "other" / "inner"
    other.mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(other / "2.png")
    (other / "back").symlink_to("..")
    for link in ("a/more", "b/more"):
        (train / link).symlink_to(other.parent)
    (train / "a" / "file.png").symlink_to(other / "2.png")
    assert names(train) == ["a/0.png", "a/file.png", "a/more/inner/2.png", *PLAIN[1:]]


def test_two_classes_of_one_folder_are_refused(tmp_path):
    train = folders(tmp_path)
    (train / "c").symlink_to("a")
    with pytest.raises(UserError, match=r"train/c and .*train/a are the same folder"):
        ImageFolder(train, ["a", "b", "c"])


@pytest.mark.parametrize("closed", ["train/a/sub", "train/a", "train"])
def test_a_folder_that_cannot_be_read_is_an_error(tmp_path, monkeypatch, closed):
    """Else its images would be missing without a word. (Tests may run as root, to whom nothing is closed.)"""
    folders(tmp_path)
    opened = os.scandir

    def refusing(path):
        if str(path) == str(tmp_path / closed):
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(UserError, match=rf"cannot read the folder {tmp_path / closed} \(Permission denied\)"):
        open_source(DataConfig(name="imagefolder", root=str(tmp_path)))


@pytest.mark.parametrize("to", ["nothing.png", "x.png"])
def test_a_link_to_nothing_is_an_image_that_cannot_be_read(tmp_path, to):
    train = folders(tmp_path)
    (train / "a" / "x.png").symlink_to(to)
    found = ImageFolder(train, ["a", "b"])
    for reads in (lambda: found.load(1, lambda image: image.decode()), found.digest):
        with pytest.raises(UserError, match=rf"cannot read the file {train}/a/x.png \((No such|Too many)"):
            reads()
