"""Some classes of a data set: the same as a data set of those alone, labelled in the order in which they are named."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from assemble.data import folders
from assemble.data.identity import DataIdentity, data_digest
from assemble.data.sources import open_scored, open_source
from assemble.errors import UserError
from assemble.schema import DataConfig, ScoredSplit
from tests.data.test_class_map import folder


def test_a_folder_of_those_classes_alone_is_the_same(tmp_path: Path) -> None:
    cfg = folder(tmp_path / "all", {"ant": 2, "bee": 3, "cow": 4, "dog": 5})
    shutil.copytree(tmp_path / "all", tmp_path / "few")
    for name in ("ant", "cow"):
        for split in ("train", "val"):
            shutil.rmtree(tmp_path / "few" / split / name)
    few = replace(cfg, root=str(tmp_path / "few"))
    chosen = replace(cfg, classes=["bee", "dog"])
    assert DataIdentity.of(open_source(chosen)) == DataIdentity.of(open_source(few))
    assert data_digest(chosen) == data_digest(few) != data_digest(cfg)
    for split in ScoredSplit:
        assert open_scored(chosen, split).images.digest() == open_scored(few, split).images.digest()
    scored = open_scored(chosen, ScoredSplit.val, ["dog", "yak", "bee"])  # a network's
    assert scored.images.labels.tolist() == [2] * 3 + [0] * 5


def test_labels_are_in_the_order_of_the_file(tmp_path: Path) -> None:
    cfg = folder(tmp_path / "all", {"ant": 2, "bee": 3, "cow": 4})
    (tmp_path / "names.txt").write_text("cow\n\n ant \n")
    cfg.classes = str(tmp_path / "names.txt")
    source = open_source(cfg)
    assert source.classes == ["cow", "ant"]
    assert source.train.labels.tolist() == [1] * 2 + [0] * 4  # the images in the order of a folder's
    assert source.scored_split == "val"
    first = data_digest(cfg)
    (tmp_path / "names.txt").write_text("ant\ncow\n")
    assert data_digest(cfg) not in (None, first)


def test_other_classes_are_not_searched(tmp_path: Path, monkeypatch) -> None:
    cfg = folder(tmp_path, {"ant": 1, "bee": 1, "cow": 1})
    searched, scan = [], folders.scan
    monkeypatch.setattr(folders, "scan", lambda top, names: searched.append(list(names)) or scan(top, names))
    open_source(replace(cfg, classes=["cow", "ant"]))
    assert searched == [["ant", "cow"]] * 2


def test_of_any_data_set() -> None:
    whole, some = open_source(DataConfig()), open_source(DataConfig(classes=["7", 3]))
    assert some.classes == ["7", "3"]
    for part in ("train", "val", "test"):
        ours, theirs = getattr(some, part), getattr(whole, part)
        kept = np.flatnonzero(np.isin(theirs.labels, [3, 7]))
        assert np.array_equal(ours.labels, np.where(theirs.labels[kept] == 7, 0, 1))
        assert np.array_equal(ours.load(5, np.copy), theirs.load(int(kept[5]), np.copy))
    folds = open_source(DataConfig(classes=["7", "3"], folds=2, fold=0))
    assert set(folds.val.labels) == {0, 1}


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["3", "seven"], r"data\.classes: unknown class 'seven'\. .*Available: 0, 1"),
        (["3"], r"data\.classes chooses 1 classes: at least two"),
        (["3", "4", "3"], r"data\.classes has 3 twice"),
        ("nowhere.txt", r"cannot read data\.classes=nowhere\.txt \(No such file.*\): name a file with a class in each"),
    ],
)
def test_refused(classes, message) -> None:
    with pytest.raises(UserError, match=message):
        open_source(DataConfig(classes=classes))


def test_a_folder_without_a_chosen_class_is_refused(tmp_path: Path) -> None:
    cfg = folder(tmp_path, {"ant": 1, "bee": 1})
    with pytest.raises(UserError, match=r"data\.classes \(and 1 more\): unknown class 'bea'\. Did you mean 'bee'"):
        open_source(replace(cfg, classes=["ant", "bea", "yak"]))
