"""What can be varied about a ResNet, as one frozen description; `models.resnet` builds it, tricks edit it.

Each callable field is a *place*. ``None`` means that the place is empty. Shapes: (B, C, H, W).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any, Literal, Protocol, Self, get_args

from torch import nn

from core.errors import UserError, require
from core.names import suggest
from models.catalogue import CATALOGUE
from models.layers import MaxPool, imagenet_stem, projection, small_stem, zero_pad

Stem = Literal["imagenet", "small"]
Padding = Literal["torch", "tensorflow"]
Init = Literal["tensorflow", "torchvision", "xavier", "composer"]


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
    prefilter: Callable[[int], nn.Module] | None = None
    """(channels) -> what stands in front of a strided 3x3 conv, which keeps its stride. H, W stay."""
    shortcut: ShortcutFactory = projection
    attention: Callable[[int], nn.Module] | None = None
    """(channels) -> re-weighting of the residual branch before the addition."""
    after_norm: Callable[[Site], nn.Module | None] | None = None
    """What follows each batch norm of a block (in the shortcut too)."""
    branch: Callable[[Site], nn.Module | None] | None = None
    """What the residual branch passes right before the addition."""
    residual: bool = True
    """False: a plain network, no shortcuts at all."""
    early_stride: bool = False
    """The stride of a bottleneck is in its first 1x1 conv (He et al. 2015), not in the 3x3 conv."""
    zero_gamma: bool = False
    """The last batch norm of each block starts with gamma = 0."""
    # numerical conventions
    bn_momentum: float = 0.1
    bn_eps: float = 1e-5
    padding: Padding = "torch"
    init: Init = "tensorflow"

    def __post_init__(self) -> None:
        for key in ("num_classes", "width"):
            _check_kind(key, getattr(self, key), Integral, "an integer")
        for key in ("bn_momentum", "bn_eps"):
            _check_kind(key, getattr(self, key), Real, "a number")
        _check_choice("padding", self.padding, Padding)
        _check_choice("init", self.init, Init)
        require(
            (
                1 <= self.num_classes < 2**31,
                f"model.num_classes must be at least 1 and below 2**31, not {self.num_classes}",
            ),
            (2 <= self.width <= 2**16, f"model.width must be at least 2 and at most 65536, not {self.width}"),
            (0 < self.bn_momentum <= 1, f"model.bn_momentum must be above 0, at most 1, not {self.bn_momentum}"),
            (0 < self.bn_eps < 1, f"model.bn_eps must be above 0 and below 1, not {self.bn_eps}"),
        )

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
    stem: Stem | None = None,
    **fields: Any,
) -> Spec:
    """The untouched spec of a catalogue model.

    Raises:
        UserError: there is no model, or no field to be chosen, of that name; a value that cannot be.
    """
    if name not in list(CATALOGUE):  # a list asks for no hash
        raise UserError(suggest("model", name, CATALOGUE))
    for field in fields:
        if field not in CHOSEN:
            raise UserError(suggest("field of a model", field, ["num_classes", "width", "stem", *CHOSEN]))
    entry = CATALOGUE[name]
    if stem is not None:
        _check_choice("stem", stem, Stem)
    small = (stem or entry.stem) == "small"
    return Spec(
        name=name,
        block="bottleneck" if entry.block == "bottleneck" else "basic",
        depths=entry.depths,
        num_classes=num_classes,
        width=entry.width if width is None else width,
        stem=small_stem if small else imagenet_stem,
        pool=None if small else MaxPool,
        shortcut=zero_pad if entry.shortcut == "zero_pad" else projection,
        residual=entry.residual,
        early_stride=entry.early_stride,
        **fields,
    )


CHOSEN = ("bn_momentum", "bn_eps", "padding", "init")
"""Fields that may be chosen by name; the places are the tricks', the rest the catalogue's."""


def _check_kind(key: str, value: object, kind: type, called: str) -> None:
    if not isinstance(value, kind) or isinstance(value, bool):  # to Python, True is a number
        raise UserError(f"model.{key} must be {called}, not {value!r}")


def _check_choice(key: str, value: object, options: Any) -> None:
    if value not in get_args(options):
        raise UserError(suggest(f"model.{key}", value, get_args(options)))
