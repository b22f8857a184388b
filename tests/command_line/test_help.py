"""``--help`` and ``--help NAME``: of everything that can be named, for any terminal."""

from dataclasses import fields

import pytest

from assemble.command_line.help import evaluate_help, help_text
from assemble.command_line.layout import table
from assemble.command_line.topics import KEYS, topics
from assemble.config.parameters import parameters
from assemble.errors import UserError
from assemble.paths import PACKAGE
from tricks import load


def texts(monkeypatch: pytest.MonkeyPatch, columns: int) -> dict[str, str]:
    monkeypatch.setenv("COLUMNS", str(columns))
    return {name: help_text([name]) for name in topics()}


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    found = texts(monkeypatch, columns) | {"train": help_text([]), "evaluate": evaluate_help()}
    for name, text in found.items():
        for line in text.splitlines():
            assert len(line) <= columns or " " not in line.strip(), (name, line)


def test_of_a_trick_every_parameter_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    for name, kind in load().items():
        text = " ".join(help_text([name]).split())
        for field in fields(kind):
            assert f"tricks.{name}.{field.name}=" in text, (name, field.name)
        assert f"drop=[{name}]" in text


def test_of_a_parameter_type_default_choices_range_meaning_and_example(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    text = " ".join(help_text(["mixup"]).split())
    assert "tricks.mixup.kind=type1" in text
    assert "(one of type1, type2, permutation) Example: tricks.mixup.kind=type2" in text
    assert "tricks.mixup.alpha=0.2 Both parameters of the Beta distribution" in text
    assert "(number or ramp, at least 0) Example: tricks.mixup.alpha=0.1" in text


def test_of_a_group_the_options_and_the_keys() -> None:
    from assemble.schema import Config

    kinds = {field.name: field.type for field in fields(Config)}
    for group in KEYS:
        text = help_text([group])
        for field in fields(kinds[group]):  # type: ignore[arg-type]
            assert f"{group}.{field.name}=" in text


def test_of_a_key_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its whole name, or by its last word, which several may have."""
    monkeypatch.setenv("COLUMNS", "120")
    steps = help_text(["trainer.max_steps"])
    assert steps.startswith("  trainer.max_steps=null  Optimizer steps of the whole training")
    assert steps == help_text(["max_steps"])
    assert help_text(["tag"]).startswith("  tag=null  A word of yours in the run's name")
    names = [line.partition("=")[0].strip() for line in help_text(["name"]).splitlines() if "name=" in line]
    assert names[0] == "model.name"
    assert {"data.name", "optim.name"} < set(names)
    with pytest.raises(UserError, match=r"Did you mean 'optim\.lr'\?"):
        help_text(["optim.lrr"])


def test_of_a_callback_and_a_logger_their_own_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    for name in ("callbacks", "early_stopping", "callbacks/early_stopping"):
        text = " ".join(help_text([name]).split())
        assert "callbacks.early_stopping.monitor=val/top1 or val/top5, or val/loss with mode=min" in text
        assert "callbacks.early_stopping.patience=5 validations without a better score" in text
        assert "any other argument of pytorch_lightning.callbacks.EarlyStopping" in text
    assert "logger.wandb.project=assemble" in help_text(["logger/wandb"])
    assert "logger.csv." not in help_text(["logger"])  # it has none
    with pytest.raises(UserError, match="unknown name 'callbacks/wandb'"):
        help_text(["callbacks/wandb"])


def test_of_a_recipe_what_it_sets_with_all_that_it_inherits() -> None:
    text = " ".join(help_text(["assemble_e06"]).split())
    assert "Lee et al. 2020 (arXiv 2001.06268), Table 7, row E6" in text
    assert "tricks zero_gamma, resnet_d, label_smoothing, mixup, dropblock, sk" in text
    assert "trainer.max_epochs 270" in text
    assert "optim.lr 0.4" in text  # of a parent


def test_a_name_of_two_things_tells_of_both() -> None:
    text = help_text(["dropblock"])
    assert "tricks.dropblock.block_size=7" in text
    assert "python train.py recipe=dropblock" in text


@pytest.mark.parametrize(
    ("name", "meant"),
    [("mixpu", "mixup"), ("resnet51", "resnet50"), ("asemble_e06", "assemble_e06"), ("opti", "optim")],
)
def test_what_was_perhaps_meant(name: str, meant: str) -> None:
    with pytest.raises(UserError, match=rf"unknown name '{name}'\. Did you mean '{meant}'\?"):
        help_text([name])


def test_a_table_for_narrow_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert table([("a", "one two"), ("bb", "three")]) == "  a   one two\n  bb  three"
    assert table([("a_name_that_takes_room", "what it is")]) == "  a_name_that_takes_room\n      what it is"


def test_a_key_of_two_types_says_both():
    own = {parameter.name: parameter for parameter in parameters(PACKAGE / "schema.py", "ModelConfig")}
    assert own["pretrained"].kind == "true or false or text"
    assert own["_target_"].kind == "text or null"
