"""EfficientNets: stages of MBConv and Fused-MBConv blocks as data, scaled in depth and width. timm builds them.

MBConv: a 1x1 convolution that expands the channels, a depth-wise one, squeeze-and-excitation, a 1x1 one back (Tan & Le
2019, EfficientNet, arXiv 1905.11946); Fused-MBConv has one full convolution in the place of the first two (Tan & Le
2021, EfficientNetV2, arXiv 2104.00298, section 3.2). A stage is a word of timm's notation, such as
``ir_r4_k5_s2_e6_c40_se0.25``:

* the kind: ``ir`` MBConv, ``er`` Fused-MBConv, ``ds`` MBConv without expansion, ``cn`` a convolution (with ``_skip`` at
  the end and a shortcut: Fused-MBConv without expansion);
* ``r`` blocks, ``k`` kernel, ``s`` stride of the first block, ``e`` expansion, ``c`` output channels, ``se`` the share
  of the block's input channels that squeeze-and-excitation keeps.

Padding is TensorFlow's SAME. State_dict keys are those of timm's ``tf_efficientnet`` models, whose weights load.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from torch import nn

from assemble.errors import UserError
from assemble.models.catalogue import EfficientNetEntry
from assemble.models.from_timm import Source, TimmSpec
from assemble.models.spec import is_small, scaled_blocks, scaled_channels

STAGE = re.compile(
    r"(?P<kind>ir|er|ds|cn)_r(?P<r>[1-9]\d*)_k(?P<k>\d+)_s[12]_e\d+(\.\d+)?_c(?P<c>[1-9]\d*)(_se0?\.\d+)?(_skip)?"
)
"""A stage, its parts in this order."""
FORM = "KIND_r.._k.._s.._e.._c.. with the kind ir, er, ds or cn, such as ir_r3_k3_s2_e4_c48_se0.25"


@dataclass(frozen=True)
class Architecture(Source):
    """What makes an EfficientNet."""

    blocks: tuple[str, ...]
    stem: int
    head: int
    width: float
    depth: float
    divisor: int
    limit: float
    small: bool

    @property
    def fixed_size(self) -> None:
        return None

    @property
    def label(self) -> str:
        return "timm's EfficientNet"

    def create(self, **options: Any) -> nn.Module:
        from timm.models._efficientnet_builder import decode_arch_def, round_channels
        from timm.models.efficientnet import EfficientNet

        rounded = partial(round_channels, multiplier=self.width, divisor=self.divisor, round_limit=self.limit)
        network = EfficientNet(
            decode_arch_def([[stage] for stage in self.blocks], self.depth),
            num_features=rounded(self.head),
            stem_size=self.stem,
            round_chs_fn=rounded,
            act_layer=nn.SiLU,
            pad_type="same",
            output_stride=2 ** (len(self.blocks) + 1),  # timm would take no stride beyond 32, but dilate
            **options,
        )
        if self.small:
            network.conv_stem.stride = (1, 1)  # type: ignore[assignment]
        return network


@dataclass(frozen=True)
class EfficientNetSpec(TimmSpec):
    """An EfficientNet, not built yet."""

    blocks: tuple[str, ...] = ()
    stem_channels: int = 32
    """Channels of the first convolution, before `width`."""
    head_channels: int = 1280
    """Features, before `width`."""
    width: float = 1.0
    """What all channels are multiplied by, then rounded to a multiple of `divisor`..."""
    depth: float = 1.0
    """What the blocks of each stage are multiplied by, then rounded up."""
    divisor: int = 8
    limit: float = 0.9
    """... but not below this share of what they would be."""
    small: bool = False
    """The first convolution has stride 1."""

    def __post_init__(self) -> None:
        if not self.blocks:
            raise UserError(f"{self.name} needs its stages: model.blocks=[..], each {FORM}")
        for number, stage in enumerate(self.blocks, start=1):
            found = STAGE.fullmatch(stage) if isinstance(stage, str) else None
            if not found:
                raise UserError(f"model.blocks: cannot read stage {number}, {stage!r}: write {FORM}")
            if int(found["k"]) % 2 == 0:
                raise UserError(f"model.blocks: stage {number}, {stage}, has an even kernel: take an odd one")
        super().__post_init__()

    @property
    def source(self) -> Architecture:
        return Architecture(
            self.blocks,
            self.stem_channels,
            self.head_channels,
            self.width,
            self.depth,
            self.divisor,
            self.limit,
            self.small,
        )

    @property
    def stride(self) -> int:
        strides = [int(stage.partition("_s")[2][0]) for stage in self.blocks]
        return math.prod(strides) * (1 if self.small else 2)

    def scaled(self, depth: float, width: float, divisor: int = 8) -> Self:
        """Return a scaled copy, of which every layer is rounded by itself.

        It is scaled from the stages as they are: B0 scaled by 1.2 and 1.1 is B2.
        """
        for stage in self.blocks:
            found = STAGE.fullmatch(stage)
            assert found  # `__post_init__`
            scaled_blocks(int(found["r"]), self.depth * depth)
            scaled_channels(int(found["c"]), self.width * width, divisor)
        rounding = self.divisor if width == 1 else divisor
        return self.replace(depth=self.depth * depth, width=self.width * width, divisor=rounding)


def efficientnet_spec(
    entry: EfficientNetEntry,
    *,
    blocks: tuple[str, ...] | list[str] | None = None,
    stem: str | None = None,
    image_size: int | None = None,
    **fields: Any,
) -> EfficientNetSpec:
    """Return the spec of a catalogue entry, with other ``blocks`` in it if there are any.

    Where no ``stem`` is given, images of up to 64 pixels get the small one.
    """
    own: dict[str, Any] = {
        "blocks": tuple(blocks or entry.blocks),
        "stem_channels": entry.stem,
        "width": entry.width,
        "depth": entry.depth,
        "limit": entry.limit,
        "small": is_small(stem, image_size, "imagenet"),
        "bn_momentum": 0.01,
        "bn_eps": 1e-3,
    }
    return EfficientNetSpec(**{**own, **fields})
