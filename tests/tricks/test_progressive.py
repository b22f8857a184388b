"""Progressive resizing: the published lists of sizes, and what the loader makes of them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from assemble.data.splits import TrainSet
from assemble.schema import DataConfig
from lit_modules import datamodule
from lit_modules.datamodule import ClassifierData
from tricks import create
from tricks.base import DataTrick


def sizes(image_size: int, epochs: int, **parameters) -> list[int]:
    """The side in each epoch."""
    (trick,) = create({"progressive": parameters})
    assert isinstance(trick, DataTrick)
    return [trick.at(epoch / epochs).size(image_size) for epoch in range(epochs)]


@pytest.mark.parametrize(
    ("image_size", "start", "expected"),
    [
        (300, 128 / 300, [128, 185, 243, 300]),  # S in the paper, Algorithm 1 and Table 6
        (300, 0.4267, [128, 185, 243, 300]),
        (300, 0.57, [171, 214, 257, 300]),  # S in the official code: int(128 + 172 * k / 4)
        (380, 128 / 380, [128, 212, 296, 380]),  # M and L in the paper
        (384, 0.5, [192, 256, 320, 384]),  # M and L in the official code
    ],
)
def test_stages_of_efficientnetv2(image_size, start, expected):
    ramp = {"from": start, "to": 1.0, "stages": 4}
    assert sizes(image_size, 4, scale=ramp) == expected
    changes = [0, 88, 175, 263]  # 350 epochs: 87.5 a stage
    lengths = np.diff([*changes, 350])
    assert sizes(image_size, 350, scale=ramp) == np.repeat(expected, lengths).tolist()


def test_the_default_is_that_of_the_official_code_for_m_and_l():
    assert sizes(384, 8) == [192, 192, 256, 256, 320, 320, 384, 384]
    assert sizes(32, 4) == [16, 21, 27, 32]


@pytest.mark.parametrize(("epochs", "begin", "end"), [(16, 11, 13), (88, 65, 76), (24, 17, 20)])
def test_resolutions_of_ffcv(epochs, begin, end):
    """From 160 to 192 pixels: the nearest multiple of 32 to a line between two epochs."""
    line = np.interp(range(epochs), [begin, end], [160, 192])
    expected = (np.round(line / 32) * 32).astype(int).tolist()
    assert len(set(expected)) == 2
    ramp = {"from": 160 / 192, "to": 1.0, "begin": begin / epochs, "end": end / epochs, "stages": 0}
    assert sizes(192, epochs, scale=ramp, multiple_of=32) == expected


def test_widths_of_composer():
    """Mild recipe: from half of 176, held for 0.4 of the training, whole in the last 0.2, multiples of 4."""
    elapsed = np.arange(40) / 40
    scale = 0.5 + 0.5 * np.clip((elapsed - 0.4) / (1 - 0.2 - 0.4), 0, 1)
    expected = (np.round(176 * scale / 4).astype(int) * 4).tolist()
    ramp = {"from": 0.5, "to": 1.0, "begin": 0.4, "end": 0.8, "stages": 0}
    ours = sizes(176, 40, scale=ramp, multiple_of=4)
    assert ours == expected
    assert ours[:17] == [88] * 17
    assert ours[32:] == [176] * 8


def test_the_full_size_is_not_rounded_and_none_is_beyond_it_or_nothing():
    ramp = {"from": 0.01, "to": 1.0, "stages": 4}
    assert sizes(300, 4, scale=ramp, multiple_of=32) == [32, 96, 192, 300]
    assert sizes(20, 4, scale={"from": 0.9, "to": 1.0, "stages": 2}, multiple_of=16) == [16, 16, 20, 20]
    assert sizes(30, 1, scale=0.9, multiple_of=16) == [30]


def progressive_data(cfg: DataConfig, epochs: int = 4, micro_batch: int = 8) -> ClassifierData:
    tricks = [trick for trick in create(["progressive"]) if isinstance(trick, DataTrick)]
    return ClassifierData(cfg, micro_batch=micro_batch, tricks=tricks, epochs=epochs)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_of_an_epoch_have_its_size_with_workers_and_after_a_restart(workers, monkeypatch):
    monkeypatch.setattr(datamodule, "cores", lambda: 2)
    data = progressive_data(DataConfig(num_workers=workers), micro_batch=300)
    assert [data.train_set.size_at(epoch) for epoch in range(4)] == [16, 21, 27, 32]
    loader = data.train_dataloader()
    for epoch, size in enumerate([16, 21, 27, 32]):  # workers live on from epoch to epoch
        loader.sampler.set_epoch(epoch)
        batches = [images for images, _, _ in loader]
        assert [tuple(images.shape) for images in batches] == [(300, 3, size, size)] * 3
        assert all(images.is_contiguous(memory_format=torch.channels_last) for images in batches)
    resumed = data.train_dataloader()
    resumed.load_state_dict({"epoch": 2, "batch": 1})
    resumed.sampler.set_epoch(2)
    assert [images.shape[-1] for images, _, _ in resumed] == [27, 27]
    assert {images.shape[-1] for images, _ in data.val_dataloader()} == {32}


def test_small_images_show_what_large_ones_do(tmp_path: Path):
    """The same crop at another size, from files: both are drawn from the same numbers."""
    coarse = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            (tmp_path / split / name).mkdir(parents=True)
            image = Image.fromarray(coarse).resize((250, 200), Image.Resampling.BICUBIC)
            image.save(tmp_path / split / name / "0.png")
    cfg = DataConfig(name="imagefolder", root=str(tmp_path), image_size=64)
    grown = progressive_data(cfg, micro_batch=1).train_set
    fixed = TrainSet(grown.split, grown.crop, 64)
    for draw in range(5):
        small, large = grown[0, draw, 0][0], fixed[0, draw, 0][0]
        assert small.shape == (32, 32, 3)
        assert large.shape == (64, 64, 3)
        pooled = large.reshape(32, 2, 32, 2, 3).mean((1, 3))
        assert np.abs(pooled - small).mean() < 2
