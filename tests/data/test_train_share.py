"""A share of the training images: how many of each class, which, and where they are seen."""

from dataclasses import replace

import numpy as np
import pytest

from assemble.data.sources import open_source
from assemble.data.train_share import Subset, left_out, reduced, share_of_each_class
from assemble.errors import UserError
from assemble.planning.explain import summary
from assemble.planning.plan import make_plan
from assemble.schema import Config, DataConfig
from lit_modules.datamodule import ClassifierData

LABELS = np.random.default_rng(0).permutation(np.repeat([0, 1, 2, 5], [100, 37, 3, 1]))


@pytest.mark.parametrize(
    ("share", "counts"), [(1.0, [100, 37, 3, 1]), (0.5, [50, 19, 2, 1]), (0.1, [10, 4, 1, 1]), (1e-6, [1, 1, 1, 1])]
)
def test_each_class_keeps_its_share_and_at_least_one_image(share: float, counts: list[int]) -> None:
    chosen = share_of_each_class(LABELS, share, 0)
    assert [int((LABELS[chosen] == label).sum()) for label in (0, 1, 2, 5)] == counts
    assert np.all(np.diff(chosen) > 0)  # rising, so none twice


def test_the_seed_says_which_and_a_larger_share_has_those_of_a_smaller() -> None:
    first, again, other = (share_of_each_class(LABELS, 0.3, seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert set(first) < set(share_of_each_class(LABELS, 0.6, 0))


def test_what_is_trained_on_is_that_and_what_is_scored_is_all() -> None:
    whole = open_source(DataConfig())
    cfg = DataConfig(train_share=0.25)
    data = ClassifierData(cfg, micro_batch=16, seed=3)
    chosen = share_of_each_class(whole.train.labels, 0.25, 0)
    assert data.train_size == len(chosen) == 301
    assert np.array_equal(data.source.train.labels, whole.train.labels[chosen])
    assert (len(data.source.val.labels), len(data.source.test.labels)) == (300, 300)

    def as_it_is(image: np.ndarray) -> np.ndarray:
        return image

    for i in (0, 100, 300):
        assert np.array_equal(data.source.train.load(i, as_it_is), whole.train.load(int(chosen[i]), as_it_is))
    assert len(data.train_set_as_scored(32)) == 301  # what a teacher answers is stored by these positions
    digests = {open_source(replace(cfg, **own)).train.digest() for own in ({}, {"train_share_seed": 1})}
    assert len(digests | {whole.train.digest()}) == 3


def test_what_is_left_out_is_the_rest() -> None:
    cfg = DataConfig(train_share=0.25, train_share_seed=2)
    whole = open_source(DataConfig())
    kept, rest = reduced(whole, cfg).train, left_out(whole, cfg)
    assert isinstance(kept, Subset)
    assert sorted([*kept.chosen, *rest.chosen]) == list(range(1197))


def test_explained() -> None:
    cfg = Config()
    cfg.data.train_share = 0.5
    cells = [str(cell) for column in summary(make_plan(cfg, [])).columns for cell in column._cells]
    assert "digits, 600 training images of 32 pixels, 0.5 of each class" in cells


@pytest.mark.parametrize("keys", [{"train_share": 0.0}, {"train_share": 1.01}, {"train_share_seed": -1}])
def test_refused(keys: dict[str, float]) -> None:
    with pytest.raises(UserError, match=f"data.{next(iter(keys))} must be"):
        ClassifierData(replace(DataConfig(), **keys), micro_batch=16)  # type: ignore[arg-type]
