"""MobileNet-V1: what can be varied about it, and the network.

Howard et al. 2017 (arXiv 1704.04861), Table 1: a 3x3 convolution, then 13 depth-wise separable ones, pool, classifier.
Activations are ReLU6, as in the authors' TensorFlow code. Sub-module names are timm's: the weights of its mobilenetv1
models load. ``padding="tensorflow"`` pads strided convolutions at the far side first, as that code does.

Arranged by us, since arXiv 2001.06268 (Table 9) names SE and DropBlock in MobileNet, but not where:

* `attention` stands behind a block's last batch norm, before its ReLU6, as in the ResNets of that paper's code. At
  r = 16 that makes the 4.7 M parameters which arXiv 1709.01507 (Table 3) reports for SE-MobileNet.
* `after_norm` follows both batch norms of a block. Stages are the blocks between two strides, so the last two have the
  resolutions of a ResNet's stages 3 and 4.
* `downsample` stands behind the ReLU6 of a strided depth-wise convolution, as in arXiv 1904.11486's MobileNet-V2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from assemble.models.catalogue import MobileNetEntry
from assemble.models.init import initialise
from assemble.models.layers import MeanPool, PaddedNetwork, norm
from assemble.models.spec import OwnSpec, Site, is_small

MULTIPLES = (2, 4, 8, 16, 32)
"""Channels of each stage over the width; the first block of a stage has stride 2, but for stage 1."""


def relu6() -> nn.Module:
    """Build a ReLU that ends at 6."""
    return nn.ReLU6(inplace=True)


@dataclass(frozen=True)
class MobileNetSpec(OwnSpec):
    """A MobileNet-V1, not built yet."""

    width: int = 32
    depths: tuple[int, ...] = (1, 2, 2, 6, 2)
    activation: Callable[[], nn.Module] = relu6
    small: bool = False
    """The first convolution has stride 1."""

    @property
    def stride(self) -> int:
        return 2 ** (len(MULTIPLES) - self.small)

    def build(self) -> nn.Module:
        return MobileNet(self)


def mobilenet_spec(
    entry: MobileNetEntry, *, stem: str | None = None, image_size: int | None = None, **fields: Any
) -> MobileNetSpec:
    """Return the spec of a catalogue entry; where no ``stem`` is given, images of up to 64 pixels get the small one."""
    return MobileNetSpec(**{"width": entry.width, "small": is_small(stem, image_size, "imagenet"), **fields})


class StridedConv3x3(nn.Conv2d):
    """3x3 convolution with stride 2, without bias: (B, C, H, W) -> (B, channels, ceil(H/2), ceil(W/2)).

    PyTorch pads one pixel on every side. TensorFlow's SAME pads only what is missing: on even sizes one pixel at the
    far side.
    """

    def __init__(self, in_channels: int, channels: int, groups: int) -> None:
        super().__init__(in_channels, channels, 3, 2, padding=1, groups=groups, bias=False)
        self.tf_padding = False

    def forward(self, input: Tensor) -> Tensor:
        if not self.tf_padding:
            return super().forward(input)
        near_h, near_w = input.shape[-2] % 2, input.shape[-1] % 2
        x = F.pad(input, (near_w, 1, near_h, 1))
        return F.conv2d(x, self.weight, self.bias, self.stride, groups=self.groups)


def conv3x3(in_channels: int, channels: int, stride: int, groups: int = 1) -> nn.Conv2d:
    """Build a 3x3 convolution without bias and with stride 1 or 2."""
    if stride == 1:
        return nn.Conv2d(in_channels, channels, 3, padding=1, groups=groups, bias=False)
    return StridedConv3x3(in_channels, channels, groups)


class Separable(nn.Module):
    """Depth-wise 3x3 with the stride, then 1x1: (B, in_channels, H, W) -> (B, channels, H/stride, W/stride)."""

    def __init__(self, spec: MobileNetSpec, in_channels: int, channels: int, stride: int, site: Site) -> None:
        super().__init__()
        blur = spec.downsample if stride > 1 else None
        self.conv_dw = conv3x3(in_channels, in_channels, 1 if blur else stride, groups=in_channels)
        self.bn1 = norm(spec, in_channels)
        self.drop1 = (spec.after_norm and spec.after_norm(site)) or nn.Identity()
        self.blur = blur(in_channels, stride) if blur else nn.Identity()
        self.conv_pw = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn2 = norm(spec, channels)
        self.drop2 = (spec.after_norm and spec.after_norm(site)) or nn.Identity()
        self.attention = spec.attention(channels) if spec.attention else nn.Identity()
        self.act = spec.activation()

    def forward(self, x: Tensor) -> Tensor:
        x = self.blur(self.act(self.drop1(self.bn1(self.conv_dw(x)))))
        return self.act(self.attention(self.drop2(self.bn2(self.conv_pw(x)))))


class MobileNet(PaddedNetwork):
    """The network of a spec: images (B, 3, H, W) -> logits (B, K)."""

    def __init__(self, spec: MobileNetSpec) -> None:
        super().__init__()
        self.conv_stem = conv3x3(3, spec.width, 1 if spec.small else 2)
        self.bn1 = norm(spec, spec.width)
        self.act = spec.activation()
        channels, done, total = spec.width, 0, sum(spec.depths)
        stages = []
        for stage, (multiple, blocks) in enumerate(zip(MULTIPLES, spec.depths, strict=True), start=1):
            row = nn.Sequential()
            for _ in range(blocks):
                done += 1
                stride = 2 if stage > 1 and not row else 1
                site = Site(stage, len(MULTIPLES), done / total)
                row.append(Separable(spec, channels, spec.width * multiple, stride, site))
                channels = spec.width * multiple
            stages.append(row)
        self.blocks = nn.Sequential(*stages)
        self.global_pool = spec.global_pool() if spec.global_pool else MeanPool()
        self.before_classifier = spec.before_classifier() if spec.before_classifier else nn.Identity()
        self.classifier = (spec.head or nn.Linear)(channels, spec.num_classes)
        self.set_padding(spec.padding == "tensorflow")
        initialise(self, spec.init)

    def features(self, images: Tensor) -> Tensor:
        """Return the last feature map: images (B, 3, H, W) -> (B, C, h, w)."""
        return self.blocks(self.act(self.bn1(self.conv_stem(images))))

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.before_classifier(self.global_pool(self.features(images))))

    def get_classifier(self) -> nn.Module:
        """Return the layer that turns pooled features into logits, under timm's name."""
        return self.classifier

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Return regular expressions of parameter names in the order of the layers, as timm wants them.

        The rest is the head. A layer is a block (``coarse``: a stage).
        """
        block = r"^blocks\.(\d+)" if coarse else r"^blocks\.(\d+)\.(\d+)"
        return {"stem": r"^(?:conv_stem|bn1)\.", "blocks": [(block, None)]}
