"""AugMix: each image is mixed with chains of operations on it, and the network is to see the same in all versions.

Paper: Hendrycks et al. 2019 (arXiv 1912.02781), Algorithm 1; for robustness to corruptions.
Changes: the image, after crop and flip: ``width`` chains of random operations start from it, are mixed with weights
from a Dirichlet distribution, and the mixture with the image itself by a share from a Beta distribution. Beside the
image the network sees two such mixtures of it (three times the batch): cross-entropy takes the image alone, and
``jsd`` times the Jensen-Shannon divergence of the three predictions is added to it. Without it, one mixture is all.
Differs: as in the official code (google-research/augmix) operations draw levels from 0.1 to ``severity`` (of 10),
posterizing keeps 4 bits at most, and the mean prediction is clamped at 1e-7. That code mixes normalised floats. Here
pixels are mixed, which is the same since the weights sum to one, but for rounding the mixture to whole values. Where
the batch is mixed too (mixup), the views of an image are mixed alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from assemble.bounds import bounded
from assemble.data.image_ops import as_image
from assemble.errors import require
from tricks._alone import Draws, generator_of
from tricks.base import DataTrick, LossTrick, Strength, register, strength

Operation = Callable[[Image.Image, float], Image.Image]
"""Image, level from 0.1 to 10 (negative: to the other side) -> image of the same size."""


def affine(image: Image.Image, *matrix: float) -> Image.Image:
    """Transform the image: the pixel at (x, y) comes from (a x + b y + c, d x + e y + f), black from outside."""
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)


def shift(image: Image.Image, x: int, y: int) -> Image.Image:
    """Shift by whole pixels, many times as fast as `affine`: the pixel at (i, j) comes from (i + x, j + y)."""
    return image.crop((x, y, x + image.width, y + image.height))


OPERATIONS: Mapping[str, Operation] = {
    "autocontrast": lambda image, level: ImageOps.autocontrast(image),
    "equalize": lambda image, level: ImageOps.equalize(image),
    "posterize": lambda image, level: ImageOps.posterize(image, 4 - int(level * 4 / 10)),
    "rotate": lambda image, level: image.rotate(int(level * 30 / 10), Image.Resampling.BILINEAR),
    "solarize": lambda image, level: ImageOps.solarize(image, 256 - int(level * 256 / 10)),
    "shear_x": lambda image, level: affine(image, 1, level * 0.3 / 10, 0, 0, 1, 0),
    "shear_y": lambda image, level: affine(image, 1, 0, 0, level * 0.3 / 10, 1, 0),
    "translate_x": lambda image, level: shift(image, int(level * (image.width / 3) / 10), 0),
    "translate_y": lambda image, level: shift(image, 0, int(level * (image.height / 3) / 10)),
}
CORRUPTIONS: Mapping[str, Operation] = {
    "color": lambda image, level: ImageEnhance.Color(image).enhance(level * 1.8 / 10 + 0.1),
    "contrast": lambda image, level: ImageEnhance.Contrast(image).enhance(level * 1.8 / 10 + 0.1),
    "brightness": lambda image, level: ImageEnhance.Brightness(image).enhance(level * 1.8 / 10 + 0.1),
    "sharpness": lambda image, level: ImageEnhance.Sharpness(image).enhance(level * 1.8 / 10 + 0.1),
}
"""Operations that are close to some of the corruptions of ImageNet-C."""
ALL = {**OPERATIONS, **CORRUPTIONS}
BOTH_WAYS = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
"""Operations whose levels are negated in half of the cases."""

Chain = Sequence[tuple[str, float]]
"""Operations one after the other, each with its level."""


def draw_chain(names: Sequence[str], severity: float, depth: int, rng: np.random.Generator) -> Chain:
    """Draw ``depth`` operations, or 1 to 3 where it is -1, with levels from 0.1 to ``severity``."""
    chain = []
    for _ in range(depth if depth > 0 else rng.integers(1, 4)):
        name = names[int(rng.integers(len(names)))]
        level = rng.uniform(0.1, severity)
        chain.append((name, -level if name in BOTH_WAYS and rng.random() > 0.5 else level))
    return chain


def mix_chains(image: np.ndarray, chains: Sequence[Chain], weights: np.ndarray, share: float) -> np.ndarray:
    """Mix (1 - share) of the image and ``share`` of its versions, which are mixed with ``weights``.

    Args:
        image: uint8 (H, W, 3).
        chains: what makes a version of the image, W of them.
        weights: (W,), with the sum 1.
        share: from 0 (the image alone) to 1.

    Returns:
        uint8 (H, W, 3), rounded.
    """
    mixed = np.float32(1 - share) * image
    for chain, weight in zip(chains, weights, strict=True):
        version = Image.fromarray(image)
        for name, level in chain:
            version = ALL[name](version, level)
        mixed += np.float32(share * weight) * np.asarray(version)
    return np.rint(mixed).astype(np.uint8)


def augmix(
    image: Any,
    severity: float = 3.0,
    width: int = 3,
    depth: int = -1,
    alpha: float = 1.0,
    all_ops: bool = False,
    *,
    generator: Draws = None,
) -> np.ndarray:
    """Mix an image, a uint8 array (H, W, 3), PIL image or uint8 tensor (3, H, W), with drawn chains: -> the array.

    Args:
        image: the image.
        severity: the highest level of an operation, 0.1 to 10.
        width: chains in a mixture.
        depth: operations in a chain; -1: from 1 to 3, drawn for each chain.
        alpha: all parameters of the Dirichlet and the Beta distribution.
        all_ops: also color, contrast, brightness and sharpness.
        generator: what is drawn from (`tricks._alone.Draws`).
    """
    names, rng = list(ALL if all_ops else OPERATIONS), generator_of(generator)
    weights, share = rng.dirichlet([alpha] * width), rng.beta(alpha, alpha)
    chains = [draw_chain(names, severity, depth, rng) for _ in range(width)]
    return mix_chains(as_image(image), chains, weights, share)


def jensen_shannon(logits: Tensor) -> Tensor:
    """Return the Jensen-Shannon divergence of V predictions of the same image, in nats, averaged over images.

    Args:
        logits: (V, B, K).
    """
    log_views = logits.log_softmax(-1)
    views = log_views.exp()
    mixture = views.mean(0).clamp(1e-7, 1).log()
    # Not `F.kl_div`, as officially: its gradient is NaN where a probability is 0 in float32 (103 nats below another).
    return (views * (log_views - mixture)).sum(-1).mean()


@register
@dataclass(frozen=True)
class AugMix(DataTrick, LossTrick):
    """Parameters of AugMix."""

    severity: Strength = strength(3.0, least=0.1, most=10)
    """The highest level of an operation, 0.1 to 10 (official: 3 for CIFAR, 1 for ImageNet)."""
    width: int = bounded(3, least=1)
    """Chains in a mixture."""
    depth: int = -1
    """Operations in a chain; -1: from 1 to 3, drawn for each chain."""
    alpha: float = bounded(1.0, above=0)
    """All parameters of the Dirichlet and the Beta distribution."""
    all_ops: bool = False
    """Also color, contrast, brightness and sharpness. ImageNet-C has the like, and is no fair test then."""
    jsd: float = bounded(12.0, least=0)
    """Weight of the divergence; 0: the network sees one mixture of each image, and nothing is added to the loss."""

    def check(self) -> None:
        require(
            (self.depth == -1 or self.depth >= 1, f"tricks.augmix.depth must be at least 1, or -1, not {self.depth}")
        )

    @property
    def views(self) -> int:
        return 3 if self.jsd else 1

    def augment(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if not self.jsd:
            return self.mixture(image, rng)
        return np.stack([image, self.mixture(image, rng), self.mixture(image, rng)])

    def mixture(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Mix one image, uint8 (H, W, 3) -> the same, with randomly drawn chains."""
        return augmix(image, self.severity, self.width, self.depth, self.alpha, self.all_ops, generator=rng)

    def term(self, logits: Tensor, companion: Tensor | None) -> Tensor | None:
        return self.jsd * jensen_shannon(logits) if self.jsd else None
