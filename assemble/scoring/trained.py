"""A trained network, whoever trained it: opened by one name, frozen, with its own input. To learn from, or to score.

Shapes: images (N, 3, H, W) on the 0-255 scale, logits (N, K). No code runs from a weights file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from assemble.errors import UserError
from assemble.models.classifier import output_count
from assemble.models.from_timm import check_name, pretrained
from assemble.models.lite0 import LITE0, MEAN, NETWORK, STD
from assemble.models.weights import misfit, named_as, named_weights, read_config, read_weights
from assemble.plugins import called

SOURCES = "a checkpoint of a run (runs/.../best.ckpt), timm:NAME, timm:NAME@WEIGHTS, or efficientnet_lite0"
VIEW = (
    "preprocessing",
    "image_size",
    "eval_size",
    "eval_crop",
    "eval_resize",
    "eval_squeeze",
    "eval_interpolation",
    "mean",
    "std",
    "label_offset",
)
"""Keys of ``data`` which say how a network wants its images; the others say which images there are."""


@dataclass
class Trained:
    """A frozen network with the images it wants. Not a module, so that nothing takes it for a part of itself."""

    name: str
    network: nn.Module
    classes: int
    size: int
    """Side in pixels of the images it is shown."""
    mean: Tensor
    std: Tensor
    """(1, 3, 1, 1) on the 0-255 scale."""
    view: Mapping[str, Any] = field(default_factory=dict)
    """What it says of `VIEW`: the crop it is scored on."""
    config: Mapping[str, Any] | None = None
    """The resolved configuration of the run that trained it, if it was one of ours."""

    @property
    def class_names(self) -> Sequence[str] | None:
        """Its classes in the order of its outputs, from ``label_offset`` on, where its run has kept their names."""
        return (self.config or {}).get("classes")

    @classmethod
    def of(
        cls, name: str, network: nn.Module, classes: int, size: int, mean: Sequence[float], std: Sequence[float]
    ) -> Trained:
        """Return the network as a `Trained`, in evaluation mode, without gradients, channels last."""
        network = network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        shift, scale = (torch.tensor(v, dtype=torch.float32).view(1, 3, 1, 1) for v in (mean, std))
        view = {"image_size": size, "mean": list(mean), "std": list(std)}
        return cls(name, network, classes, size, shift, scale, view)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Return float32 logits of images of any size; goes to their device, under the autocast of the caller."""
        return self.network(self.normalised(images)).float()

    def normalised(self, images: Tensor) -> Tensor:
        """Turn images of any size into what the network takes, on the images' device; the network follows there."""
        if self.mean.device != images.device:
            self.network.to(images.device)
            self.mean, self.std = self.mean.to(images.device), self.std.to(images.device)
        images = images.float()
        if images.shape[-2:] != (self.size, self.size):
            images = F.interpolate(images, (self.size, self.size), mode="bilinear", antialias=True)
        return ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    def shown(self, size: int, mean: Sequence[float], std: Sequence[float]) -> Trained:
        """Return the same network, with images of another size, or normalised otherwise."""
        shift, scale = (torch.tensor(v, dtype=torch.float32).view(1, 3, 1, 1) for v in (mean, std))
        return replace(self, size=size, mean=shift, std=scale)

    def digest(self) -> str:
        """Return the name, and hex digits that change with any weight or with the normalisation of the input."""
        state = {**self.network.state_dict(), "mean": self.mean, "std": self.std}
        content = hashlib.sha256()
        for key, value in state.items():
            content.update(key.encode())
            content.update(value.cpu().contiguous().numpy().tobytes())
        return f"{self.name} {content.hexdigest()[:16]}"


def open_trained(source: str, size: int | None = None, *, averaged: bool | None = None) -> Trained:
    """Open the network that ``source`` names; ``size`` in the place of its own image size.

    Args:
        source: a checkpoint of ours, or weights with a run's config.yaml beside them; ``timm:NAME``, with timm's
            pretrained weights, or with those of a file as ``timm:NAME@PATH``; ``efficientnet_lite0``, from a package.
        size: side in pixels.
        averaged: which weights of a checkpoint that has both (`assemble.models.weights.read_weights`).

    Raises:
        UserError: there is none of that name, or its weights cannot be had.
    """
    if averaged is not None and (source == LITE0 or source.startswith("timm:")):
        raise UserError(f"{source} has one kind of weights: only a run's checkpoint may have an average beside them")
    if source == LITE0:
        trained = _efficientnet_lite0()
    elif source.startswith("timm:"):
        trained = _timm(source.removeprefix("timm:"))
    else:
        trained = _ours(Path(source).expanduser(), averaged)
    return replace(trained, size=size) if size else trained


def _ours(path: Path, averaged: bool | None) -> Trained:
    from assemble.scoring.rebuild import rebuild, rebuilt_data

    if not path.is_file():
        raise UserError(f"there is no trained network '{path}': name {SOURCES}")
    config, state = read_config(path), read_weights(path, averaged)
    try:
        classes = output_count(state)
        network = _filled(rebuild(config, classes), state)
        data = rebuilt_data(config)
    except UserError as error:
        raise UserError(f"{path} cannot be rebuilt: {error}") from error
    tricks = "+".join(sorted(config["tricks"]))
    name = called(config["model"]) + (f"+{tricks}" if tricks else "")
    size = data.get("eval_size") or data["image_size"]
    trained = Trained.of(name, network, classes, size, data["mean"], data["std"])
    return replace(trained, view={key: data[key] for key in VIEW if key in data}, config=config)


def _timm(source: str) -> Trained:
    import timm
    from timm.data.config import resolve_data_config

    name, _, file = source.partition("@")
    check_name(name)
    if file:
        state = read_weights(Path(file).expanduser())
        try:
            classes = output_count(state)
            network = _filled(timm.create_model(name, num_classes=classes), state)
        except UserError as error:
            raise UserError(f"{file} cannot be timm:{name}: {error}") from error
    else:
        network: Any = pretrained(name)
        classes = network.pretrained_cfg["num_classes"]
    data, scored = resolve_data_config(model=network), resolve_data_config(model=network, use_test_size=True)
    mean, std = ([255 * value for value in data[key]] for key in ("mean", "std"))
    trained = Trained.of(f"timm:{name}", network, classes, data["input_size"][-1], mean, std)
    # As timm's own validation does it, but for crops that are not the centre of the resized image.
    view = {
        "eval_size": scored["input_size"][-1],
        "eval_crop": scored["crop_pct"],
        "eval_interpolation": "bicubic" if scored["interpolation"] == "bicubic" else "bilinear",
    }
    return replace(trained, view={**trained.view, **view})


def _efficientnet_lite0() -> Trained:
    import timm

    network = timm.create_model(NETWORK)
    network.load_state_dict(named_weights(LITE0))
    trained = Trained.of(LITE0, network, 1000, 224, MEAN, STD)
    return replace(trained, view={**trained.view, "eval_interpolation": "bicubic"})


def _filled(network: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """Load these weights, all of them, into the network and return it."""
    state = named_as(state, network.state_dict())
    if reason := misfit(state, network.state_dict()):
        raise UserError(f"the weights are of another network: {reason}")
    network.load_state_dict(state)
    return network
