"""evaluate.py's command line: what is refused, in which words, and what a configuration is made of."""

from __future__ import annotations

from dataclasses import replace

import pytest
from omegaconf import OmegaConf
from torch import nn

from assemble.command_line.evaluate_options import read
from assemble.complaints import explanation
from assemble.errors import UserError
from assemble.schema import EvaluateConfig, Interpolation, Preprocessing
from assemble.scoring.configuration import check_data, configure
from assemble.scoring.trained import Trained

SOURCE = "checkpoint=runs/a/best.ckpt"


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([], ["name what is to be scored", "checkpoint=", "model=timm:NAME"]),
        ([SOURCE, "model=timm:resnet18"], ["name one network, not two"]),
        ([SOURCE, "dat=digits"], ["unknown key 'dat'. Did you mean 'data'?"]),
        ([SOURCE, "data=digit"], ["unknown data 'digit'. Did you mean 'digits'?"]),
        ([SOURCE, "data={name: digits}"], ["unknown data"]),
        ([SOURCE, "eval.flop=true"], ["unknown key 'eval.flop'. Did you mean 'eval.flip'?"]),
        ([SOURCE, "flip=true"], ["unknown key 'flip'. Did you mean 'data.flip' or 'eval.flip'?"]),
        ([SOURCE, "eval.flip=maybe"], ["eval.flip: 'maybe' is not true or false"]),
        ([SOURCE, "data.eval_size=big"], ["data.eval_size: 'big' is not an integer"]),
        ([SOURCE, "eval.corruptions=imagenetc"], ["eval.corruptions", "imagenet_c", "on_the_fly"]),
        ([SOURCE, "eval.split=train"], ["eval.split", "test, val"]),
        ([SOURCE, "eval=default"], ["eval has no presets here"]),
        ([SOURCE, "trainer=cpu"], ["trainer has no presets here"]),
        ([SOURCE, "data.flip=0.5"], ["data.flip is for training"]),
        ([SOURCE, "eval.cam=true"], ["eval.predict=[FILE,..]"]),
        ([SOURCE, "eval.baseline="], ["eval.baseline= is empty"]),
        (["-m", SOURCE], ["takes no option -m"]),
        (["+" + SOURCE], ["without a sign before it"]),
        (["checkpoint=a,b"], ["is a sweep", "'checkpoint=\"a,b\"'"]),
        ([SOURCE, "eval.predict=a.png,b.png"], ["Write eval.predict=[..]"]),
        (["best.ckpt"], ["cannot read the argument 'best.ckpt'"]),
        ([SOURCE, "data.root=~/my=pics"], ["quote a value with special characters"]),
    ],
)
def test_mistakes(arguments, parts):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever Hydra raises
        read(arguments)
    line = explanation(caught.value)
    assert line is not None
    assert "\n" not in line
    for part in parts:
        assert part in line


def test_values():
    values = read([SOURCE, "data=imagefolder", "data.mean=[1,2,3]", "eval.predict=a.png", "eval.averaged=false"])
    assert values == {
        "checkpoint": "runs/a/best.ckpt",
        "data": "imagefolder",
        "data.mean": [1, 2, 3],
        "eval.predict": ["a.png"],
        "eval.averaged": False,
    }
    assert read(["model=timm:resnet18@a/b-c.safetensors"]) == {"model": "timm:resnet18@a/b-c.safetensors"}


def test_help_names_every_key(capsys):
    with pytest.raises(SystemExit) as left:
        read([SOURCE, "--help"])
    assert left.value.code == 0
    printed = capsys.readouterr().out
    assert "python evaluate.py checkpoint=" in printed
    for key in ("averaged", "corruptions_root", "predict", "imagefolder", "eval_size", "accelerator", "output_dir"):
        assert key in printed


def of_a_run() -> Trained:
    """A network that was trained on a folder, with the official crops at 160 pixels."""
    data = {
        "name": "imagefolder",
        "root": "images",
        "preprocessing": "official",
        "image_size": 160,
        "batch_size": 1024,
        "mean": [1.0, 2.0, 3.0],
        "renamed_since": 4,
    }
    view = {key: data[key] for key in ("preprocessing", "image_size", "mean")}
    network = Trained.of("r", nn.Linear(1, 1), 10, 160, (1.0, 2.0, 3.0), (1.0, 1.0, 1.0))
    return replace(network, view=view, config={"data": data, "model": {"num_classes": None}})


def made(trained: Trained, **values) -> EvaluateConfig:
    cfg = OmegaConf.to_object(configure({key.replace("__", "."): v for key, v in values.items()}, trained))
    assert isinstance(cfg, EvaluateConfig)
    return cfg


def test_a_run_is_scored_as_it_was():
    cfg = made(of_a_run())
    assert (cfg.data.name, cfg.data.root, cfg.data.batch_size) == ("imagefolder", "images", 1024)
    assert (cfg.data.preprocessing, cfg.data.image_size) == (Preprocessing.official, 160)
    assert cfg.trainer.accelerator == "auto"


def test_other_images_are_shown_as_the_network_wants_them():
    cfg = made(of_a_run(), data="digits", data__eval_size=64)
    assert (cfg.data.name, cfg.data.root, cfg.data.batch_size) == ("digits", None, 64)
    assert (cfg.data.preprocessing, cfg.data.image_size, cfg.data.scored_size) == (Preprocessing.official, 160, 64)
    assert list(cfg.data.mean) == [1.0, 2.0, 3.0]
    assert made(of_a_run(), data="imagefolder").data.root == "images"


def test_a_network_of_timms_brings_its_crop():
    view = {"image_size": 224, "eval_size": 288, "eval_crop": 0.95, "eval_interpolation": "bicubic"}
    trained = replace(Trained.of("t", nn.Linear(1, 1), 10, 224, (1.0, 2.0, 3.0), (1.0, 1.0, 1.0)), view=view)
    cfg = made(trained, data="imagefolder", data__root="elsewhere")
    assert (cfg.data.scored_size, cfg.data.eval_crop) == (288, 0.95)
    assert cfg.data.eval_interpolation is Interpolation.bicubic
    with pytest.raises(UserError, match="name the images: data=imagefolder"):
        check_data({"model": "timm:t"}, configure({}, trained))


def test_keys_that_the_images_do_not_read():
    values = {"checkpoint": "a", "data": "digits", "data.root": "elsewhere"}
    with pytest.raises(UserError, match=r"data=digits takes no data\.root"):
        check_data(values, configure(values, of_a_run()))


def test_a_configuration_of_another_version():
    trained = of_a_run()
    assert trained.config
    trained.config["data"]["image_size"] = "many"  # type: ignore[index]
    with pytest.raises(UserError, match="another version of this project"):
        configure({}, trained)
