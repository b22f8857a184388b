"""Recipes of other projects against literal versions of what their code computes."""

from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from assemble.config.recipes import flatten
from assemble.models.catalogue import CATALOGUE, ResNetEntry
from assemble.schema import OptimConfig
from lit_modules.optim import build_optimizer
from lit_modules.schedule import Schedule
from tests.helpers.composing import configured
from tricks import create

FFCV = {16: (11, 13), 24: (17, 20), 32: (23, 27), 40: (29, 34), 56: (41, 48), 88: (65, 76)}
"""Epochs -> start_ramp and end_ramp of rn50_configs/rn50_*_epochs.yaml."""


def body(name: str) -> dict:
    return flatten(name).body


def trick(recipe: str, name: str) -> Any:
    (made,) = create({name: body(recipe)["tricks"][name]})
    return made


def optim(name: str) -> OptimConfig:
    """As Hydra reads it: YAML takes 1e-4 for a string."""
    config: Any = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(OptimConfig), body(name)["optim"]))
    return config


@pytest.mark.parametrize("epochs", FFCV)
def test_ffcv_sizes(epochs):
    """`get_resolution` of train_imagenet.py, epoch by epoch."""
    start, end = FFCV[epochs]
    sizes = []
    for epoch in range(epochs):
        ramp = np.interp([epoch], [start, end], [160, 192])[0]
        sizes.append(160 if epoch <= start else 192 if epoch >= end else int(np.round(ramp / 32)) * 32)
    name = f"ffcv_rn50_{epochs}"
    progressive = trick(name, "progressive")
    assert body(name)["trainer"]["max_epochs"] == epochs
    assert [progressive.at(epoch / epochs).size(body(name)["data"]["image_size"]) for epoch in range(epochs)] == sizes


@pytest.mark.parametrize("epochs", FFCV)
def test_ffcv_learning_rates(epochs):
    """`get_cyclic_lr`, interpolated between epochs as `train_loop` does."""
    cfg, batches = optim(f"ffcv_rn50_{epochs}"), 312
    schedule = Schedule.of(cfg, batches, epochs)
    steps = np.arange(epochs * batches)
    expected = np.interp(steps / batches, [0, 2, epochs], [1.7e-4, 1.7, 0])
    np.testing.assert_allclose([cfg.lr * schedule(step) for step in steps], expected, atol=1e-9)


@pytest.mark.parametrize(("name", "initial", "delay"), [("composer_mild", 0.5, 0.4), ("composer_hot", 0.6, 0.2)])
def test_composer_sizes(name, initial, delay):
    """`ProgressiveResizing.apply` with a finetune_fraction of 0.2, at the beginning of each epoch."""
    progressive, epochs = trick(name, "progressive"), body(name)["trainer"]["max_epochs"]
    for epoch in range(epochs):
        elapsed = epoch / epochs
        share = min((elapsed - delay) / (1 - 0.2 - delay), 1) if elapsed >= delay else 0.0
        size = round(176 * (initial + (1 - initial) * share) / 4) * 4
        assert progressive.at(elapsed).size(176) == size


@pytest.mark.parametrize(
    ("name", "decay"), [("composer_mild", 5e-4), ("composer_medium", 5e-4), ("composer_hot", 3e-4)]
)
def test_composer_decoupled_weight_decay(name, decay):
    """`DecoupledSGDW`: weights times 1 - decay * lr / peak, then the step by the momentum's buffer, over a schedule."""
    cfg = optim(name)
    torch.manual_seed(0)
    layer = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    expected = [p.detach().clone() for p in layer.parameters()]
    buffers = [torch.zeros_like(p) for p in expected]
    optimizer = build_optimizer(layer, cfg)
    for step in range(6):
        lr = 2.048 * (step + 1) / 6
        gradients = [torch.randn(p.shape, generator=torch.Generator().manual_seed(step)) for p in expected]
        for group in optimizer.param_groups:
            group["lr"] = lr
        for p, gradient in zip(layer.parameters(), gradients, strict=True):
            p.grad = gradient.clone()
        optimizer.step()
        for p, buffer, gradient in zip(expected, buffers, gradients, strict=True):
            buffer.mul_(0.875).add_(gradient)
            p.mul_(1 - lr / 2.048 * decay).add_(buffer, alpha=-lr)
    for p, q in zip(layer.parameters(), expected, strict=True):
        torch.testing.assert_close(p.detach(), q)


@pytest.mark.parametrize(
    ("name", "decay", "every"),
    [
        ("composer_mild", 2 ** -(20 / 100), 20),  # half-life of 100 batches, updated every 20
        ("torchvision_12", 1 - (1 - 0.99998) * 8 * 128 * 32 / 600, 32),  # references/classification/train.py
    ],
)
def test_moving_averages(name, decay, every):
    ema = trick(name, "ema")
    assert ema.decay == pytest.approx(decay, abs=1e-5)
    assert (ema.every, ema.warmup) == (every, False)


@pytest.mark.parametrize("row", range(2, 13))
def test_torchvision_turns_images_as_it_resizes_them(row):
    """--interpolation of references/classification/train.py, bilinear, goes to TrivialAugmentWide too (presets.py)."""
    assert trick(f"torchvision_{row:02}", "trivialaugment").interpolation.value == "bilinear"


def test_the_teacher_of_bag_of_tricks_sees_the_mixed_images():
    """train_imagenet.py of dmlc/gluon-cv: ``data`` is mixed before ``teacher(X)``."""
    distillation = trick("bag_13", "distillation")
    assert (distillation.sees_mixed, distillation.temperature) == (True, 20)
    assert not trick("bag_11", "distillation").sees_mixed  # nothing is mixed


@pytest.mark.parametrize("layers", [50, 101, 152])
def test_resnets_of_2015_stride_in_the_first_1x1_convolution(layers):
    """res3a_branch2a of KaimingHe/deep-residual-networks has stride 2."""
    entry = CATALOGUE[configured(f"resnet{layers}")[0].model.name]
    assert isinstance(entry, ResNetEntry)
    assert entry.early_stride


def test_label_smoothing_of_bag_of_tricks_over_the_wrong_classes():
    """What bag_10 says of the paper's formula: eps / (K - 1) for each wrong class, 1 - eps for the right one."""
    (smoothing,) = create({"label_smoothing": {"smoothing": 0.1 * 1000 / 999}})
    target = smoothing.targets(torch.eye(1, 1000, dtype=torch.float64))[0]
    expected = torch.full((1000,), 0.1 / 999, dtype=torch.float64)
    expected[0] = 0.9
    torch.testing.assert_close(target, expected)


@pytest.mark.parametrize(
    ("size", "side", "magnitude", "alpha"), [("s", 300, 10, 0.0), ("m", 384, 15, 0.2), ("l", 384, 20, 0.5)]
)
def test_stages_of_the_code_of_efficientnetv2(size, side, magnitude, alpha):
    """The loop over stages of main.py: sizes begin a quarter of the way on, `np.linspace` gives all else."""
    name = f"efficientnetv2_{size}_official"
    now = [stage / 4 for stage in range(4)]
    sides = [int(128 + (side - 128) * (stage + 1) / 4) for stage in range(4)]
    assert [trick(name, "progressive").at(share).size(body(name)["data"]["image_size"]) for share in now] == sides
    magnitudes = [trick(name, "randaugment").at(share).magnitude for share in now]
    np.testing.assert_allclose(magnitudes, np.linspace(5, magnitude, 4))
    for mixing in ("mixup", "cutmix") if alpha else ():
        np.testing.assert_allclose([trick(name, mixing).at(share).alpha for share in now], np.linspace(0, alpha, 4))
