"""Repeated augmentation against the sampler of DeiT and timm."""

import math

import numpy as np
import pytest

from assemble.data.sampler import EpochSampler
from assemble.schema import DataConfig
from lit_modules.datamodule import ClassifierData
from tricks.repeated_augmentation import RepeatedAugmentation


def indices(length: int, batch: int, repeats: int, rank: int = 0, world: int = 1) -> list[int]:
    sampler = EpochSampler(length, batch, repeats=repeats, seed=3, rank=rank, world=world)
    return [index for _, _, index in sampler]


@pytest.mark.parametrize("world", [1, 2, 4])
@pytest.mark.parametrize("repeats", [2, 3, 4])
def test_order_and_length_are_timms(world, repeats):
    """timm's in the order 0, 1, 2...; ours renamed so that its images come first in this order."""
    from timm.data.distributed_sampler import RepeatAugSampler

    name = {index: i for i, index in enumerate(dict.fromkeys(indices(512, 32, repeats)))}
    for rank in range(world):
        theirs = list(RepeatAugSampler(range(512), world, rank, shuffle=False, num_repeats=repeats))
        ours = [name[index] for index in indices(512, 32 // world, repeats, rank, world)]
        assert ours == theirs


@pytest.mark.parametrize("batch", [30, 32])
def test_an_epoch_has_its_length_and_a_share_of_the_images(batch):
    """Also where the batch is no multiple of the repeats."""
    drawn = indices(200, batch, 3)
    steps = 200 // batch
    assert len(drawn) == steps * batch
    counts = np.bincount(drawn, minlength=200)
    assert np.count_nonzero(counts) == math.ceil(steps * batch / 3)
    assert set(counts) == {0, 3, steps * batch % 3}, "the last image may be cut short"


def test_each_appearance_is_augmented_on_its_own():
    cfg = DataConfig(crop_pad=4, flip=0.0)
    data = ClassifierData(cfg, micro_batch=12, tricks=[RepeatedAugmentation()])
    images, _, index = next(iter(data.train_dataloader()))
    assert index.reshape(4, 3).eq(index[::3, None]).all()
    assert len(set(index.tolist())) == 4
    assert len({image.numpy().tobytes() for image in images}) > 8
    plain = ClassifierData(cfg, micro_batch=12)
    assert data.steps_per_epoch() == plain.steps_per_epoch()
    assert len(set(next(iter(plain.train_dataloader()))[2].tolist())) == 12
