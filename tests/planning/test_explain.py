"""The tables of ``explain=true``: every place with its owner, every trick with its cost."""

from dataclasses import replace
from itertools import pairwise

import pytest
from rich.console import Console

from assemble.models.cost import cost_of
from assemble.models.families import spec_of
from assemble.models.spec import PLACES
from assemble.planning import explain
from assemble.planning.batch import Batch
from assemble.planning.plan import make_plan
from assemble.planning.resolve import resolve
from assemble.schema import Config, ModelConfig
from assemble.wording import amount
from tricks import create


def plan_of(tricks=(), **model):
    cfg = Config()
    cfg.model.name, cfg.model.width = "resnet50", 8
    for key, value in model.items():
        setattr(cfg.model, key, value)
    return make_plan(cfg, create(tricks))


def rows(plan) -> dict[str, tuple[str, str]]:
    return {place: (filling, owner) for place, filling, owner in explain.places(plan)}


def test_without_tricks_the_model_owns_every_place():
    table = rows(plan_of())
    assert {owner for place, (_, owner) in table.items() if place in PLACES} == {"resnet50"}
    assert table["operator"] == ("3x3 conv, batch norm, ReLU", "resnet50")
    assert table["pool"] == ("none", "resnet50")  # 32x32 images: the small stem
    assert table["stem"][0] == "small_stem"
    assert table["loss"] == ("cross-entropy with one-hot targets", "digits")
    assert table["batch"] == ("as it is", "digits")


def test_every_trick_is_at_its_place_with_its_parameters():
    table = rows(
        plan_of({"sk": {"reduction": 4}, "resnet_d": {}, "dropblock": {"block_size": 3}, "mixup": {"alpha": 0.3}})
    )
    assert table["operator"] == ("SelectiveKernel(reduction=4, min_attention=32, form=one_conv)", "sk")
    assert table["shortcut"] == ("pooled_shortcut(pool_stage1=True)", "resnet_d")
    assert table["stem"][1] == "resnet50"
    filling, owner = table["after_norm"]
    assert owner == "dropblock"
    assert "block_size=3" in filling
    assert "keep_prob=1 to 0.9 over training" in filling
    filling, owner = table["batch"]
    assert owner == "mixup"
    assert "alpha=0.3" in filling


def test_all_spec_places_are_shown():
    """A new callable or flag of `Spec` must not be forgotten in the table."""
    spec = spec_of("resnet50")
    conventions = {"name", "block", "num_classes", "width", "residual", "early_stride", "bn_momentum"}
    conventions |= {"bn_eps", "padding", "init"}
    assert set(spec.places) == set(spec.__dataclass_fields__) - conventions == set(PLACES)


def test_plain_networks_say_that_there_is_no_shortcut():
    assert rows(plan_of(name="plain20"))["shortcut"] == ("none (plain network)", "plain20")


def test_costs_add_up():
    plan = plan_of(["sk", "resnet_d", "anti_alias", "big_little"])
    table = explain.costs(plan)
    names = [name for name, _, _ in table]
    assert names == ["resnet50", "anti_alias", "big_little", "resnet_d", "sk"]
    for (_, before, _), (_, after, added) in pairwise(table):
        assert after.params == before.params + added.params
        assert after.macs == before.macs + added.macs
    by_name = {name: (after, added) for name, after, added in table}
    assert by_name["resnet_d"][1].params == by_name["resnet_d"][1].macs == 0  # yields to Big-Little
    assert by_name["anti_alias"][1].params == 0
    assert by_name["anti_alias"][1].macs > 0
    spec = resolve(
        create(["sk", "anti_alias", "big_little"]), spec_of("resnet50", width=8, num_classes=10, stem="small")
    ).spec
    assert by_name["sk"][0] == cost_of(spec, 32) == table[-1][1]


@pytest.mark.parametrize("tricks", [[], ["resnet_d", "big_little", "sk", "mixup", "label_smoothing"]])
def test_the_printed_tables(tricks, capsys):
    console = Console(width=200)
    console.print(explain.explain(plan_of(tricks)))
    text = capsys.readouterr().out
    for place in PLACES:
        assert place in text
    assert amount(explain.costs(plan_of(tricks))[-1][1].macs) in text  # as the result and the report have it
    for trick in tricks:
        assert trick in text
    assert "64 = 1 device x 64 images" in text
    if tricks:
        assert "resnet_d yields to big_little" in " ".join(text.split())
        assert "2 drawn for each" in text


def test_the_sizes_of_the_training_images_in_words():
    """15 epochs in four stages, or in one line."""
    assert explain.training_sizes(plan_of()) == "32"
    assert explain.training_sizes(plan_of(["progressive"])) == "16, 21, 27, 32"
    assert explain.training_sizes(plan_of({"progressive": {"scale": {"stages": 0}}})) == "16 to 31"


@pytest.mark.parametrize(
    ("trainer", "line"),
    [
        ({}, "15 epochs x 18 steps"),
        ({"limit_train_batches": 18}, "15 epochs x 18 steps"),
        ({"limit_train_batches": 19}, "15 epochs x 18 steps (an epoch has no more: trainer.limit_train_batches=19)"),
        ({"overfit_batches": 99}, "15 epochs x 18 steps (an epoch has no more: trainer.overfit_batches=99)"),
        ({"overfit_batches": 1, "limit_train_batches": 99}, "15 epochs x 1 step"),
        ({"max_steps": 27}, "27 steps, 1.5 epochs of 18 steps"),
    ],
)
def test_the_length_in_words(trainer, line):
    """Of 1,197 digits in batches of 64; asking for more steps than these is told of."""
    cfg = Config()
    cfg.trainer = replace(cfg.trainer, **trainer)
    assert explain.length(make_plan(cfg, [])) == line


def test_the_batch_in_words():
    assert str(Batch(1024, 8, 2)) == "1024 = 8 devices x 2 accumulation steps x 64 images"


@pytest.mark.parametrize(
    ("model", "line"),
    [
        ({}, "random"),
        ({"checkpoint": "a.ckpt"}, "a.ckpt"),
        ({"new_head": True}, "of model.checkpoint, not given yet, a new classifier"),
        (
            {"checkpoint": "a.ckpt", "new_head": True, "restore_statistics": False},
            "a.ckpt, a new classifier, batch norm's statistics anew",
        ),
        ({"checkpoint": "a.ckpt", "freeze": 0}, "a.ckpt, the stem frozen"),
        ({"checkpoint": "a.ckpt", "freeze": 2}, "a.ckpt, the stem and 2 stages frozen"),
    ],
)
def test_the_weights_to_start_from(model, line):
    assert explain.beginning(ModelConfig(**model)) == line
