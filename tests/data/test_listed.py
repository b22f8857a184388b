"""Lists of image files: the same data set as a folder of the same images, and mistakes named by their lines."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from assemble.data.identity import DataIdentity, data_digest
from assemble.data.sources import open_scored, open_source
from assemble.errors import UserError
from assemble.schema import DataConfig, OnBadImage, ScoredSplit
from lit_modules.datamodule import ClassifierData

NAMES = [f"{kind}/{i}.png" for kind in ("cat", "dog") for i in range(5)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Ten different images of two classes."""
    for seed, name in enumerate(NAMES):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (12, 10, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
    return tmp_path


def write(root: Path, *lines: str, header: str = "path,label") -> DataConfig:
    (root / "list.csv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return DataConfig(name="list", root=str(root / "list.csv"), image_size=8)


def lines(names: list[str] = NAMES) -> list[str]:
    return [f"{name},{name[:3]}" for name in names]


def test_a_list_in_a_folders_order_is_that_folder(root):
    """The same digests, and the same crops of the same images in the same order."""
    cfg, folder = write(root, *lines()), DataConfig(name="imagefolder", root=str(root), image_size=8)
    cfg.val_share = folder.val_share = 0.2
    ours, theirs = (ClassifierData(one, micro_batch=4, seed=1) for one in (cfg, folder))
    assert ours.identity == theirs.identity
    assert data_digest(cfg) == data_digest(folder) == ours.identity.digest
    for a, b in zip(ours.train_dataloader(), theirs.train_dataloader(), strict=True):
        assert all((x == y).all() for x, y in zip(a, b, strict=True))


def test_the_order_is_that_of_the_lines(root):
    mixed = [NAMES[i] for i in (7, 2, 0, 9, 4)]
    cfg = write(root, *lines(mixed))
    cfg.val_share = 0.5
    source = open_source(cfg)
    assert [os.fsdecode(file) for file in source.folders[0].files] == mixed
    assert source.folders[0].labels.tolist() == [1, 0, 0, 1, 0]
    cfg = write(root, *lines(mixed[::-1]))
    cfg.val_share = 0.5
    assert DataIdentity.of(open_source(cfg)).digest != DataIdentity.of(source).digest


def test_splits_and_what_is_scored(root):
    splits = ["train"] * 3 + ["val"] * 2 + ["train"] * 4 + ["test"]
    rows = [f"{split},{line},x" for split, line in zip(splits, lines(), strict=True)]
    cfg = write(root, *rows, header="split,path,label,more")
    source = open_source(cfg)
    assert [split.labels.tolist() for split in (source.train, source.val, source.test)] == [
        [0, 0, 0, 1, 1, 1, 1],
        [0, 0],
        [1],
    ]
    assert source.scored_split == "test"
    for split, expected in ((ScoredSplit.test, source.test), (ScoredSplit.val, source.val)):
        assert open_scored(cfg, split).images.digest() == expected.digest()
    cfg = write(root, *rows[:9], header="split,path,label,more")
    assert open_source(cfg).scored_split == open_scored(cfg, ScoredSplit.test).split == "val"
    cfg.val_share = 0.3  # what is scored is then not chosen on
    assert open_source(cfg).scored_split == open_scored(cfg, ScoredSplit.test).split == "test"
    assert open_scored(cfg, ScoredSplit.val).images.digest() == open_source(cfg).val.digest()
    alone = write(root, rows[9], header="split,path,label,more")
    scored = open_scored(alone, ScoredSplit.test, ["bee", "dog"])
    assert (scored.classes, scored.images.labels.tolist()) == (["bee", "dog"], [1])


@pytest.mark.parametrize(
    ("labels", "classes"), [(["10", "9", "2"], ["2", "9", "10"]), (["10", "9", "b"], ["10", "9", "b"])]
)
def test_labels_are_sorted_as_numbers_where_all_are(root, labels, classes):
    rows = [f"{name},{labels[i % 3]},{'val' if i > 7 else 'train'}" for i, name in enumerate(NAMES)]
    source = open_source(write(root, *rows, header="path,label,split"))
    assert source.classes == classes
    assert [classes[label] for label in source.train.labels] == [labels[i % 3] for i in range(8)]


def test_a_path_is_the_same_however_it_is_written(root):
    cfg = write(root, *lines())
    cfg.val_share = 0.4
    expected = DataIdentity.of(open_source(cfg))
    odd = [f"{root}/cat/0.png,cat", "./cat/1.png,cat", "cat/../cat/2.png,cat", "cat//3.png,cat", *lines()[4:]]
    write(root, *odd)
    assert DataIdentity.of(open_source(cfg)) == expected
    write(root, *[f"1, {line.replace(',', ', ')}" for line in lines()], header="number, path , label")
    assert DataIdentity.of(open_source(cfg)) == expected
    write(root, *odd, "cat/0.png,cat")
    with pytest.raises(UserError, match=r"line 12: cat/0\.png stands in line 2 already"):
        open_source(cfg)


def test_bad_images_are_left_out(root, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(root / "cache"))
    (root / NAMES[3]).write_bytes(b"text")
    cfg = write(root, *lines())
    cfg.val_share, cfg.on_bad_image = 0.2, OnBadImage.skip
    found = DataIdentity.of(open_source(cfg))
    write(root, *lines([name for name in NAMES if name != NAMES[3]]))
    assert DataIdentity.of(open_source(cfg)) == found


VAL = ["cat/0.png,cat,val"]


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        (
            "path,label",
            lines(),
            r"has images of train alone: a column split says .* data\.val_share=0\.1 or data\.folds",
        ),
        ("path,label,split", VAL, "has images of val alone"),
        ("path,label,split", [*VAL, "dog/0.png,dog,test"], "has no image of the split train"),
        ("path,class", lines(), "has no column label in its first line: expected a CSV file with the columns path"),
        ("path;label", lines(), "has semicolons between its columns: put commas there"),
        ("path\tlabel", lines(), "has tabs between its columns"),
        ("path,label", [], "has no lines below the first"),
        ("path,label", ["cat/0.png,"], "line 2: its label is empty"),
        ("path,label", ["cat/0.png"], "line 2: its label is empty"),
        ("path,label", [*lines(), " ,cat"], "line 12: its path is empty"),
        ("path,label,split", [*VAL, "dog/0.png,dog,valid"], "line 3: the split 'valid' is none of train, val, test"),
        ("path,label,split", [*VAL, "cat/1.png,cat,"], "line 3: the split '' is none of"),
        ("path,label,split", [*VAL, "cat/0.png,cat,train"], r"line 3: cat/0\.png stands in line 2 already"),
        ("path,label,split", [*VAL, "dog/1.png,dog,train"], "line 2: the label cat is no class of the training images"),
        (
            "path,label,split",
            ["cat/1.png,cat,train", "cat/7.png,cat,train", "a/b.png,cat,train", *VAL],
            r"lines 3, 4: there is no .*cat/7\.png and so on: put back",
        ),
        ("path,label,split", ["cat/7.png,cat,train", *VAL], r"line 2: there is no .*cat/7\.png: put back"),
    ],
)
def test_mistakes_are_answered_in_one_line(root, header, rows, message):
    with pytest.raises(UserError, match=message) as caught:
        open_source(write(root, *rows, header=header))
    assert "\n" not in str(caught.value)


def test_no_list(tmp_path):
    with pytest.raises(UserError, match=r"data=list needs data\.root=FILE\.csv"):
        open_source(DataConfig(name="list"))
    for path in (tmp_path, tmp_path / "nowhere.csv"):
        with pytest.raises(UserError, match=r"cannot read the list .*: expected a CSV file"):
            open_source(DataConfig(name="list", root=str(path)))
    (tmp_path / "zipped.csv").write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(UserError, match="is no CSV file in UTF-8"):
        open_source(DataConfig(name="list", root=str(tmp_path / "zipped.csv")))


def test_a_changed_list_is_another_data_set(root):
    cfg = write(root, *lines())
    cfg.val_share = 0.2
    first = data_digest(cfg)
    write(root, *lines(NAMES[1:]))
    os.utime(cfg.root or "", ns=(1, 1))
    assert data_digest(cfg) not in (first, None)
