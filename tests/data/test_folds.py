"""Folds: every training image is validated on once, evenly by class, and runs on folds are repetitions of one row."""

from dataclasses import replace

import numpy as np
import pytest

from assemble.data.held_out import folded, folds_of
from assemble.data.identity import data_digest
from assemble.data.sources import open_scored, open_source, open_whole
from assemble.errors import UserError
from assemble.planning.explain import summary
from assemble.planning.plan import make_plan
from assemble.runs.identity import config_hash, run_name
from assemble.schema import Config, DataConfig, ScoredSplit
from lit_modules.datamodule import ClassifierData
from tests.helpers.synthetic_runs import default_config
from tests.lit_modules.test_data import folder_config, image_folder

LABELS = np.random.default_rng(0).permutation(np.repeat([0, 1, 2, 5], [100, 37, 6, 2]))


@pytest.mark.parametrize("folds", [2, 3, 7])
def test_folds_are_even_in_all_classes(folds):
    fold = folds_of(LABELS, folds, 0)
    assert np.ptp(np.bincount(fold, minlength=folds)) <= 1
    for label in np.unique(LABELS):
        assert np.ptp(np.bincount(fold[label == LABELS], minlength=folds)) <= 1
    assert not np.array_equal(fold, folds_of(LABELS, folds, 1))


def test_every_image_is_validated_on_once_and_trained_on_in_the_other_folds(tmp_path):
    cfg = folder_config(image_folder(tmp_path, ("train",), each=5), folds=3, fold_seed=4)
    whole = open_whole(cfg)
    scored = []
    for fold in range(3):
        source = open_source(replace(cfg, fold=fold))
        assert source.test is source.val
        assert source.scored_split == "val"
        assert sorted([*source.train.chosen, *source.val.chosen]) == list(range(10))
        assert np.array_equal(source.val.labels, whole.train.labels[source.val.chosen])
        pixels = source.val.load(0, lambda image: image.decode().copy())
        assert np.array_equal(pixels, whole.train.load(int(source.val.chosen[0]), lambda image: image.decode()))
        assert open_scored(replace(cfg, fold=fold), ScoredSplit.test).images.digest() == source.val.digest()
        scored += source.val.chosen.tolist()
    assert sorted(scored) == list(range(10))


def test_images_of_test_are_scored_in_every_fold(tmp_path):
    root = image_folder(tmp_path, ("train", "val", "test"))
    cfg = folder_config(root, folds=2, fold=1)
    source = open_source(cfg)
    assert source.scored_split == "test"
    assert source.test.digest() == open_source(folder_config(root)).test.digest()
    assert len(source.val.labels) == 4
    digits = open_source(DataConfig(folds=4, fold=0))
    assert (len(digits.train.labels), len(digits.val.labels), len(digits.test.labels)) == (897, 300, 300)


def test_folds_are_of_one_data_set_and_have_names_of_their_own(tmp_path):
    cfg = folder_config(image_folder(tmp_path, ("train",)), folds=2)
    data = [ClassifierData(replace(cfg, fold=fold), micro_batch=1) for fold in (0, 1)]
    assert data[0].identity == data[1].identity
    assert data_digest(replace(cfg, fold=0)) == data_digest(replace(cfg, fold=1)) == data[0].identity.digest
    assert data[0].source.train.digest() != data[1].source.train.digest()  # stored logits are for one of them
    configs = [default_config() for _ in range(4)]
    for config, changes in zip(
        configs, ({"fold": 0}, {"fold": 1}, {"fold": 1, "fold_seed": 1}, {"folds": None}), strict=True
    ):
        config["data"] |= {"folds": 5, **changes}
    hashes = [config_hash(config) for config in configs]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3
    names = [run_name(config, digest) for config, digest in zip(configs, hashes, strict=True)]
    assert names[:2] == [f"tiny-digits-plain-s0f{fold}-{hashes[0]}" for fold in (0, 1)]
    assert names[3] == f"tiny-digits-plain-s0-{hashes[3]}"


def test_explained():
    cfg = Config(data=DataConfig(folds=3, fold=2))
    cells = [str(cell) for column in summary(make_plan(cfg, [])).columns for cell in column._cells]
    assert "digits, 798 training images of 32 pixels, fold 2 of 3 held out" in cells


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"folds": 5}, r"data\.folds=5 needs data\.fold=0 to 4: one of them, or a sweep .* data\.fold=0,1,2,3,4"),
        ({"fold": 0}, r"data\.fold=0 is one of how many\? Set data\.folds"),
        ({"folds": 5, "fold": 5}, r"data\.fold=5 is none of the folds 0 to 4"),
        ({"folds": 5, "fold": 1, "val_share": 0.1}, r"data\.val_share=0\.1 and data\.folds=5 both say"),
        ({"folds": 2000, "fold": 1}, r"data\.folds=2000 is more than the 1197 training images"),
        ({"folds": 1, "fold": 0}, r"data\.folds must be at least 2"),
    ],
)
def test_refused(changes, message):
    with pytest.raises(UserError, match=message):
        ClassifierData(DataConfig(**changes), micro_batch=16)


def test_a_class_with_one_image_is_refused(tmp_path):
    root = image_folder(tmp_path, ("train",))
    for i in range(1, 4):
        next((root / "train" / "cat").glob(f"{i}.*")).unlink()
    cfg = folder_config(root, folds=2)
    fold = int(folds_of(np.array([0, 1, 1, 1, 1]), 2, 0)[0])
    with pytest.raises(UserError, match=f"the class cat has one training image, which fold {fold} validates on"):
        open_source(replace(cfg, fold=fold))
    whole = open_whole(cfg)
    assert len(folded(whole, replace(cfg, fold=1 - fold)).val.labels) == 2
