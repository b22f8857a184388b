"""Labels go by the names of classes, not by their places among today's folders."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from assemble.data import image_files
from assemble.data.class_map import positions_of, with_classes
from assemble.data.identity import DataIdentity, data_digest
from assemble.data.sources import open_scored, open_source
from assemble.errors import UserError
from assemble.schema import DataConfig, ScoredSplit


def folder(root: Path, classes: dict[str, int], splits: tuple[str, ...] = ("train", "val")) -> DataConfig:
    """As many images of each class as the mapping says, told apart by their green."""
    for split in splits:
        for number, (name, images) in enumerate(classes.items()):
            (root / split / name).mkdir(parents=True)
            for i in range(images):
                Image.new("RGB", (8, 8), (i, number, 0)).save(root / split / name / f"{i}.png")
    return DataConfig(name="imagefolder", root=str(root), image_size=8)


def test_labels_are_places_among_the_trained_classes(tmp_path):
    source = open_source(folder(tmp_path, {"cat": 1, "dog": 2}))
    mapped = with_classes(source, ["dog", "elk", "cat"], "the network")
    assert mapped.classes == ["dog", "elk", "cat"]
    assert list(source.train.labels) == [0, 1, 1]
    assert list(mapped.train.labels) == [2, 0, 0]
    assert np.array_equal(mapped.train.load(0, lambda image: image.decode()), np.full((8, 8, 3), 0, np.uint8))
    assert with_classes(source, ["cat", "dog"], "the network") is source
    assert mapped.train.digest() != source.train.digest()
    assert mapped.scored_split == source.scored_split == "val"


def test_an_unknown_class_is_named():
    with pytest.raises(UserError, match=r"has the class yak and 1 more, which the teacher does not know: .* cat, dog"):
        positions_of(["cat", "yak", "zebu"], ["cat", "dog"], "the teacher")


def test_scored_images_are_labelled_by_name(tmp_path):
    cfg = folder(tmp_path, {"bee": 1, "cow": 2}, ("val",))
    scored = open_scored(cfg, ScoredSplit.val, ["ant", "cow", "bee"])
    assert list(scored.images.labels) == [2, 1, 1]
    digits = open_scored(DataConfig(image_size=8), ScoredSplit.val, [str(i) for i in reversed(range(10))])
    plain = open_scored(DataConfig(image_size=8), ScoredSplit.val)
    assert np.array_equal(digits.images.labels, 9 - plain.images.labels)


def test_what_is_scored_is_called_by_its_name(tmp_path):
    cfg = folder(tmp_path / "a", {"cat": 4, "dog": 4})
    assert open_source(cfg).scored_split == "val"
    assert open_scored(cfg, ScoredSplit.test).split == "val"
    with_test = folder(tmp_path / "b", {"cat": 4, "dog": 4}, ("train", "val", "test"))
    assert open_source(with_test).scored_split == "test"
    assert open_scored(with_test, ScoredSplit.test).split == "test"
    assert open_source(DataConfig()).scored_split == "test"


def test_a_share_of_train_is_held_out(tmp_path):
    """Stratified, by its own seed, and what is scored is then no choice's."""
    cfg = folder(tmp_path, {"cat": 8, "dog": 4})
    cfg.val_share = 0.25
    source = open_source(cfg)
    assert (len(source.train.labels), len(source.val.labels), len(source.test.labels)) == (9, 3, 12)
    assert sorted(source.val.labels) == [0, 0, 1]
    assert source.scored_split == "test"
    assert open_scored(cfg, ScoredSplit.test).split == "test"
    seen = {split.load(i, lambda image: image.decode()).tobytes() for split in (source.train, source.val)
            for i in range(len(split.labels))}  # fmt: skip
    assert len(seen) == 12
    val = open_scored(cfg, ScoredSplit.val)
    assert val.images.digest() == source.val.digest()
    cfg.val_share_seed = 1
    assert open_source(cfg).val.digest() != source.val.digest()


def test_one_folder_of_class_folders_is_enough(tmp_path):
    folder(tmp_path, {"cat": 8, "dog": 8}, ("all",))
    cfg = DataConfig(name="imagefolder", root=str(tmp_path / "all"), image_size=8, val_share=0.25)
    source = open_source(cfg)
    assert (len(source.train.labels), len(source.val.labels)) == (12, 4)
    assert source.scored_split == "val"
    assert open_scored(cfg, ScoredSplit.test).split == "val"
    cfg.val_share = None
    with pytest.raises(UserError, match=r"no train/ folder .*data\.val_share=0\.1 takes"):
        open_source(cfg)


def test_the_identity_is_that_of_names_labels_and_sizes(tmp_path):
    cfg = folder(tmp_path, {"cat": 2, "dog": 2})
    identity = DataIdentity.of(open_source(cfg))
    assert identity.classes == ("cat", "dog")
    assert set(identity.splits) == {"train", "val", "test"}
    assert data_digest(cfg) == identity.digest
    assert data_digest(DataConfig(name="imagefolder", root=str(tmp_path / "nowhere"))) is None


def test_of_a_large_set_the_sizes_of_some_are_in_the_identity(tmp_path, monkeypatch):
    monkeypatch.setattr(image_files, "COUNTED", 5)
    monkeypatch.setattr(image_files, "SAMPLED", 3)
    images = open_source(folder(tmp_path, {"cat": 4, "dog": 4})).train
    whole = images.digest()
    for index, changes in ((0, True), (1, False), (3, True), (7, False)):  # every third is looked at
        with Path(images.path(index)).open("ab") as file:
            file.write(b"\0")
        assert (images.digest() != whole) is changes
        whole = images.digest()
