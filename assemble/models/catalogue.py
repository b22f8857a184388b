"""The models that can be named, as data. Imports nothing heavy: the command line lists them.

Depths: He et al. 2015 (arXiv 1512.03385), Table 1 for ImageNet and section 4.2 for CIFAR (6n + 2 layers);
ResNet-200 as in the official Assemble-ResNet code (3, 24, 36, 3). ``plain`` networks are the same without shortcuts.
MobileNet-V1: Howard et al. 2017 (arXiv 1704.04861), Table 1; batch norm's epsilon is 1e-5 as in timm, whose weights it
takes; the authors' code (tensorflow/models, slim/nets/mobilenet_v1.py) and Keras have 1e-3 (``model.bn_eps=1e-3``).
EfficientNet (arXiv 1905.11946, Table 1; scaled as in the official code) and EfficientNetV2 (arXiv 2104.00298, Table 4;
google/automl, effnetv2_configs.py) are stages for timm's builder, which computes as the official TensorFlow code does
(SAME padding; batch norm with epsilon 1e-3 and, in its terms, the papers' momentum 0.99, where google/automl has 0.9).
CoAtNet (arXiv 2106.04803) is timm's.
"""

from dataclasses import dataclass
from typing import ClassVar

from assemble.plugins import Provided

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

    chosen = ("bn_momentum", "bn_eps", "args", "image_size")
    model: str
    bn_momentum: float | None = None
    bn_eps: float | None = None


@dataclass(frozen=True)
class ForeignEntry(Entry):
    """What builds a network of the user's: a dotted path, or a plug-in's network."""

    chosen = ("args", "image_size")
    target: str = ""
    provided: Provided | None = None


@dataclass(frozen=True)
class EfficientNetEntry(Entry):
    """Stages (`assemble.models.efficientnet`), and what their depth and width are multiplied by."""

    chosen = ("blocks", "stem", "bn_momentum", "bn_eps", "image_size")
    blocks: tuple[str, ...] = ()  # the user's
    stem: int = 32
    width: float = 1.0
    depth: float = 1.0
    limit: float = 0.9  # rounded channels are at least this share of what they would be


B0 = (
    "ds_r1_k3_s1_e1_c16_se0.25",
    "ir_r2_k3_s2_e6_c24_se0.25",
    "ir_r2_k5_s2_e6_c40_se0.25",
    "ir_r3_k3_s2_e6_c80_se0.25",
    "ir_r3_k5_s1_e6_c112_se0.25",
    "ir_r4_k5_s2_e6_c192_se0.25",
    "ir_r1_k3_s1_e6_c320_se0.25",
)
SCALES = {"b0": (1.0, 1.0), "b1": (1.0, 1.1), "b2": (1.1, 1.2), "b3": (1.2, 1.4)} | {
    "b4": (1.4, 1.8),
    "b5": (1.6, 2.2),
    "b6": (1.8, 2.6),
    "b7": (2.0, 3.1),
}
"""Width and depth of EfficientNet-B0 to B7; EfficientNetV2-B0 to B3 have those of the same name."""
IMAGES = (224, 240, 260, 300, 380, 456, 528, 600)
V2_B0 = (
    "cn_r1_k3_s1_e1_c16_skip",
    "er_r2_k3_s2_e4_c32",
    "er_r2_k3_s2_e4_c48",
    "ir_r3_k3_s2_e4_c96_se0.25",
    "ir_r5_k3_s1_e6_c112_se0.25",
    "ir_r8_k3_s2_e6_c192_se0.25",
)
V2 = {
    "s": (
        "cn_r2_k3_s1_e1_c24_skip",
        "er_r4_k3_s2_e4_c48",
        "er_r4_k3_s2_e4_c64",
        "ir_r6_k3_s2_e4_c128_se0.25",
        "ir_r9_k3_s1_e6_c160_se0.25",
        "ir_r15_k3_s2_e6_c256_se0.25",
    ),
    "m": (
        "cn_r3_k3_s1_e1_c24_skip",
        "er_r5_k3_s2_e4_c48",
        "er_r5_k3_s2_e4_c80",
        "ir_r7_k3_s2_e4_c160_se0.25",
        "ir_r14_k3_s1_e6_c176_se0.25",
        "ir_r18_k3_s2_e6_c304_se0.25",
        "ir_r5_k3_s1_e6_c512_se0.25",
    ),
    "l": (
        "cn_r4_k3_s1_e1_c32_skip",
        "er_r7_k3_s2_e4_c64",
        "er_r7_k3_s2_e4_c96",
        "ir_r10_k3_s2_e4_c192_se0.25",
        "ir_r19_k3_s1_e6_c224_se0.25",
        "ir_r25_k3_s2_e6_c384_se0.25",
        "ir_r7_k3_s1_e6_c640_se0.25",
    ),
    "xl": (
        "cn_r4_k3_s1_e1_c32_skip",
        "er_r8_k3_s2_e4_c64",
        "er_r8_k3_s2_e4_c96",
        "ir_r16_k3_s2_e4_c192_se0.25",
        "ir_r24_k3_s1_e6_c256_se0.25",
        "ir_r32_k3_s2_e6_c512_se0.25",
        "ir_r8_k3_s1_e6_c640_se0.25",
    ),
}


def _cifar(layers: int, residual: bool) -> Entry:
    kind = "ResNet" if residual else "plain network"
    n = (layers - 2) // 6
    return ResNetEntry(
        f"{kind} of {layers} layers for 32x32 images", "basic", (n, n, n), 16, "small", residual, "zero_pad"
    )


def _efficientnets() -> dict[str, Entry]:
    found: dict[str, Entry] = {
        "efficientnet": EfficientNetEntry("an EfficientNet of the stages that you name: model.blocks=[..]")
    }
    for (name, (width, depth)), size in zip(SCALES.items(), IMAGES, strict=True):
        about = f"EfficientNet-{name.upper()} for {size}x{size} images"
        found[f"efficientnet_{name}"] = EfficientNetEntry(about, B0, width=width, depth=depth)
    for name, (width, depth) in list(SCALES.items())[:4]:
        about = f"EfficientNetV2-{name.upper()}"
        found[f"efficientnetv2_{name}"] = EfficientNetEntry(about, V2_B0, width=width, depth=depth, limit=0.0)
    for name, blocks in V2.items():
        stem = 24 if name in "sm" else 32
        found[f"efficientnetv2_{name}"] = EfficientNetEntry(f"EfficientNetV2-{name.upper()}", blocks, stem)
    return found


CATALOGUE: dict[str, Entry] = {
    "tiny": ResNetEntry("a ResNet-14 of 8 channels for 32x32 images: seconds on a CPU", "basic", (2, 2, 2), 8, "small"),
    "resnet18": ResNetEntry("ResNet-18, basic blocks", "basic", (2, 2, 2, 2)),
    "resnet34": ResNetEntry("ResNet-34, basic blocks", "basic", (3, 4, 6, 3)),
    "resnet50": ResNetEntry("ResNet-50, bottlenecks with the stride in the 3x3 conv", "bottleneck", (3, 4, 6, 3)),
    **{
        f"resnet{layers}_v1": ResNetEntry(
            f"ResNet-{layers} as in 2015, with the stride in the first 1x1 conv",
            "bottleneck",
            depths,
            early_stride=True,
        )
        for layers, depths in ((50, (3, 4, 6, 3)), (101, (3, 4, 23, 3)), (152, (3, 8, 36, 3)))
    },
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
    **_efficientnets(),
    **{
        f"coatnet_{i}": TimmEntry(f"CoAtNet-{i} (timm's coatnet_{i}_224, at data.image_size)", f"coatnet_{i}_224")
        for i in range(5)
    },
}
