"""The models that can be named, as data. Imports nothing heavy: the command line lists them.

Depths: He et al. 2015 (arXiv 1512.03385), Table 1 for ImageNet and section 4.2 for CIFAR (6n + 2 layers);
ResNet-200 as in the official Assemble-ResNet code (3, 24, 36, 3). ``plain`` networks are the same without shortcuts.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One model: its blocks per stage and what it is made of."""

    about: str
    block: str  # basic or bottleneck
    depths: tuple[int, ...]
    width: int = 64  # channels of the first stage, before expansion
    stem: str = "imagenet"
    residual: bool = True
    shortcut: str = "projection"  # projection (1x1 conv where shapes change) or zero_pad (option A of the paper)
    early_stride: bool = False  # in a bottleneck's first 1x1 conv, as in the paper; False: in its 3x3 conv


def _cifar(layers: int, residual: bool) -> Entry:
    kind = "ResNet" if residual else "plain network"
    n = (layers - 2) // 6
    return Entry(f"{kind} of {layers} layers for 32x32 pictures", "basic", (n, n, n), 16, "small", residual, "zero_pad")


CATALOGUE: dict[str, Entry] = {
    "tiny": Entry("a ResNet-14 of 8 channels for 32x32 pictures: seconds on a CPU", "basic", (2, 2, 2), 8, "small"),
    "resnet18": Entry("ResNet-18, basic blocks", "basic", (2, 2, 2, 2)),
    "resnet34": Entry("ResNet-34, basic blocks", "basic", (3, 4, 6, 3)),
    "resnet50": Entry("ResNet-50, bottlenecks with the stride in the 3x3 conv", "bottleneck", (3, 4, 6, 3)),
    "resnet50_v1": Entry(
        "ResNet-50 as in 2015, with the stride in the first 1x1 conv", "bottleneck", (3, 4, 6, 3), early_stride=True
    ),
    "resnet101": Entry("ResNet-101, bottlenecks", "bottleneck", (3, 4, 23, 3)),
    "resnet152": Entry("ResNet-152, bottlenecks", "bottleneck", (3, 8, 36, 3)),
    "resnet200": Entry("ResNet-200, bottlenecks", "bottleneck", (3, 24, 36, 3)),
    "resnet20": _cifar(20, residual=True),
    "resnet56": _cifar(56, residual=True),
    "resnet110": _cifar(110, residual=True),
    "plain18": Entry("ResNet-18 without shortcuts", "basic", (2, 2, 2, 2), residual=False),
    "plain34": Entry("ResNet-34 without shortcuts", "basic", (3, 4, 6, 3), residual=False),
    "plain20": _cifar(20, residual=False),
    "plain56": _cifar(56, residual=False),
    "plain110": _cifar(110, residual=False),
}
