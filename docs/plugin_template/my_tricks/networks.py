"""A network: patches of the image, residual layers, a linear classifier."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from assemble.models.spec import Site
from assemble.plugins import register_model

Branch = Callable[[Site], nn.Module | None]


class Block(nn.Module):
    """x + branch(mlp(x)), on (B, C, H, W)."""

    def __init__(self, width: int, branch: nn.Module | None) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.BatchNorm2d(width), nn.Conv2d(width, width, 1), nn.GELU())
        self.branch = branch or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(self.mlp(x))


@register_model
class PatchMLP(nn.Module):
    """A small network of patches and residual layers, for images of any multiple of ``patch`` pixels.

    Images (B, 3, H, W) -> logits (B, num_classes).
    """

    places = ("branch",)
    """Keywords that tricks fill (`assemble.models.spec.PLACES`)."""

    def __init__(
        self, num_classes: int, width: int = 32, depth: int = 2, patch: int = 4, branch: Branch | None = None
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, patch, patch)
        sites = [Site(1, 1, (i + 1) / depth) for i in range(depth)]
        self.blocks = nn.Sequential(*(Block(width, branch(site) if branch else None) for site in sites))
        self.fc = nn.Linear(width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.blocks(self.stem(images)).mean((2, 3)))

    def get_classifier(self) -> nn.Linear:
        """Return the classifier, under timm's name."""
        return self.fc
