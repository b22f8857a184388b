"""The models that can be named, as data. Imports nothing heavy: the command line lists them.

Depths: He et al. 2015 (arXiv 1512.03385), Table 1 for ImageNet and section 4.2 for CIFAR (6n + 2 layers);
ResNet-200 as in the official Assemble-ResNet code (3, 24, 36, 3). ``plain`` networks are the same without shortcuts.
MobileNet-V1: Howard et al. 2017 (arXiv 1704.04861), Table 1. EfficientNet (arXiv 1905.11946), EfficientNetV2
(arXiv 2104.00298) and CoAtNet (arXiv 2106.04803) are timm's; of its ports of EfficientNet those which compute as the
official TensorFlow code does (SAME padding; batch norm with epsilon 1e-3 and, in its terms, momentum 0.99).
"""

from dataclasses import dataclass
from typing import ClassVar

TIMM = "timm:"
"""Begins the name of a model that is timm's by timm's name."""


@dataclass(frozen=True)
class Entry:
    """One model."""

    chosen: ClassVar[tuple[str, ...]]
    """Fields of the configuration's ``model`` part that its family takes, and ``image_size``."""
    about: str


@dataclass(frozen=True)
class ResNetEntry(Entry):
    """Blocks per stage and what they are made of."""

    chosen = ("width", "stem", "padding", "init", "bn_momentum", "bn_eps", "image_size")
    block: str  # basic or bottleneck
    depths: tuple[int, ...]
    width: int = 64  # channels of the first stage, before expansion
    stem: str = "imagenet"
    residual: bool = True
    shortcut: str = "projection"  # projection (1x1 conv where shapes change) or zero_pad (option A of the paper)
    early_stride: bool = False  # in a bottleneck's first 1x1 conv, as in the paper; False: in its 3x3 conv


@dataclass(frozen=True)
class MobileNetEntry(Entry):
    """Channels of the first layer: 32 times the paper's width multiplier."""

    chosen = ResNetEntry.chosen
    width: int = 32


@dataclass(frozen=True)
class TimmEntry(Entry):
    """timm's name of the network; what is None is timm's own choice."""

    chosen = ("bn_momentum", "bn_eps", "image_size")
    model: str
    bn_momentum: float | None = None
    bn_eps: float | None = None


def _cifar(layers: int, residual: bool) -> Entry:
    kind = "ResNet" if residual else "plain network"
    n = (layers - 2) // 6
    return ResNetEntry(
        f"{kind} of {layers} layers for 32x32 pictures", "basic", (n, n, n), 16, "small", residual, "zero_pad"
    )


def _efficientnet(variant: str, model: str) -> Entry:
    return TimmEntry(f"{variant} (timm's {model})", model, bn_momentum=0.01, bn_eps=1e-3)


CATALOGUE: dict[str, Entry] = {
    "tiny": ResNetEntry(
        "a ResNet-14 of 8 channels for 32x32 pictures: seconds on a CPU", "basic", (2, 2, 2), 8, "small"
    ),
    "resnet18": ResNetEntry("ResNet-18, basic blocks", "basic", (2, 2, 2, 2)),
    "resnet34": ResNetEntry("ResNet-34, basic blocks", "basic", (3, 4, 6, 3)),
    "resnet50": ResNetEntry("ResNet-50, bottlenecks with the stride in the 3x3 conv", "bottleneck", (3, 4, 6, 3)),
    "resnet50_v1": ResNetEntry(
        "ResNet-50 as in 2015, with the stride in the first 1x1 conv", "bottleneck", (3, 4, 6, 3), early_stride=True
    ),
    "resnet101": ResNetEntry("ResNet-101, bottlenecks", "bottleneck", (3, 4, 23, 3)),
    "resnet152": ResNetEntry("ResNet-152, bottlenecks", "bottleneck", (3, 8, 36, 3)),
    "resnet200": ResNetEntry("ResNet-200, bottlenecks", "bottleneck", (3, 24, 36, 3)),
    "resnet20": _cifar(20, residual=True),
    "resnet56": _cifar(56, residual=True),
    "resnet110": _cifar(110, residual=True),
    "plain18": ResNetEntry("ResNet-18 without shortcuts", "basic", (2, 2, 2, 2), residual=False),
    "plain34": ResNetEntry("ResNet-34 without shortcuts", "basic", (3, 4, 6, 3), residual=False),
    "plain20": _cifar(20, residual=False),
    "plain56": _cifar(56, residual=False),
    "plain110": _cifar(110, residual=False),
    "mobilenet_v1": MobileNetEntry("MobileNet-V1, depth-wise separable convolutions"),
    **{
        f"efficientnet_b{i}": _efficientnet(f"EfficientNet-B{i} for {size}x{size} pictures", f"tf_efficientnet_b{i}")
        for i, size in enumerate((224, 240, 260, 300, 380, 456, 528, 600))
    },
    **{
        f"efficientnetv2_{size}": _efficientnet(f"EfficientNetV2-{size.upper()}", f"tf_efficientnetv2_{size}")
        for size in ("b0", "b1", "b2", "b3", "s", "m", "l", "xl")
    },
    **{
        f"coatnet_{i}": TimmEntry(f"CoAtNet-{i} (timm's coatnet_{i}_224, at data.image_size)", f"coatnet_{i}_224")
        for i in range(5)
    },
}
