"""The small network of the CIFAR-10 speed runs: whitened patches, three groups of two convolutions, a classifier.

Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU" (arXiv 2404.00498); code: KellerJordan/cifar10-airbench,
legacy/airbench94.py. It is ``model._target_`` of recipe=cifar10_speedrun, one of whose tricks fills the first layer.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def dirac_convolution(in_channels: int, channels: int) -> nn.Conv2d:
    """Build a 3x3 convolution, of which the first ``in_channels`` outputs begin as the inputs."""
    conv = nn.Conv2d(in_channels, channels, 3, padding="same", bias=False)
    with torch.no_grad():
        nn.init.dirac_(conv.weight[:in_channels])
    return conv


def shift_norm(channels: int) -> nn.BatchNorm2d:
    """Build a batch norm without a scale, with the official momentum (0.6 in its terms) and epsilon."""
    norm = nn.BatchNorm2d(channels, eps=1e-12, momentum=0.4)
    norm.weight.requires_grad_(False)
    return norm


class Group(nn.Module):
    """(B, in_channels, H, W) -> (B, channels, H / 2, W / 2)."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = dirac_convolution(in_channels, channels), shift_norm(channels)
        self.conv2, self.norm2 = dirac_convolution(channels, channels), shift_norm(channels)
        self.pool, self.act = nn.MaxPool2d(2), nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.norm1(self.pool(self.conv1(x))))
        return self.act(self.norm2(self.conv2(x)))


class SpeedNet(nn.Module):
    """Images (B, 3, 32, 32) -> logits (B, num_classes).

    Args:
        num_classes: outputs.
        widths: channels of the three groups.
        scale: what the logits are multiplied by.
    """

    def __init__(self, num_classes: int = 10, widths: Sequence[int] = (64, 256, 256), scale: float = 1 / 9) -> None:
        super().__init__()
        patches = 2 * 3 * 2**2  # each direction of a 2x2 patch, and its opposite
        self.first = nn.Conv2d(3, patches, 2)
        nn.init.zeros_(self.first.bias)  # type: ignore[arg-type]
        self.act = nn.GELU()
        self.groups = nn.Sequential(*(Group(i, o) for i, o in zip([patches, *widths], widths, strict=False)))
        self.pool, self.scale = nn.MaxPool2d(3), scale
        self.fc = nn.Linear(widths[-1], num_classes, bias=False)

    def features(self, images: Tensor) -> Tensor:
        """Return the last feature map: (B, C, 1, 1) of images of 32 pixels."""
        return self.pool(self.groups(self.act(self.first(images))))

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.features(images).flatten(1)) * self.scale

    def get_classifier(self) -> nn.Linear:
        """Return the layer that turns features into logits, under timm's name."""
        return self.fc
