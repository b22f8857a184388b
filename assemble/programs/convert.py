"""Published weights -> ours: model.safetensors, with the config.yaml that says which network they are of.

  python convert.py weights=model.ckpt-750683 recipe=assemble_e11
      the official TensorFlow weights of Assemble-ResNet, where TensorFlow can be imported. Elsewhere turn them into
      weights.npz first, in an environment of its own: assemble/models/tf_checkpoint.py says how
  python convert.py weights=weights.npz recipe=assemble_e12 background=drop
      without the background class: 1000 outputs instead of 1001
  python convert.py weights=weights.npz model=resnet50 'tricks=[sk]' model.width=64
      a network of no recipe; the conventions are those of assemble_e00
  python convert.py weights=timm:resnet50d model=resnet50 'tricks=[resnet_d]' tricks.resnet_d.pool_stage1=false
  python convert.py weights=torchvision:resnet50 model=resnet50

weights=      TensorFlow checkpoint, .npz, timm:NAME, timm:NAME@FILE, torchvision:NAME, or a state_dict
              (.pth, .safetensors) whose names are ours, timm's or torchvision's
output=       folder, by default converted/ and the network's name
background=   keep, or drop output 0 of a network with a background class

All other arguments are train.py's, and say which network the weights are of. What comes out is taken by
evaluate.py, export.py, model.checkpoint= and as a teacher.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assemble.command_line.one_line_errors import one_line_errors

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

OFFICIAL_BASE = "assemble_e00"
"""The recipe whose numerical conventions and preprocessing all official networks share."""


class Background(Enum):
    keep = "keep"
    drop = "drop"


@dataclass
class Options:
    """What is not train.py's."""

    weights: str
    output: str | None = None
    background: Background = Background.keep


def convert(options: Options, overrides: Sequence[str]) -> Path:
    """Convert the weights, and return their new file.

    Raises:
        UserError: the weights cannot be had, or are of another network; says which of them shows it.
    """
    from assemble.config.compose import compose
    from assemble.models.classifier import output_count
    from assemble.models.convert import by_name, from_official
    from assemble.runs.identity import plain_config
    from assemble.scoring.rebuild import rebuild
    from assemble.scoring.trained import open_trained

    arrays, state, data = _read(options.weights)
    if arrays and not any(override.startswith("recipe=") for override in overrides):
        overrides = [f"recipe={OFFICIAL_BASE}", *(o for o in overrides if o != "data=imagenet")]
    elif data:
        overrides = [*(f"data.{key}={value}" for key, value in data.items()), *overrides]
    config = plain_config(compose(overrides))
    classes = output_count(arrays or state)
    network = rebuild(config, classes)
    state = from_official(network, by_name(network, arrays)) if arrays else _fitting(state, network.state_dict())
    if options.background is Background.drop:
        state = _without_background(state, config)
    config["model"]["num_classes"] = output_count(state)
    folder = Path(options.output or f"converted/{_name(config)}").expanduser()
    path = _write(folder, state, config)

    trained = open_trained(str(path))  # as any user of the files will
    print(f"{path}: {trained.name}, {trained.classes} classes, images of {trained.size} pixels")
    return path


def _read(source: str) -> tuple[dict[str, np.ndarray], dict[str, Tensor], dict[str, Any]]:
    """Read TensorFlow's variables or else a state_dict, and what is known of the images that go with it."""
    from assemble.errors import UserError
    from assemble.models.weights import read_weights
    from assemble.scoring.trained import open_trained

    if source.startswith("timm:"):
        trained = open_trained(source)
        scale = {key: [round(float(x), 4) for x in getattr(trained, key).flatten()] for key in ("mean", "std")}
        return {}, trained.network.state_dict(), {**scale, "eval_size": trained.size}
    if source.startswith("torchvision:"):
        return {}, _torchvision(source.removeprefix("torchvision:")), {}
    path = Path(source).expanduser()
    if path.suffix == ".npz":
        return _read_npz(path), {}, {}
    if path.is_file() and path.suffix in {".safetensors", ".pt", ".pth", ".ckpt"}:
        return {}, read_weights(path), {}
    if path.is_dir() or path.with_name(f"{path.name}.index").is_file() or path.suffix == ".index":
        return _read_tensorflow(path), {}, {}
    raise UserError(f"there are no weights '{source}': --help lists what is taken")


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    import zipfile

    import numpy as np

    from assemble.errors import UserError

    if not path.is_file():
        raise UserError(f"there is no weights file {path}")
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path} is no readable .npz of arrays: write it with assemble/models/tf_checkpoint.py"
        ) from error


def _read_tensorflow(path: Path) -> dict[str, np.ndarray]:
    from assemble.errors import UserError
    from assemble.models.tf_checkpoint import read_checkpoint

    try:
        return read_checkpoint(path)
    except ImportError as error:
        raise UserError(
            "TensorFlow is not installed here: turn the checkpoint into .npz in an environment of its own, "
            "as assemble/models/tf_checkpoint.py says, and give that"
        ) from error
    except ValueError as error:
        raise UserError(str(error)) from error


def _torchvision(source: str) -> dict[str, Tensor]:
    """Download the default weights of one of torchvision's models."""
    from torchvision import models

    from assemble.errors import UserError
    from assemble.suggest import suggest

    if source not in models.list_models():
        raise UserError(suggest("model of torchvision", source, models.list_models(models)))
    try:
        return models.get_model(source, weights="DEFAULT").state_dict()
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"the weights of torchvision:{source} cannot be had ({error}): download the file and give that"
        ) from error


def _fitting(state: dict[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    from assemble.errors import UserError
    from assemble.models.weights import misfit

    if reason := misfit(state, own):
        raise UserError(
            f"the weights are of another network: {reason}. Name its model, model.stem, model.width and tricks"
        )
    return state


def _without_background(state: dict[str, Tensor], config: dict[str, Any]) -> dict[str, Tensor]:
    """Take output 0 away, and count labels from the first class again."""
    from assemble.errors import UserError
    from assemble.models.classifier import classifier_weight

    if config["data"]["label_offset"] < 1:
        raise UserError("background=drop: data.label_offset=0 says that these weights have no background class")
    config["data"]["label_offset"] -= 1
    head = classifier_weight(state)
    bias = head.replace("weight", "bias")
    return state | {name: state[name][1:].clone() for name in (head, bias) if name in state}


def _name(config: Mapping[str, Any]) -> str:
    from assemble.plugins import called

    return "-".join([called(config["model"]), *sorted(config["tricks"])])


def _write(folder: Path, state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Path:
    """Write config.yaml, then model.safetensors: weights are never without their configuration."""
    from assemble.atomic import write_whole
    from assemble.exporting.formats import configuration, safetensors

    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "config.yaml", configuration(config))
    path = folder / "model.safetensors"
    write_whole(path, safetensors(state))
    return path


def main() -> None:
    """Run the command line."""
    with one_line_errors():
        from assemble.command_line.options import check_network, read_options

        options, rest = read_options(Options, sys.argv[1:], __doc__ or "", network=True)
        convert(options, check_network(rest))
