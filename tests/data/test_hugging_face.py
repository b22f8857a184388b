"""Images in Hugging Face's data sets are those of the folders that they were made of."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

datasets: Any = pytest.importorskip("datasets")

from assemble.data.sources import open_scored, open_source  # noqa: E402
from assemble.errors import UserError  # noqa: E402
from assemble.schema import DataConfig, OnBadImage, ScoredSplit  # noqa: E402
from tests.data.test_archives import assert_same, config  # noqa: E402
from tests.helpers.packed import CLASSES, files_of, write_folders  # noqa: E402


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    datasets.disable_progress_bars()


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    return write_folders(tmp_path / "folders")


def rows(folder: Path, label: str = "number") -> dict[str, list[Any]]:
    files = files_of(folder)[::-1]
    of = [file.relative_to(folder).parts[0] for file in files]
    return {
        "image": [{"bytes": f.read_bytes(), "path": str(f.relative_to(folder))} for f in files],
        "label": of if label == "name" else [CLASSES.index(name) for name in of],
    }


FEATURES = datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=list(CLASSES)))


def write_parquet(folders: Path, root: Path, features: Any = FEATURES, **options: Any) -> Path:
    root.mkdir(parents=True)
    for split, name in {"train": "train", "val": "validation", "test": "test"}.items():
        if (folders / split).is_dir():
            data = datasets.Dataset.from_dict(rows(folders / split, **options), features=features)
            data.to_parquet(root / f"{name}-00000-of-00001.parquet", batch_size=5)
    return root


def hf(root: Path, tmp_path: Path, **changes: Any) -> DataConfig:
    return config(root, **{"name": "hf", "cache_dir": str(tmp_path / "hf"), **changes})


def test_parquet_files(tmp_path, folders) -> None:
    root = write_parquet(folders, tmp_path / "parquet")
    assert_same(open_source(hf(root, tmp_path)), open_source(config(folders)))
    share = {"val_share": 0.3}
    assert_same(open_source(hf(root, tmp_path, **share)), open_source(config(folders, **share)))
    scored = open_scored(hf(root, tmp_path), ScoredSplit.test)
    assert (scored.split, len(scored.images.labels)) == ("test", 6)


def test_without_types_and_with_names(tmp_path, folders) -> None:
    """As other writers leave them."""
    features = datasets.Features(
        image={"bytes": datasets.Value("binary"), "path": datasets.Value("string")}, label=datasets.Value("string")
    )
    root = write_parquet(folders, tmp_path / "parquet", features, label="name")
    assert_same(open_source(hf(root, tmp_path)), open_source(config(folders)))


def test_what_save_to_disk_wrote(tmp_path, folders) -> None:
    for file in folders.glob("*/*/more/*"):  # of paths the library keeps the last part
        file.rename(file.parent.parent / file.name)
    splits = {"train": "train", "validation": "val", "test": "test"}
    found = {
        name: datasets.Dataset.from_dict(rows(folders / split), features=FEATURES) for name, split in splits.items()
    }
    datasets.DatasetDict(found).save_to_disk(tmp_path / "saved", num_shards=dict.fromkeys(splits, 2))
    assert_same(open_source(hf(tmp_path / "saved", tmp_path)), open_source(config(folders)))


def test_bad_images(tmp_path, folders) -> None:
    clean = shutil.copytree(folders, tmp_path / "clean")
    (clean / "train/ant/0.jpg").unlink()
    (folders / "train/ant/0.jpg").write_bytes(b"text")
    root = write_parquet(folders, tmp_path / "parquet")
    source = open_source(hf(root, tmp_path))
    with pytest.raises(UserError, match=r"cannot read the image .*parquet train:ant/0\.jpg \(its format is unknown\)"):
        source.train.load(0, source.eval_crop)
    assert_same(open_source(hf(root, tmp_path, on_bad_image=OnBadImage.skip)), open_source(config(clean)))


def test_secret_labels_and_missing_splits(tmp_path, folders) -> None:
    root = write_parquet(folders, tmp_path / "parquet")
    data = datasets.Dataset.from_dict({**rows(folders / "test"), "label": [-1] * 6}, features=FEATURES)
    data.to_parquet(root / "test-00000-of-00001.parquet")
    source = open_source(hf(root, tmp_path))
    assert source.test is source.val
    for file in root.glob("validation*"):
        file.unlink()
    with pytest.raises(UserError, match=r"has no split validation or .*: data\.val_share=0\.1 takes"):
        open_source(hf(root, tmp_path))


def test_what_is_no_data_set(tmp_path, folders) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"data\.root=.*empty cannot be loaded \(.*\): name a folder") as one:
        open_source(hf(tmp_path / "empty", tmp_path))
    assert "\n" not in str(one.value)
    features = datasets.Features(image=datasets.Image(), other=datasets.Value("int64"))
    found = rows(folders / "train")
    (tmp_path / "p").mkdir()
    data = datasets.Dataset.from_dict({"image": found["image"], "other": found["label"]}, features=features)
    for name in ("train", "validation"):
        data.to_parquet(tmp_path / "p" / f"{name}.parquet")
    with pytest.raises(UserError, match=r"p train has no column of labels \(image, other\): call the one that counts"):
        open_source(hf(tmp_path / "p", tmp_path))
