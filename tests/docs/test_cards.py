"""The cards say what files, refusals and results say."""

from __future__ import annotations

import pytest

from assemble.config.parameters import parameters
from docs.card_results import logged, of
from docs.cards import card, docstring, index, interplays, prose
from tricks import FOLDER, load, trick_names
from tricks.base import ModelTrick


@pytest.mark.parametrize("name", trick_names())
def test_a_card_has_all_of_its_file(name: str) -> None:
    said, text = docstring(name), card(name)
    assert set(said) == {"Paper", "Changes", "Differs"}
    assert said["Paper"] in text
    assert said["Differs"] in text
    for parameter in parameters(FOLDER / f"{name}.py"):
        assert f"\n`{parameter.name}={parameter.default}` (" in text
        assert prose(parameter.about) in text
    assert f"'drop=[{name}]'" in text
    assert ("| place in resnet50 |" in text) == issubclass(load()[name], ModelTrick)
    assert f"]({name}.md)" in index()


def test_each_refusal_stands_on_both_cards() -> None:
    assert frozenset({"ema", "swa"}) in interplays()
    assert "both say which average of the weights is scored" in card("ema")
    assert "both say which average of the weights is scored" in card("swa")
    assert "resnet_d yields to big_little" in card("big_little")
    assert "take turns" in card("cutmix")
    assert "It goes with every other trick." in card("se")


def test_gains_are_those_of_the_report() -> None:
    """docs/cifar10.md has the table that report.py made of the same runs."""
    (found,) = of("autoaugment")
    assert found.pays
    assert str(found).startswith("**+3.21** [+1.86, +4.57] points of top-1, n = 8 seeds, added to no tricks: resnet18")
    assert "(../cifar10.md)" in str(found)
    (unclear,) = of("label_smoothing")
    assert not unclear.pays
    assert "Not told apart from no trick" in card("label_smoothing")
    assert "Not told apart" not in card("autoaugment")


def test_rows_of_the_log() -> None:
    (entry,) = (row for row in logged("autoaugment") if "| over none, paired (95 %) |" in row)
    assert "| autoaugment | 5 | 55.58 ± 0.85 | -6.90 ± 2.29 |" in entry
    assert list(logged("color_jitter")) == []
    assert "Nothing yet." in card("color_jitter")


def test_where_a_network_has_no_place_the_reason_stands() -> None:
    assert "* Not in MobileNet-V1, EfficientNet, EfficientNetV2, CoAtNet, ResNet (timm), ConvNeXt (timm): " in card(
        "sk"
    )
    assert "It goes with every network." in card("mixup")
    assert "but for those of one image size" in card("progressive")


def test_recipes_that_have_it_by_inheritance_too() -> None:
    assert "[assemble_e12](../../recipes/assemble_e12.yaml)" in card("resnet_d")
    assert "## Recipes with it\n\nNone." in card("swa")


def test_prose() -> None:
    assert prose("a < b * ``c * d`` (arXiv 1710.09412)") == (
        "a &lt; b \\* `c * d` ([arXiv 1710.09412](https://arxiv.org/abs/1710.09412))"
    )
