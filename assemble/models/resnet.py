"""ResNet: what can be varied about it, and the network: stem, pool, stages of blocks, global average pool, classifier.

The stride of a bottleneck is in its 3x3 convolution (but for ``early_stride``). Sub-module names are torchvision's:
published weights load. Modules run in the order in which the official TensorFlow code creates its variables (shortcut
before the main path); `assemble.models.convert` relies on that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from torch import Tensor, nn

from assemble.errors import UserError
from assemble.models.catalogue import ResNetEntry
from assemble.models.init import initialise
from assemble.models.layers import (
    MaxPool,
    MeanPool,
    PaddedNetwork,
    conv,
    imagenet_stem,
    norm,
    pointwise,
    projection,
    small_stem,
    zero_pad,
)
from assemble.models.spec import OwnSpec, Site, is_small


class ShortcutFactory(Protocol):
    """Builds the shortcut of a block whose shape changes."""

    def __call__(self, spec: ResNetSpec, in_channels: int, out_channels: int, stride: int) -> nn.Module: ...


class OperatorFactory(Protocol):
    """Builds what replaces a block's spatial 3x3 convolution with its batch norm and ReLU."""

    def __call__(self, spec: ResNetSpec, in_channels: int, out_channels: int, stride: int) -> nn.Module: ...


class StageFactory(Protocol):
    """Builds stage number ``stage`` (from 1); returns it with the number of its output channels."""

    def __call__(self, spec: ResNetSpec, stage: int, in_channels: int) -> tuple[nn.Module, int]: ...


@dataclass(frozen=True)
class ResNetSpec(OwnSpec):
    """A ResNet, not built yet."""

    block: Literal["basic", "bottleneck"] = "bottleneck"
    residual: bool = True
    """False: a plain network, no shortcuts at all."""
    # the places
    depths: tuple[int, ...] = (3, 4, 6, 3)
    stem: Callable[[ResNetSpec], nn.Module] = imagenet_stem
    """(B, 3, H, W) -> (B, width, H/2, W/2) before batch norm; small_stem keeps H, W."""
    pool: Callable[[ResNetSpec], nn.Module] | None = MaxPool
    """Halves H, W after the stem."""
    stage: StageFactory | None = None
    """None: a plain row of blocks."""
    operator: OperatorFactory | None = None
    """None: 3x3 conv, batch norm, ReLU."""
    prefilter: Callable[[int], nn.Module] | None = None
    """(channels) -> what stands in front of a strided 3x3 conv, which keeps its stride. H, W stay."""
    shortcut: ShortcutFactory = projection
    branch: Callable[[Site], nn.Module | None] | None = None
    """What the residual branch passes right before the addition."""
    zero_gamma: bool = False
    """The last batch norm of each block starts with gamma = 0."""

    @property
    def expansion(self) -> int:
        """Output channels of a block over its inner width."""
        return 4 if self.block == "bottleneck" else 1

    @property
    def stride(self) -> int:
        return 2 ** (len(self.depths) - 1 + (self.stem is not small_stem) + (self.pool is not None))

    def build(self) -> nn.Module:
        return ResNet(self)


def resnet_spec(
    entry: ResNetEntry, *, stem: str | None = None, image_size: int | None = None, **fields: Any
) -> ResNetSpec:
    """Return the spec of a catalogue entry; where no ``stem`` is given, images of up to 64 pixels get the small one."""
    small = is_small(stem, image_size, "small" if entry.stem == "small" else "imagenet")
    own: dict[str, Any] = {
        "block": entry.block,
        "depths": entry.depths,
        "width": entry.width,
        "stem": small_stem if small else imagenet_stem,
        "pool": None if small else MaxPool,
        "shortcut": zero_pad if entry.shortcut == "zero_pad" else projection,
        "residual": entry.residual,
        "early_stride": entry.early_stride,
    }
    return ResNetSpec(**{**own, **fields})


class Block(nn.Module):
    """What both kinds of block share: places around the convolutions, shortcut and addition."""

    def __init__(
        self, spec: ResNetSpec, in_channels: int, width: int, stride: int, site: Site, project: bool, final_relu: bool
    ) -> None:
        super().__init__()
        out_channels = width * spec.expansion
        self.residual = spec.residual
        self._add_convolutions(spec, in_channels, width, stride, site)
        self.attention = spec.attention(out_channels) if spec.attention else nn.Identity()
        self.branch = (spec.branch and spec.branch(site)) or nn.Identity()
        self.downsample = None
        if spec.residual and project:
            self.downsample = spec.shortcut(spec, in_channels, out_channels, stride)
            self.drop_shortcut = _after_norm(spec, site)
        self.final_act = spec.activation() if final_relu else nn.Identity()

    def _add_convolutions(self, spec: ResNetSpec, in_channels: int, width: int, stride: int, site: Site) -> None:
        raise NotImplementedError

    def convolutions(self, x: Tensor) -> Tensor:
        """Run the main path up to and including its last batch norm."""
        raise NotImplementedError

    def _add_spatial(self, spec: ResNetSpec, n: int, in_channels: int, width: int, stride: int, site: Site) -> None:
        """Register convolution number ``n`` (3x3, the strided one), or what a trick put in its place."""
        conv_stride = 1 if spec.downsample and stride > 1 else stride
        if spec.operator:
            op, bn, act = spec.operator(spec, in_channels, width, conv_stride), nn.Identity(), nn.Identity()
        else:
            op, bn, act = conv(in_channels, width, 3, conv_stride), norm(spec, width), spec.activation()
        self.prefilter = spec.prefilter(in_channels) if spec.prefilter and stride > 1 else nn.Identity()
        self.add_module(f"conv{n}", op)
        self.add_module(f"bn{n}", bn)
        self.add_module(f"drop{n}", _after_norm(spec, site))
        self.add_module(f"act{n}", act)
        self.blur = spec.downsample(width, stride) if spec.downsample and stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.drop_shortcut(self.downsample(x))
        x = self.branch(self.attention(self.convolutions(x)))
        if self.residual:
            x += shortcut  # in place: on a CPU a new map costs 2 % of a ResNet-50's inference
        return self.final_act(x)


class Bottleneck(Block):
    """1x1 to ``width``, 3x3 with the stride (or that in the first 1x1), 1x1 to 4 * ``width``."""

    conv2: nn.Module
    bn2: nn.Module
    drop2: nn.Module
    act2: nn.Module

    def _add_convolutions(self, spec: ResNetSpec, in_channels: int, width: int, stride: int, site: Site) -> None:
        early = stride if spec.early_stride else 1
        self.conv1 = pointwise(in_channels, width, early)
        self.bn1 = norm(spec, width)
        self.drop1 = _after_norm(spec, site)
        self.act1 = spec.activation()
        self._add_spatial(spec, 2, width, width, stride // early, site)
        self.conv3 = conv(width, 4 * width, 1)
        self.bn3 = norm(spec, 4 * width)
        self.drop3 = _after_norm(spec, site)
        if spec.zero_gamma:
            begin_at_zero(self.bn3)

    def convolutions(self, x: Tensor) -> Tensor:
        x = self.act1(self.drop1(self.bn1(self.conv1(x))))
        x = self.blur(self.act2(self.drop2(self.bn2(self.conv2(self.prefilter(x))))))
        return self.drop3(self.bn3(self.conv3(x)))


class BasicBlock(Block):
    """Two 3x3 convolutions, the first with the stride."""

    conv1: nn.Module
    bn1: nn.Module
    drop1: nn.Module
    act1: nn.Module

    def _add_convolutions(self, spec: ResNetSpec, in_channels: int, width: int, stride: int, site: Site) -> None:
        self._add_spatial(spec, 1, in_channels, width, stride, site)
        self.conv2 = conv(width, width, 3)
        self.bn2 = norm(spec, width)
        self.drop2 = _after_norm(spec, site)
        if spec.zero_gamma:
            begin_at_zero(self.bn2)

    def convolutions(self, x: Tensor) -> Tensor:
        x = self.blur(self.act1(self.drop1(self.bn1(self.conv1(self.prefilter(x))))))
        return self.drop2(self.bn2(self.conv2(x)))


def begin_at_zero(norm: nn.Module) -> None:
    """Set a norm's gamma to zero.

    Raises:
        UserError: it has none.
    """
    gamma = getattr(norm, "weight", None)
    if gamma is None:
        raise UserError(f"zero_gamma: a {type(norm).__name__} has no gamma that could begin at zero, drop the trick")
    nn.init.zeros_(gamma)


def _after_norm(spec: ResNetSpec, site: Site) -> nn.Module:
    return (spec.after_norm and spec.after_norm(site)) or nn.Identity()


def block_row(
    spec: ResNetSpec,
    in_channels: int,
    width: int,
    stride: int,
    sites: list[Site],
    *,
    always_project: bool = False,
    final_relu: bool = True,
) -> nn.Sequential:
    """Build one block for each site in a row.

    The first has the stride and, where shapes change, a shortcut of its own.
    """
    block = Bottleneck if spec.block == "bottleneck" else BasicBlock
    out_channels = width * spec.expansion
    blocks = []
    for i, site in enumerate(sites):
        first, last = i == 0, i == len(sites) - 1
        project = first and (always_project or stride != 1 or in_channels != out_channels)
        blocks.append(
            block(
                spec,
                in_channels if first else out_channels,
                width,
                stride if first else 1,
                site,
                project,
                final_relu or not last,
            )
        )
    return nn.Sequential(*blocks)


def stage_sites(spec: ResNetSpec, stage: int) -> list[Site]:
    """Return the sites of the ``depths[stage - 1]`` blocks of a stage."""
    before, total = sum(spec.depths[: stage - 1]), sum(spec.depths)
    return [Site(stage, len(spec.depths), (before + i + 1) / total) for i in range(spec.depths[stage - 1])]


def plain_stage(
    spec: ResNetSpec, stage: int, in_channels: int, *, stride: int | None = None, always_project: bool = False
) -> tuple[nn.Module, int]:
    """Build a row of blocks, and return it with its output channels; every stage but the first halves H, W."""
    width = spec.width * 2 ** (stage - 1)
    row = block_row(
        spec,
        in_channels,
        width,
        stride or (1 if stage == 1 else 2),
        stage_sites(spec, stage),
        always_project=always_project,
    )
    return row, width * spec.expansion


class ResNet(PaddedNetwork):
    """The network of a spec: images (B, 3, H, W) -> logits (B, K)."""

    def __init__(self, spec: ResNetSpec) -> None:
        super().__init__()
        self.spec = spec
        self.conv1 = spec.stem(spec)
        self.bn1 = norm(spec, spec.width)
        self.act1 = spec.activation()
        self.maxpool = spec.pool(spec) if spec.pool else nn.Identity()
        channels = spec.width
        build_stage = spec.stage or plain_stage
        self.stages = [f"layer{stage}" for stage in range(1, len(spec.depths) + 1)]
        for stage, name in enumerate(self.stages, start=1):
            module, channels = build_stage(spec, stage, channels)
            self.add_module(name, module)
        self.global_pool = spec.global_pool() if spec.global_pool else MeanPool()
        self.before_fc = spec.before_classifier() if spec.before_classifier else nn.Identity()
        self.fc = (spec.head or nn.Linear)(channels, spec.num_classes)
        self.set_padding(spec.padding == "tensorflow")
        initialise(self, spec.init)

    def features(self, images: Tensor) -> Tensor:
        """Return the last feature map: images (B, 3, H, W) -> (B, C, h, w)."""
        x = self.maxpool(self.act1(self.bn1(self.conv1(images))))
        for name in self.stages:
            x = getattr(self, name)(x)
        return x

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.before_fc(self.global_pool(self.features(images))))

    def get_classifier(self) -> nn.Module:
        """Return the layer that turns pooled features into logits, under timm's name."""
        return self.fc

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Return regular expressions of parameter names in the order of the layers, as timm wants them.

        The rest is the head. A layer is a block (``coarse``: a stage). A stage that is no row of blocks is one layer.
        """
        stage = (r"^layer(\d+)\.", (0,))
        return {
            "stem": r"^(?:conv1|bn1|maxpool)\.",
            "blocks": [stage] if coarse else [(r"^layer(\d+)\.(\d+)", None), stage],
        }
