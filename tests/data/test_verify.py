"""Bad images are found before the training: named, or left out as if they had never been there."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from assemble.data import decode, verify
from assemble.data.decode import AS_IT_LIES, ImageFile
from assemble.data.identity import DataIdentity, data_digest
from assemble.data.places import File
from assemble.data.sources import open_scored, open_source
from assemble.data.verify import left_out, read_ends
from assemble.errors import UserError
from assemble.schema import DataConfig, OnBadImage, ScoredSplit
from lit_modules.datamodule import ClassifierData
from tests.helpers.fgvc_layouts import food101

BAD = ("train/a/1-with-a-long-name.jpg", "test/b/0.jpg")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "assemble" / "bad_images"


def noise(seed: int, side: int = 24) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8))


@pytest.fixture
def root(tmp_path) -> Path:
    """DIR/{train,val,test}/{a,b}/*, of which one is no image at all and one is cut off; beside it DIR without them."""
    root, seed = tmp_path / "data", 0
    for split in ("train", "val", "test"):
        for name in ("a", "b"):
            (root / split / name).mkdir(parents=True)
            for file in ("0.jpg", "1-with-a-long-name.jpg", "2.png"):
                noise(seed := seed + 1).save(root / split / name / file)
    shutil.copytree(root, tmp_path / "clean")
    for file in BAD:
        (tmp_path / "clean" / file).unlink()
    (root / BAD[0]).write_bytes(b"text")
    whole = (root / BAD[1]).read_bytes()
    (root / BAD[1]).write_bytes(whole[: len(whole) // 2])
    return root


def config(root: Path, **changes) -> DataConfig:
    return DataConfig(**{"name": "imagefolder", "root": str(root), "image_size": 16, **changes})


def test_bad_images_of_all_splits_are_named_before_the_training(root):
    with pytest.raises(UserError) as caught:
        ClassifierData(config(root, verify=True), micro_batch=2)
    message = str(caught.value)
    assert message.startswith("2 of 18 images cannot be read: ")
    assert f"{root / BAD[0]} (its format is unknown), {root / BAD[1]} (" in message
    ClassifierData(config(root.with_name("clean"), verify=True), micro_batch=2)


def test_where_header_and_end_are_there_nothing_is_decoded(root, monkeypatch):
    monkeypatch.setattr(ImageFile, "decode", None)
    read_ends(File(str(root / "val/a/0.jpg")), AS_IT_LIES)
    read_ends(File(str(root / "val/a/2.png")), AS_IT_LIES)


@pytest.mark.parametrize("ending", ["gif", "tiff", "bmp", "webp", "jpg"])
def test_other_formats_and_ends_are_decoded(tmp_path, ending):
    """Nothing is refused that can be loaded: here a JPEG with bytes after its end."""
    file = tmp_path / f"x.{ending}"
    noise(0).save(file)
    file.write_bytes(file.read_bytes() + b"more")
    read_ends(File(str(file)), AS_IT_LIES)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(decode.BadImageError):
        read_ends(File(str(file)), AS_IT_LIES)


def test_skipped_images_are_as_if_they_had_not_been_there(root):
    """The same identity, so the same run: order, partners in mixup, resume and ranks follow from it."""
    skipping, clean = config(root, on_bad_image=OnBadImage.skip), config(root.with_name("clean"))
    ours, expected = open_source(skipping), open_source(clean)
    assert DataIdentity.of(ours) == DataIdentity.of(expected)
    assert data_digest(skipping) == data_digest(clean) != data_digest(config(root))
    for split in ("train", "val", "test"):
        for i in range(len(getattr(expected, split).labels)):
            a, b = (getattr(source, split).load(i, source.eval_crop) for source in (ours, expected))
            assert np.array_equal(a, b)
    assert {folder.name: list(folder.bad) for folder in ours.folders} == {
        "train": ["a/1-with-a-long-name.jpg"],
        "val": [],
        "test": ["b/0.jpg"],
    }
    assert left_out(ours.folders)[0] == "train: 1 bad: a/1-with-a-long-name.jpg (its format is unknown)"
    scored = open_scored(skipping, ScoredSplit.test)
    assert len(scored.images.labels) == 5
    assert [len(folder.bad) for folder in scored.folders] == [1]


def test_a_share_for_validation_is_drawn_from_the_readable(root):
    shared = {"val_share": 0.4, "val_share_seed": 3}
    ours = open_source(config(root, on_bad_image=OnBadImage.skip, **shared))
    assert DataIdentity.of(ours) == DataIdentity.of(open_source(config(root.with_name("clean"), **shared)))


def test_what_was_found_is_kept_until_a_file_changes(root, monkeypatch):
    skipping = config(root, on_bad_image=OnBadImage.skip)
    open_source(skipping)
    monkeypatch.setattr(verify, "decode_small", None)
    monkeypatch.setattr("assemble.data.image_files.damaged", lambda *_: pytest.fail("decoded again"))
    assert len(open_source(skipping).train.labels) == 5
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(root.parent / "cache"))
    noise(99).save(root / BAD[0])
    assert len(open_source(skipping).train.labels) == 6


def test_a_class_without_any_image_that_can_be_decoded_is_refused(root):
    for file in (root / "val" / "b").iterdir():
        file.write_bytes(b"")
    with pytest.raises(UserError, match=r"no image beside .*val/b/0\.jpg can be decoded"):
        open_source(config(root, on_bad_image=OnBadImage.skip))


def test_a_file_that_the_disk_does_not_give_is_never_skipped(root):
    """It is not bad but missing, perhaps with a whole disk."""
    (root / "val" / "a" / "x.png").symlink_to("nothing")
    with pytest.raises(UserError, match=r"cannot read the file .*x\.png \(No such file"):
        open_source(config(root, on_bad_image=OnBadImage.skip))


def test_a_cache_that_cannot_be_written_is_named(root, monkeypatch):
    (root / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(root / "file"))
    with pytest.raises(UserError, match=r"which cannot be used \(Not a directory\): set XDG_CACHE_HOME"):
        open_source(config(root, on_bad_image=OnBadImage.skip))


def test_the_fine_grained_sets_too(tmp_path):
    food101(tmp_path)
    (tmp_path / "food-101/images/ramen/0.jpg").write_bytes(b"text")
    options = {"name": "food101", "image_size": 16}
    with pytest.raises(UserError, match=r"1 of \d+ images cannot be read: .*ramen/0\.jpg"):
        ClassifierData(config(tmp_path, verify=True, **options), micro_batch=2)
    source = open_source(config(tmp_path, on_bad_image=OnBadImage.skip, **options))
    assert [len(folder.bad) for folder in source.folders] in ([1, 0], [0, 1])
