"""Whitening: the first convolution begins with the directions of the training images' patches, and stays as it is.

Paper: Jordan 2024 (arXiv 2404.00498), section 3.3, after Page 2019 ("How to train your ResNet", part 8).
Changes: the run: before the first step the first convolution's filters become the eigenvectors of the covariance of
its patches in ``images`` training images, each over the root of its eigenvalue plus ``eps``, and their opposites. They
are not trained; a bias there is, for ``bias_epochs``.
Differs: nothing known. The images are normalised, and cropped as they are scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from assemble.bounds import bounded
from assemble.errors import UserError
from assemble.models.cost import on_shapes
from tricks.base import CallbackTrick, PlannedRun, register

if TYPE_CHECKING:
    from pytorch_lightning import Callback


def whitening_filters(images: Tensor, kernel: int, eps: float = 5e-4) -> Tensor:
    """Return the filters (2 * C * k * k, C, k, k) that whiten patches of images (N, C, H, W).

    The second half are the first half's opposites. The first have the largest eigenvalues.
    """
    channels = images.shape[1]
    patches = images.unfold(2, kernel, 1).unfold(3, kernel, 1).transpose(1, 3).reshape(-1, channels * kernel**2)
    covariance = patches.T @ patches / len(patches)
    eigenvalues, eigenvectors = torch.linalg.eigh(covariance.double())
    scaled = (eigenvectors / (eigenvalues + eps).sqrt()).T.flip(0)
    scaled = scaled.reshape(-1, channels, kernel, kernel).to(images)
    return torch.cat([scaled, -scaled])


def first_convolution(network: nn.Module) -> nn.Conv2d:
    """Return the convolution that sees the images.

    Raises:
        UserError: it has not as many outputs as its patches have directions, twice.
    """
    found = next((module for module in network.modules() if isinstance(module, nn.Conv2d)), None)
    outputs = 2 * found.in_channels * found.kernel_size[0] ** 2 if found else 0
    if found is None or found.out_channels != outputs or found.kernel_size[0] != found.kernel_size[1]:
        has = f"has {found.out_channels} outputs, not {outputs}" if found else "is not there"
        raise UserError(
            f"trick whitening fills a first convolution of 2 x channels x kernel x kernel outputs, and that of this "
            f"{type(network).__name__} {has}: take the network of recipe=cifar10_speedrun, or drop the trick"
        )
    return found


@register
@dataclass(frozen=True)
class Whitening(CallbackTrick):
    """Parameters of whitening."""

    images: int = bounded(5000, least=1)
    """Training images whose patches are looked at, at most."""
    eps: float = bounded(5e-4, above=0)
    """What is added to the eigenvalues, of images of deviation 1."""
    bias_epochs: int = bounded(3, least=0)
    """Epochs in which the layer's bias is trained."""

    def check_run(self, run: PlannedRun) -> None:
        on_shapes(run.spec, None, lambda network, _: first_convolution(network))

    def callbacks(self) -> Sequence[Callback]:
        from lit_modules.first_layer import FixedFirstLayer

        return [FixedFirstLayer(first_convolution, self._filters, self.images, self.bias_epochs)]

    def _filters(self, images: Tensor, kernel: int) -> Tensor:
        return whitening_filters(images, kernel, self.eps)
