"""What can be varied about a network, as one frozen description: tricks edit it, its family builds it.

Each family has a spec of its own (`resnet`, `mobilenet`, `efficientnet`, `from_timm`). The fields that `PLACES` names
are its *places*; ``None`` means that a place is empty. Shapes: (B, C, H, W).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from enum import Enum
from numbers import Integral, Real
from typing import Any, Self

from torch import nn

from assemble.errors import UserError, require
from assemble.schema import Init, Padding, Stem
from assemble.suggest import suggest

PLACES = {
    "depths": "rows of blocks that can be counted anew",
    "norm": "batch norm to exchange",
    "activation": "activation to exchange",
    "stem": "stem to exchange",
    "pool": "max-pool behind the stem",
    "stage": "stages of residual blocks",
    "operator": "full 3x3 convolution in its blocks",
    "downsample": "strided 3x3 convolution followed by an activation",
    "prefilter": "place in front of a strided 3x3 convolution",
    "shortcut": "1x1 convolution in its shortcuts",
    "attention": "place for attention that is not its own",
    "after_norm": "place behind the batch norms of its blocks",
    "branch": "residual branch that could be skipped",
    "zero_gamma": "last batch norm of a residual block to begin at zero",
    "global_pool": "global pool to exchange",
    "before_classifier": "linear classifier",
    "head": "linear classifier to exchange",
}
"""Every place, in the order of a forward pass, with what a network lacks that does not have it."""


class NoPlaceError(UserError, AttributeError):
    """A trick asks for a place that this network has not."""


@dataclass(frozen=True)
class Site:
    """Where in the network a block stands."""

    stage: int  # counted from 1
    stages: int
    depth: float  # 0 < depth <= 1: the share of the network's blocks up to and including this one


@dataclass(frozen=True)
class Spec(ABC):
    """A network, not built yet. Which further fields it has depends on the family.

    A trick asks for the places that it needs and no more: where a family has one of them, it works, and where not, it
    is refused with `NoPlaceError`.
    """

    name: str
    num_classes: int = 1000
    residual: bool = False
    """Whether blocks have shortcuts."""
    early_stride: bool = False
    """Whether the stride of a block is in its first 1x1 conv (He et al. 2015), not in the 3x3 conv."""
    before_classifier: Callable[[], nn.Module] | None = None
    """What the features (B, C) pass right before the classifier."""

    def __post_init__(self) -> None:
        _check_kind("num_classes", self.num_classes, Integral, "an integer")
        if not 1 <= self.num_classes < 2**31:
            raise UserError(f"model.num_classes must be at least 1 and below 2**31, not {self.num_classes}")

    @property
    @abstractmethod
    def stride(self) -> int:
        """Pixels of an image to one of the last feature map."""

    @property
    def places(self) -> dict[str, Any]:
        """The places of this family, in the order of `PLACES`, with what fills them."""
        own = {field.name for field in fields(self)}
        return {place: getattr(self, place) for place in PLACES if place in own}

    def check_size(self, size: int) -> None:
        """Raise `UserError` where images of ``size`` pixels cannot be taken."""
        if size < self.stride:
            raise UserError(
                f"{self.name} makes one pixel of {self.stride}x{self.stride}, so images of {size}x{size} are too "
                "small: raise data.image_size (and data.eval_size), or take another model"
            )

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some places filled otherwise.

        Raises:
            NoPlaceError: this network has no such place.
        """
        own = {field.name for field in fields(self)}
        for place in changes:
            if place in PLACES and place not in own:
                raise self.lacks(place)
        return replace(self, **changes)

    def scaled(self, depth: float, width: float, divisor: int = 8) -> Self:
        """Return a copy with ``depth`` times the blocks and ``width`` times the channels.

        Both are rounded as EfficientNet's code does.

        Raises:
            NoPlaceError: the depth and width of this network are not ours to choose.
        """
        raise NoPlaceError("no depth and width that can be scaled")

    def lacks(self, place: str) -> NoPlaceError:
        """Return the exception for a place that is not there."""
        return NoPlaceError(f"no {PLACES[place]}")

    def __getattr__(self, name: str) -> Any:
        """Refuse a place as `replace` refuses it, and anything else as a typo.

        Python calls this only for what is not there.
        """
        if name in PLACES:
            raise self.lacks(name)
        raise AttributeError(f"{type(self).__name__} has no attribute '{name}'")

    def __str__(self) -> str:
        return f"{self.name}, {self.num_classes} classes"

    @abstractmethod
    def build(self) -> nn.Module:
        """Build the network: images (B, 3, H, W) -> logits (B, num_classes)."""


def relu() -> nn.Module:
    """Build a ReLU."""
    return nn.ReLU(inplace=True)


@dataclass(frozen=True)
class OwnSpec(Spec):
    """What the families built here have in common."""

    width: int = 64
    """Channels behind the stem; all others are multiples."""
    depths: tuple[int, ...] = ()
    """Blocks of each stage."""
    norm: Callable[[Any, int], nn.Module] | None = None
    """(spec, channels) -> what normalises (B, C, H, W). None: batch norm with `bn_momentum` and `bn_eps`."""
    activation: Callable[[], nn.Module] = relu
    """What follows a norm, but for those right before an addition; an attention has activations of its own."""
    attention: Callable[[int], nn.Module] | None = None
    """(channels) -> re-weighting of a block's output, behind its last batch norm."""
    after_norm: Callable[[Site], nn.Module | None] | None = None
    """What follows each batch norm of a block (in the shortcut too), before the activation."""
    downsample: Callable[[int, int], nn.Module] | None = None
    """(channels, stride) -> what halves H, W behind a 3x3 conv that then has stride 1. None: the conv's own stride."""
    global_pool: Callable[[], nn.Module] | None = None
    """The last feature map (B, C, h, w) -> (B, C). None: the mean."""
    head: Callable[[int, int], nn.Module] | None = None
    """(channels, classes) -> (B, channels) to logits (B, classes). None: a linear layer."""
    # numerical conventions
    bn_momentum: float = 0.1
    bn_eps: float = 1e-5
    padding: str = "torch"
    """A `assemble.schema.Padding`, by its value."""
    init: str = "tensorflow"
    """A `assemble.schema.Init`, by its value."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_kind("width", self.width, Integral, "an integer")
        check_norm(self.bn_momentum, self.bn_eps)
        check_choice("padding", self.padding, Padding)
        check_choice("init", self.init, Init)
        if not 2 <= self.width <= 2**16:
            raise UserError(f"model.width must be at least 2 and at most 65536, not {self.width}")

    def scaled(self, depth: float, width: float, divisor: int = 8) -> Self:
        """Return a scaled copy: the first width is rounded, the others remain multiples of it."""
        depths = tuple(scaled_blocks(blocks, depth) for blocks in self.depths)
        return self.replace(depths=depths, width=scaled_channels(self.width, width, divisor))

    def __str__(self) -> str:
        return f"{self.name}, width {self.width}, {self.num_classes} classes"


def scaled_blocks(blocks: int, factor: float) -> int:
    """Return ``factor`` times the blocks of a stage, rounded up as in EfficientNet's code (`round_repeats`).

    Raises:
        UserError: less than half a block would be left.
    """
    if factor * blocks < 0.5:
        raise UserError(
            f"a depth of {factor:.3g} times {blocks} block{'s' * (blocks > 1)} leaves nothing of a stage: scale it less"
        )
    return math.ceil(factor * blocks - 1e-9)  # what is a whole number stays one, whatever the last bit says


def scaled_channels(channels: int, factor: float, divisor: int) -> int:
    """Return ``factor`` times the channels, to a multiple of ``divisor`` at most 10 % below.

    As in EfficientNet's code (`round_filters`). At a factor of 1 they are unchanged.

    Raises:
        UserError: less than one channel would be left.
    """
    if factor == 1:
        return channels
    wanted = factor * channels
    if wanted < 1:
        raise UserError(f"a width of {factor:.3g} times {channels} channels leaves none: scale it less")
    rounded = max(divisor, int(wanted + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * wanted else rounded


def check_norm(momentum: float = 0.1, eps: float = 1e-5) -> None:
    """Raise `UserError` where a batch norm cannot have these."""
    _check_kind("bn_momentum", momentum, Real, "a number")
    _check_kind("bn_eps", eps, Real, "a number")
    require(
        (0 < momentum <= 1, f"model.bn_momentum must be above 0, at most 1, not {momentum}"),
        (0 < eps < 1, f"model.bn_eps must be above 0 and below 1, not {eps}"),
    )


def check_choice(key: str, value: object, options: type[Enum], *others: Enum) -> None:
    """Raise `UserError` where ``value`` is the value of no option, or that of one of the ``others``."""
    known = [option.value for option in options if option not in others]
    if value not in known:
        raise UserError(suggest(f"model.{key}", value, known))


SMALL_IMAGE = 64
"""Pixels up to which a network begins the small way, where it has the choice and nothing is said."""


def is_small(stem: str | None, image_size: int | None, otherwise: str) -> bool:
    """Return whether a network begins the small way: as ``stem`` says, else by the images' size, else ``otherwise``."""
    if stem is not None:
        check_choice("stem", stem, Stem, Stem.auto)
    elif image_size is not None:
        return image_size <= SMALL_IMAGE
    return (stem or otherwise) == "small"


def _check_kind(key: str, value: object, kind: type, called: str) -> None:
    if not isinstance(value, kind) or isinstance(value, bool):  # to Python, True is a number
        raise UserError(f"model.{key} must be {called}, not {value!r}")
