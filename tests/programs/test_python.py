"""From Python: the same configuration, weights and result as the command line, bit for bit; mistakes in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import assemble
from assemble.errors import UserError
from assemble.programs.python import one_kind_of_error
from assemble.runs.identity import chosen_recipe, plain_config

ROOT = Path(__file__).resolve().parents[2]
QUICK = [
    "+tricks=[mixup,dropblock,label_smoothing,ema]",
    "tricks.mixup.alpha={from:0.1,to:0.4}",
    "model=resnet20",
    "model.width=4",
    "data.image_size=16",
    "data.batch_size=32",
    "trainer=smoke",
    "trainer.max_epochs=2",
    "trainer.progress_bar=false",
]
TIMES = {"train_seconds", "step_seconds", "stretches", "command"}


def test_a_trainer_without_a_bar() -> None:
    config = assemble.compose(["trainer=smoke", "data.image_size=16", "trainer.progress_bar=true"])
    assert assemble.build(config)[2].progress_bar_callback is not None
    assert assemble.build(config, enable_progress_bar=False)[2].progress_bar_callback is None


@pytest.mark.process
def test_the_weights_and_the_result_are_those_of_train_py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = [sys.executable, str(ROOT / "train.py"), *QUICK]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}  # as here (conftest.py): other sums have other roundings
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, env=one_thread)
    (run,) = (tmp_path / "runs").iterdir()
    expected = torch.load(run / "last.ckpt", weights_only=True)
    told = json.loads((run / "result.json").read_text())
    monkeypatch.chdir(tmp_path)

    config = assemble.compose(QUICK)
    module, data, trainer = assemble.build(config)
    trainer.fit(module, data)
    trainer.save_checkpoint("mine.ckpt")
    mine = torch.load("mine.ckpt", weights_only=True)
    assert mine["state_dict"].keys() == expected["state_dict"].keys()
    assert all(torch.equal(mine["state_dict"][key], value) for key, value in expected["state_dict"].items())
    for parameter, other in zip(
        mine["optimizer_states"][0]["state"].values(), expected["optimizer_states"][0]["state"].values(), strict=True
    ):
        assert torch.equal(parameter["momentum_buffer"], other["momentum_buffer"])
    assert mine["config"] == expected["config"]
    (scores,) = trainer.test(module, data, verbose=False)
    assert {name: scores[f"test/{name}"] for name in told["metrics"]} == pytest.approx(told["metrics"], abs=0)
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "mine.ckpt"}, "it writes nothing by itself"

    assert assemble.train(config) == told, "the finished run is found and read"
    (run / "result.json").unlink()
    (run / "last.ckpt").unlink()
    again = assemble.train(config)
    assert again == json.loads((run / "result.json").read_text())
    assert {k: v for k, v in again.items() if k not in TIMES} == {k: v for k, v in told.items() if k not in TIMES}


def test_a_configuration_has_its_tricks_and_recipe() -> None:
    config = assemble.compose(["recipe=assemble_e06", "data.root=/images", "drop=[mixup]", "+tricks=[cutmix]"])
    assert set(config.tricks) == {"cutmix", "dropblock", "label_smoothing", "resnet_d", "sk", "zero_gamma"}
    assert (config.tricks.sk.reduction, config.data.root, list(config.drop)) == (2, "/images", [])
    assert chosen_recipe(config) == chosen_recipe(config.copy()) == "assemble_e06"
    assert chosen_recipe(assemble.compose()) is None
    assert "recipe" not in plain_config(config)


def test_a_configuration_is_typed() -> None:
    config = assemble.compose(["+tricks=[sk]"])
    config.tricks.sk.reduction = 4
    config.data.batch_size = 32
    with one_kind_of_error():
        assert assemble.build(config, logger=False)[0].model is not None  # type: ignore[attr-defined]
    for key, value in (("data.batch_sise", 3), ("data.batch_size", "many"), ("tricks.sk.reductions", 3)):
        group, _, name = key.rpartition(".")
        node: Any = config.tricks.sk if group == "tricks.sk" else config[group]
        with pytest.raises(UserError, match=name), one_kind_of_error():
            setattr(node, name, value)


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["recipe=assemble_e6"], "unknown recipe 'assemble_e6'. Did you mean 'assemble_e06'"),
        (["+tricks=[mixp]"], "unknown trick 'mixp'. Did you mean 'mixup'"),
        (["data.batch_size=many"], "'many' is not an integer"),
        (["tricks.sk.reduction=3"], "trick 'sk' is not selected"),
        (["seed=1,2"], "seed=1,2 is a sweep"),
        (["data.root=a"], "data=digits takes no data.root"),
        (["-m"], "-m is an option of train.py's"),
        ("seed=1", 'write ["seed=1"]'),
    ],
)
def test_mistakes_are_told_as_by_train_py(overrides: Any, line: str) -> None:
    with pytest.raises(UserError) as told:
        assemble.compose(overrides)
    assert line in str(told.value)


def test_what_cannot_be_built_is_refused() -> None:
    for config, line in (
        ({}, "no configuration of assemble.compose's"),
        (assemble.compose(["explain=true"]), "explain=true is answered by train.py alone"),
        (assemble.compose(["trainer.accelerator=nosuch"]), "trainer.accelerator=nosuch"),
        (assemble.compose(["data=imagefolder"]), "data.root"),
    ):
        with pytest.raises(UserError, match=line):
            assemble.build(config)  # type: ignore[arg-type]


@pytest.mark.parametrize("trick", ["mixup", "label_smoothing", "random_erasing", "ema", "sam"])
def test_a_network_alone_takes_no_trick_of_the_training(trick: str) -> None:
    with pytest.raises(UserError, match=rf"trick {trick} changes the training, and nothing in a network"):
        assemble.create_model("resnet20", ["resnet_d", trick], width=4)
