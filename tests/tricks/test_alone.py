"""Each trick's function in a plain loop: names and numbers in, the defaults of the trick, draws from any generator."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from assemble.errors import UserError
from tricks import create
from tricks._alone import generator_of
from tricks.agc import AGC, AGCTrick
from tricks.augmix import AugMix, augmix
from tricks.autoaugment import autoaugment
from tricks.bce import BCE, Reduction, binary_cross_entropy
from tricks.color_jitter import ColorJitter, color_jitter
from tricks.colout import ColOut, colout
from tricks.cutmix import CutMix, cutmix
from tricks.distillation import Distillation, Form, distillation_loss, soften
from tricks.label_smoothing import LabelSmoothing, smooth
from tricks.mixup import Mixup, mixup
from tricks.randaugment import randaugment
from tricks.random_blur import RandomBlur, random_blur
from tricks.random_erasing import RandomErasing, random_erasing
from tricks.random_grey import RandomGrey, random_grey
from tricks.sam import SAM, SAMTrick
from tricks.trivialaugment import trivialaugment

IMAGES = torch.rand(8, 3, 12, 12, generator=torch.Generator().manual_seed(0))
TARGETS = torch.eye(8)
IMAGE = np.random.default_rng(0).integers(0, 256, (24, 20, 3), np.uint8)


@pytest.mark.parametrize(
    ("function", "trick"),
    [
        (mixup, Mixup),
        (cutmix, CutMix),
        (smooth, LabelSmoothing),
        (colout, ColOut),
        (random_erasing, RandomErasing),
        (augmix, AugMix),
        (color_jitter, ColorJitter),
        (random_blur, RandomBlur),
        (random_grey, RandomGrey),
        (binary_cross_entropy, BCE),
        (soften, Distillation),
        (distillation_loss, Distillation),
        (SAM, SAMTrick),
        (AGC, AGCTrick),
    ],
)
def test_defaults_are_those_of_the_trick(function: Callable[..., Any], trick: Any) -> None:
    given = inspect.signature(function).parameters
    shared = [name for name in given if name in {own.name for own in fields(trick)} and name != "kind"]
    assert shared
    for name in shared:
        assert given[name].default == getattr(trick(), name), name


def batches(generator: Any) -> dict[str, list[torch.Tensor]]:
    """What every function makes of the same images with fresh generators."""
    return {
        "mixup": list(mixup(IMAGES, TARGETS, kind="permutation", alpha=1.0, generator=generator())),
        "type1": list(mixup(IMAGES, TARGETS, "type1", generator=generator())),
        "cutmix": list(cutmix(IMAGES, TARGETS, generator=generator())),
        "colout": [colout(IMAGES, 0.3, 0.3, generator=generator())],
        "random_erasing": [random_erasing(IMAGES, 1.0, mode="pixel", generator=generator())],
        **{
            function.__name__: [torch.from_numpy(function(IMAGE, generator=generator()).copy())]
            for function in (augmix, autoaugment, color_jitter, randaugment, trivialaugment)
        },
    }


def tricked() -> dict[str, list[torch.Tensor]]:
    """The same by the tricks as objects."""

    def rng() -> np.random.Generator:
        return np.random.default_rng(5)

    images = {"augmix": {"jsd": 0.0}, "autoaugment": {}, "color_jitter": {}, "randaugment": {}, "trivialaugment": {}}
    return {
        "mixup": list(Mixup(kind="permutation", alpha=1.0).mix(IMAGES, TARGETS, rng())),  # type: ignore[arg-type]
        "type1": list(Mixup().mix(IMAGES, TARGETS, rng())),
        "cutmix": list(CutMix().mix(IMAGES, TARGETS, rng())),
        "colout": [ColOut(0.3, 0.3).on_device(IMAGES, rng())],
        "random_erasing": [RandomErasing(1.0, mode="pixel").on_device(IMAGES, rng())],  # type: ignore[arg-type]
        **{t.name: [torch.from_numpy(t.augment(IMAGE, rng()).copy())] for t in create(images)},  # type: ignore[attr-defined]
    }


def same(one: dict[str, list[torch.Tensor]], other: dict[str, list[torch.Tensor]]) -> list[str]:
    return [name for name in one if all(map(torch.equal, one[name], other[name]))]


def test_a_seed_gives_what_the_trick_gives() -> None:
    expected = tricked()
    assert same(batches(lambda: 5), expected) == list(expected)
    assert same(batches(lambda: np.random.default_rng(5)), expected) == list(expected)


def test_torch_generators_are_drawn_from() -> None:
    once, again, other = (batches(lambda seed=seed: torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert same(once, again) == list(once)
    assert not {"mixup", "type1", "cutmix", "colout", "random_erasing"} & set(same(once, other))
    torch.manual_seed(1)
    assert same(batches(lambda: None), once) == ["mixup"], "the first call: later ones have other draws"
    generator = torch.Generator().manual_seed(1)
    assert generator_of(generator).random() != generator_of(generator).random()


def test_nothing_is_drawn_that_is_given() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    mixed, _ = mixup(IMAGES, TARGETS, "permutation", 0.25, torch.arange(8).flip(0))
    torch.testing.assert_close(mixed, 0.25 * IMAGES + 0.75 * IMAGES.flip(0))
    mixed, soft = mixup(IMAGES, TARGETS, "type1", lam=1.0)
    assert torch.equal(mixed, IMAGES[:4])
    assert torch.equal(soft, TARGETS[:4])
    cutmix(IMAGES, TARGETS, torch.arange(8), (0, 3, 0, 3))
    assert torch.equal(before, torch.get_rng_state())


def test_losses_take_names() -> None:
    logits = torch.randn(8, 8, generator=torch.Generator().manual_seed(0))
    by_name = binary_cross_entropy(logits, TARGETS, "sum")
    assert by_name == binary_cross_entropy(logits, TARGETS, Reduction.sum) != binary_cross_entropy(logits, TARGETS)
    soft = soften(logits.flip(0))
    assert distillation_loss(logits, soft, form="kl") == distillation_loss(logits, soft, 1.0, Form.kl)


def test_images_of_any_kind() -> None:
    for function in (augmix, autoaugment, color_jitter, randaugment, trivialaugment):
        expected = function(IMAGE, generator=2)
        assert (expected.dtype, expected.shape) == (np.uint8, IMAGE.shape)
        for image in (Image.fromarray(IMAGE), torch.from_numpy(IMAGE).permute(2, 0, 1)):
            assert np.array_equal(function(image, generator=2), expected), function.__name__


def test_mistakes() -> None:
    with pytest.raises(UserError, match=r"unknown kind 'permutations'\. Did you mean 'permutation'"):
        mixup(IMAGES, TARGETS, kind="permutations")
    with pytest.raises(UserError, match="unknown mode 'noise'"):
        random_erasing(IMAGES, mode="noise")
    with pytest.raises(UserError, match="cannot take 7 images"):
        mixup(IMAGES[:7], TARGETS[:7], kind="type2")
