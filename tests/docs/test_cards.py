"""The cards say what files, refusals and results say."""

from __future__ import annotations

from pathlib import Path

import pytest

from assemble.config.parameters import parameters
from docs.card_results import entries, logged, measured
from docs.cards import card, docstring, index, interplays, prose
from tests.helpers.synthetic_runs import make_run
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


def test_gains_are_paired_by_seed_with_an_interval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed, top1 in enumerate([50.0, 51.5, 52.0]):
        make_run(tmp_path / "results" / "small", (), seed, top1, model="tiny")
        make_run(tmp_path / "results" / "small", ("resnet_d",), seed, top1 + 5 + 0.1 * seed, model="tiny")
        make_run(tmp_path / "results" / "small", ("sk",), seed, top1 + seed - 1, model="tiny")
    monkeypatch.setattr("docs.card_results.DOCS", tmp_path)
    pays, unclear = measured.__wrapped__()
    assert str(pays).startswith("**+5.10** [+4.85, +5.35] points of top-1, n = 3 seeds, added to no tricks: tiny, ")
    assert str(pays).endswith(", small"), "there is no page of that name to link to"
    assert (pays.pays, unclear.pays) == (True, False)


def test_gains_stand_on_the_cards() -> None:
    assert len(measured()) >= 5
    for each in measured():
        assert f"* {each}." in card(each.gain.trick)
        assert (f"* Not told apart from no trick: {each}." in card(each.gain.trick)) != each.pays
        assert "(../cifar10.md)" in str(each)


def test_rows_of_the_log() -> None:
    (entry,) = (row for row in logged("autoaugment") if "over none, paired (95 %)" in row)
    assert "): n 5; top-1 % 55.58 ± 0.85; over none, paired (95 %) -6.90 ± 2.29; loss 1.38 ± 0.03;" in entry
    assert list(logged("color_jitter")) == []
    assert "no row of its own in the log" in card("color_jitter")
    (link,) = entries("autoaugment", "AutoAugment")
    assert link.endswith("(../../LOG.md#2026-11-25-a-policy-of-autoaugment-searched-on-emoji-9-does-not-pay)")
    assert "about it:\n\n* [2026-11-25: compound scaling" in card("compound_scaling")


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
