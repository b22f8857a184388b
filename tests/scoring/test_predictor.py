"""A trained network on its device."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from assemble.devices import device_of
from assemble.errors import UserError
from assemble.scoring.predictor import Loading, Predictor, frames_first
from assemble.scoring.trained import Trained

CPU = torch.device("cpu")


class Sides(nn.Module):
    """Logits: the mean of the left and of the right half of the image."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)  # something to have a dtype

    def forward(self, images):
        return torch.stack([half.mean((1, 2, 3)) for half in images.split(4, dim=3)], 1)


def trained(network: nn.Module | None = None) -> Trained:
    return Trained.of("sides", network or Sides(), 2, 8, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def test_flips_are_averaged():
    images = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    images[0, ..., :4], images[1] = 10, 4
    assert Predictor(trained(), CPU)(images).tolist() == [[10, 0], [4, 4]]
    assert Predictor(trained(), CPU, flip=True)(images).tolist() == [[5, 5], [4, 4]]


def test_autocast_gives_float32_logits_that_are_rougher():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))
    images = torch.rand(2, 3, 8, 8)
    exact, rough = (Predictor(trained(network), CPU, precision=p)(images) for p in ("32-true", "bf16-mixed"))
    assert exact.dtype == rough.dtype == torch.float32
    assert not torch.equal(exact, rough)
    torch.testing.assert_close(exact, rough, rtol=0.05, atol=0.05)


def test_what_the_machine_has_not(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert device_of("auto") == device_of("cpu") == CPU
    for name in ("gpu", "cuda", "mps"):
        with pytest.raises(UserError, match=f"trainer.accelerator={name} cannot be had here"):
            device_of(name)
    with pytest.raises(UserError, match=r"unknown trainer\.accelerator 'abacus'"):
        device_of("abacus")
    with pytest.raises(UserError, match="16-mixed needs a GPU"):
        Predictor(trained(), CPU, precision="16-mixed")
    with pytest.raises(UserError, match=r"unknown trainer\.precision '16'"):
        Predictor(trained(), CPU, precision="16")


def test_each_process_has_its_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert device_of("auto") == torch.device("cuda", 3)
    assert device_of("cpu") == CPU


def test_batches_in_order():
    images = [(np.full((4, 4, 3), i, np.uint8), i) for i in range(5)]
    found = list(Loading(2, 0, CPU)(images))  # type: ignore[arg-type]
    assert [labels.tolist() for _, labels in found] == [[0, 1], [2, 3], [4]]
    assert found[0][0].shape == (2, 3, 4, 4)
    assert found[2][0].unique().tolist() == [4]


def test_sequences_one_by_one():
    frames = np.arange(3 * 4 * 4 * 3, dtype=np.uint8).reshape(3, 4, 4, 3)
    (found,) = Loading(2, 0, CPU).sequences([frames])  # type: ignore[arg-type]
    assert found.shape == (3, 3, 4, 4)
    assert found[1, 2, 0, 3] == frames[1, 0, 3, 2]
    assert torch.equal(found, frames_first(frames))


def test_the_network_is_told_which_images_it_gets(tmp_path: Path):
    shown = trained().shown(4, (1.0, 2.0, 3.0), (2.0, 2.0, 2.0))
    assert shown.size == 4
    normal = shown.normalised(torch.full((1, 3, 4, 4), 7, dtype=torch.uint8))
    assert normal[0, :, 0, 0].tolist() == [3.0, 2.5, 2.0]
