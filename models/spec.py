"""What can be varied about a ResNet, as one frozen description; `models.resnet` builds it, tricks edit it.

Each callable field is a *place*. ``None`` means that the place is empty. Shapes: (B, C, H, W).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, Self

from torch import nn

from models.layers import MaxPool, imagenet_stem, projection, small_stem, zero_pad


@dataclass(frozen=True)
class Site:
    """Where in the network a block stands."""

    stage: int  # counted from 1
    stages: int
    depth: float  # 0 < depth <= 1: the share of the network's blocks up to and including this one


class ShortcutFactory(Protocol):
    """Builds the shortcut of a block whose shape changes."""

    def __call__(self, spec: Spec, in_channels: int, out_channels: int, stride: int) -> nn.Module: ...


class OperatorFactory(Protocol):
    """Builds what replaces a block's spatial 3x3 convolution with its batch norm and ReLU."""

    def __call__(self, spec: Spec, in_channels: int, out_channels: int, stride: int) -> nn.Module: ...


class StageFactory(Protocol):
    """Builds stage number ``stage`` (from 1); returns it with the number of its output channels."""

    def __call__(self, spec: Spec, stage: int, in_channels: int) -> tuple[nn.Module, int]: ...


@dataclass(frozen=True)
class Spec:
    """A ResNet, not built yet."""

    name: str
    block: Literal["basic", "bottleneck"]
    depths: tuple[int, ...]
    num_classes: int = 1000
    width: int = 64
    # the places
    stem: Callable[[Spec], nn.Module] = imagenet_stem
    """(B, 3, H, W) -> (B, width, H/2, W/2) before batch norm; small_stem keeps H, W."""
    pool: Callable[[Spec], nn.Module] | None = MaxPool
    """Halves H, W after the stem."""
    stage: StageFactory | None = None
    """None: a plain row of blocks."""
    operator: OperatorFactory | None = None
    """None: 3x3 conv, batch norm, ReLU."""
    downsample: Callable[[int, int], nn.Module] | None = None
    """(channels, stride) -> what halves H, W behind a 3x3 conv that then has stride 1. None: the conv's own stride."""
    shortcut: ShortcutFactory = projection
    attention: Callable[[int], nn.Module] | None = None
    """(channels) -> re-weighting of the residual branch before the addition."""
    after_norm: Callable[[Site], nn.Module | None] | None = None
    """What follows each batch norm of a block (in the shortcut too)."""
    branch: Callable[[Site], nn.Module | None] | None = None
    """What the residual branch passes right before the addition."""
    residual: bool = True
    """False: a plain network, no shortcuts at all."""
    zero_gamma: bool = False
    """The last batch norm of each block starts with gamma = 0."""
    # numerical conventions
    bn_momentum: float = 0.1
    bn_eps: float = 1e-5
    padding: Literal["torch", "tensorflow"] = "torch"
    init: Literal["tensorflow", "torchvision"] = "tensorflow"

    @property
    def expansion(self) -> int:
        """Output channels of a block over its inner width."""
        return 4 if self.block == "bottleneck" else 1

    def replace(self, **changes: Any) -> Self:
        """A copy with some places filled otherwise."""
        return replace(self, **changes)

    def build(self) -> nn.Module:
        """The network: images (B, 3, H, W) -> logits (B, num_classes)."""
        from models.resnet import ResNet

        return ResNet(self)


def spec_of(
    name: str,
    *,
    num_classes: int = 1000,
    width: int | None = None,
    stem: Literal["imagenet", "small"] | None = None,
    **fields: Any,
) -> Spec:
    """The untouched spec of a catalogue model.

    Raises:
        UserError: there is no model, or no field of a model, of that name.
    """
    from core.errors import UserError
    from core.names import suggest
    from models.catalogue import CATALOGUE

    if name not in CATALOGUE:
        raise UserError(suggest("model", name, CATALOGUE))
    unknown = sorted(set(fields) - set(Spec.__dataclass_fields__))
    if unknown:
        raise UserError(suggest("field of a model", unknown[0], Spec.__dataclass_fields__))
    entry = CATALOGUE[name]
    small = (stem or entry.stem) == "small"
    return Spec(
        name=name,
        block="bottleneck" if entry.block == "bottleneck" else "basic",
        depths=entry.depths,
        num_classes=num_classes,
        width=width or entry.width,
        stem=small_stem if small else imagenet_stem,
        pool=None if small else MaxPool,
        shortcut=zero_pad if entry.shortcut == "zero_pad" else projection,
        residual=entry.residual,
        **fields,
    )
