"""Compound scaling against the official rounding, timm's EfficientNets, limiting cases, and the costs it aims at."""

from pathlib import Path
from typing import Any

import pytest
import torch

from assemble import create_model
from assemble.errors import UserError
from assemble.models.cost import cost_of
from assemble.models.families import spec_of
from assemble.models.spec import NoPlaceError, scaled_blocks, scaled_channels
from assemble.planning.plan import make_plan
from assemble.planning.resolve import resolve
from assemble.schema import Config, DataConfig
from assemble.scoring.trained import open_trained
from tests.helpers import teachers
from tricks import create

B0 = {"channels": (32, 16, 24, 40, 80, 112, 192, 320, 1280), "blocks": (1, 2, 2, 3, 3, 4, 1)}
PUBLISHED = {1: (1.0, 1.1), 2: (1.1, 1.2), 3: (1.2, 1.4), 4: (1.4, 1.8), 5: (1.6, 2.2), 6: (1.8, 2.6), 7: (2.0, 3.1)}
"""EfficientNet-B1 to B7: width and depth over those of B0 (arXiv 1905.11946's official code)."""


def scaled(model: str, image_size: int | None = None, **parameters: Any) -> Any:
    return resolve(create({"compound_scaling": parameters}), spec_of(model, image_size=image_size)).spec


@pytest.mark.parametrize("variant", PUBLISHED)
def test_the_rounding_makes_the_published_efficientnets(variant: int) -> None:
    import timm

    width, depth = PUBLISHED[variant]
    with torch.device("meta"):
        network: Any = timm.create_model(f"tf_efficientnet_b{variant}")
    ends = [stage[-1].conv_pwl if hasattr(stage[-1], "conv_pwl") else stage[-1].conv_pw for stage in network.blocks]
    channels = [conv.out_channels for conv in (network.conv_stem, *ends, network.conv_head)]
    assert [scaled_channels(c, width, 8) for c in B0["channels"]] == channels
    assert [scaled_blocks(n, depth) for n in B0["blocks"]] == [len(stage) for stage in network.blocks]


@pytest.mark.parametrize("variant", PUBLISHED)
def test_they_are_b0_scaled(variant: int) -> None:
    width, depth = PUBLISHED[variant]
    name = f"efficientnet_b{variant}"
    assert spec_of("efficientnet_b0").scaled(depth, width).replace(name=name) == spec_of(name)


def test_b0_at_phi_1_is_b2_on_smaller_images() -> None:
    """B2 is B0 with 1.1 times the width and 1.2 times the depth, which are beta and alpha."""
    assert scaled("efficientnet_b0").replace(name="efficientnet_b2") == spec_of("efficientnet_b2")
    data: Any = create({"compound_scaling": {}})[0].data_settings(DataConfig(image_size=224))  # type: ignore[attr-defined]
    assert data.image_size == 258  # B2: 260


@pytest.mark.parametrize(
    ("channels", "factor", "divisor", "expected"),
    [
        (112, 1.1, 8, 120),  # 123.2
        (24, 1.1, 8, 24),  # 26.4: 24 is not 10 % below
        (8, 1.4142, 8, 16),  # 11.3: 8 would be
        (8, 1.4142, 1, 11),
        (12, 1.0, 8, 12),  # not touched
        (64, 0.05, 8, 8),  # 3.2: no layer has fewer than the divisor
    ],
)
def test_channels(channels: int, factor: float, divisor: int, expected: int) -> None:
    assert scaled_channels(channels, factor, divisor) == expected


def test_blocks() -> None:
    assert [scaled_blocks(n, 1.1) for n in (1, 2, 10)] == [2, 3, 11]  # 11.000000000000002 is 11
    assert scaled_blocks(2, 0.5) == 1
    with pytest.raises(UserError, match=r"a depth of 0\.2 times 2 blocks leaves nothing of a stage"):
        scaled_blocks(2, 0.2)


@pytest.mark.parametrize(
    "model", ["resnet50", "resnet18", "resnet20", "plain20", "tiny", "mobilenet_v1", "efficientnetv2_b2"]
)
def test_factors_of_one_change_nothing(model: str) -> None:
    for chosen in ({}, {"width": 12}) if "efficient" not in model else ({},):
        spec = spec_of(model, **chosen)
        assert spec.scaled(1.2**0, 1.1**0) == spec


def test_depth_repeats_the_blocks_of_each_stage() -> None:
    once = create_model("resnet18", num_classes=5, width=8)
    twice: Any = create_model("resnet18", {"compound_scaling": {"alpha": 2.0, "beta": 1.0}}, num_classes=5, width=8)
    assert [len(twice.get_submodule(name)) for name in twice.stages] == [4, 4, 4, 4]
    assert once.state_dict().keys() < twice.state_dict().keys()
    mobile: Any = create_model("mobilenet_v1", {"compound_scaling": {"alpha": 2.0, "beta": 1.0}}, width=8)
    assert [len(stage) for stage in mobile.blocks] == [2, 4, 4, 12, 4]
    strides = [block.conv_dw.stride[0] for stage in mobile.blocks for block in stage]
    assert [i for i, stride in enumerate(strides) if stride == 2] == [2, 6, 10, 22]  # the first of each stage
    assert mobile(torch.randn(1, 3, 64, 64)).isfinite().all()


@pytest.mark.parametrize(("model", "width", "size"), [("resnet110", 40, 40), ("resnet101", 80, 200)])
@pytest.mark.parametrize("phi", [1, 2])
def test_multiply_adds_grow_as_published(model: str, width: int, size: int, phi: int) -> None:
    """(1.2 * 1.1^2 * 1.15^2)^phi = 1.92^phi, which is about 2^phi, in networks that rounding changes little."""
    base, parameters = spec_of(model, width=width), {"phi": phi, "divisor": 1}
    (trick,) = create({"compound_scaling": parameters})
    larger: Any = trick
    growth = cost_of(larger.convert(base), larger.data_settings(DataConfig(image_size=size)).image_size).macs
    assert growth / cost_of(base, size).macs == pytest.approx(1.92027**phi, rel=0.06)


@pytest.mark.parametrize(
    ("parameters", "factor"),
    [({"alpha": 2.0, "beta": 1.0}, 2), ({"alpha": 1.0, "beta": 2**0.5, "divisor": 1}, 2)],
)
def test_depth_and_width_alone_make_up_for_it(parameters: dict[str, float], factor: float) -> None:
    base = spec_of("resnet110", width=40)
    spec = resolve(create({"compound_scaling": parameters}), base).spec
    assert cost_of(spec, 32).macs / cost_of(base, 32).macs == pytest.approx(factor, rel=0.03)


# --- the resolution


def test_sizes_are_even_and_scaled_alike() -> None:
    (trick,) = create({"compound_scaling": {}})
    data: Any = trick.data_settings(DataConfig(image_size=224, eval_size=256, eval_resize=257))  # type: ignore[attr-defined]
    assert (data.image_size, data.eval_size, data.eval_resize) == (258, 294, 296)  # 257.6, 294.4, 295.55
    data = trick.data_settings(DataConfig(image_size=32))  # type: ignore[attr-defined]
    assert (data.image_size, data.eval_size, data.eval_resize) == (36, None, None)  # 36.8
    (trick,) = create({"compound_scaling": {"gamma": 1.0}})
    assert trick.data_settings(DataConfig(image_size=33)) == DataConfig(image_size=33)  # type: ignore[attr-defined]


def test_the_run_has_them_and_keeps_its_stem() -> None:
    cfg = teachers.small(image_size=60)
    plan = make_plan(cfg, create({"compound_scaling": {"beta": 1.0}}))
    assert cfg.data.image_size == 60
    assert plan.cfg.data.image_size == 68  # 69 is as near to 68 as to 70
    assert plan.data is not None
    assert plan.data.train_set.size_at(0) == 68
    assert plan.data.source.test.images.shape[1:3] == (68, 68)  # type: ignore[attr-defined]
    assert plan.recipe.spec.stride == 4  # the small stem, though 68 pixels are more than 64
    assert make_plan(teachers.small(image_size=68), create(["mixup"])).recipe.spec.stride == 16


def test_progressive_learning_ends_at_the_scaled_size() -> None:
    plan = make_plan(teachers.small(image_size=32), create({"compound_scaling": {}, "progressive": {}}))
    assert plan.data is not None
    assert [plan.data.train_set.size_at(epoch) for epoch in (0, plan.cfg.trainer.max_epochs - 1)] == [18, 36]


def test_a_checkpoint_is_opened_with_them(tmp_path: Path) -> None:
    from assemble.exporting.calibration import source_of
    from assemble.models.weights import read_config
    from assemble.scoring.configuration import configure

    tricks = {"compound_scaling": {"phi": 2.0, "divisor": 1}}
    module = teachers.checkpoint(tmp_path / "last.ckpt", teachers.small(image_size=60, eval_size=62), tricks)
    trained = open_trained(str(tmp_path / "last.ckpt"))
    assert trained.size == 82  # 62 * 1.3225 = 81.995
    assert (trained.view["image_size"], trained.view["eval_size"]) == (80, 82)
    images = torch.randint(0, 256, (2, 3, 82, 82)).float()
    with torch.no_grad():
        assert torch.equal(module.model(trained.normalised(images)), trained(images))
    cfg = configure({"checkpoint": "x"}, trained)
    assert (cfg.data.image_size, cfg.data.eval_size) == (80, 82)
    assert source_of(read_config(tmp_path / "last.ckpt")).test.images.shape[1:3] == (80, 80)  # type: ignore[attr-defined]


# --- other tricks


def test_big_little_is_of_the_scaled_network() -> None:
    spec: Any = resolve(create({"compound_scaling": {}, "big_little": {}}), spec_of("resnet50")).spec
    assert (spec.depths, spec.width) == ((4, 5, 8, 4), 72)
    assert len(spec.build().layer1.big) == 3
    with pytest.raises(UserError, match=r"(?=.*big_little)(?=.*compound_scaling).*depths of resnet101"):
        resolve(create(["compound_scaling", "big_little"]), spec_of("resnet101"))


# --- refusals


@pytest.mark.parametrize("model", ["coatnet_0", "timm:convnext_atto"])
def test_networks_whose_layers_are_not_ours_to_count(model: str) -> None:
    with pytest.raises(NoPlaceError):
        spec_of(model).scaled(1.2, 1.1)
    with pytest.raises(UserError, match=f"compound_scaling finds no place in {model} .no depth and width"):
        scaled(model)


@pytest.mark.parametrize(
    ("parameters", "line"),
    [
        ({"phi": -20.0}, r"a depth of 0\.0261 times 2 blocks leaves nothing of a stage"),
        ({"phi": -60.0, "alpha": 1.0}, r"a width of 0\.00328 times 8 channels leaves none"),
        ({"divisor": 100_000}, r"model\.width must be at least 2 and at most 65536"),
    ],
)
def test_what_leaves_nothing_or_too_much(parameters: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError, match=line):
        scaled("tiny", **parameters)


def test_an_efficientnet_keeps_its_layers_too() -> None:
    with pytest.raises(UserError, match=r"a depth of 0\.4 times 1 block leaves nothing of a stage"):
        spec_of("efficientnet_b0").scaled(0.4, 1.0)
    with pytest.raises(UserError, match=r"a width of 0\.05 times 16 channels leaves none"):
        spec_of("efficientnet_b0").scaled(1.0, 0.05)


def test_images_below_the_stride() -> None:
    with pytest.raises(UserError, match="images of 2x2 are too small"):
        make_plan(
            teachers.small(image_size=16), create({"compound_scaling": {"phi": -15.0, "alpha": 1.0, "beta": 1.0}})
        )


def test_nothing_to_scale_but_the_images_is_something() -> None:
    cfg: Config = teachers.small(image_size=32)
    plan = make_plan(cfg, create({"compound_scaling": {"alpha": 1.0, "beta": 1.0}}))
    assert plan.recipe.spec == plan.recipe.base
    assert plan.cfg.data.image_size == 36
