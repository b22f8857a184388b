"""Compound scaling: one number makes the network deeper and wider and the images larger, in fixed proportions.

Paper: Tan & Le 2019, EfficientNet (arXiv 1905.11946), section 3.3: depth d = alpha^phi, width w = beta^phi, resolution
r = gamma^phi with alpha, beta, gamma >= 1 and alpha * beta^2 * gamma^2 of about 2, so that multiply-adds grow as 2^phi.
Their 1.2, 1.1 and 1.15 are of a grid search at phi = 1 on EfficientNet-B0 (``hydra/sweeper=compound`` searches anew).
Changes: `depths` and the width; `data.image_size`, `data.eval_size` and `data.eval_resize`. The network begins (small
stem up to 64 pixels) as it would at the size that is not scaled.
Differs: blocks and channels are rounded as in the official code: blocks up, channels to a multiple of 8 (of `divisor`)
no more than 10 % below. ResNets and MobileNets stay multiples of their first width, which is what is rounded; in
EfficientNets each layer is rounded by itself. The published B1 to B7 have depths, widths and sizes of their own, near
those of phi = 0.5, 1, 2, ... 6 (B3: 1.2, 1.4 and 300 pixels, where phi = 2 makes 1.21, 1.44 and 296): their models
are ``efficientnet_b1`` to ``_b7``. Sizes are rounded to even numbers, as all the published ones are: the first layer of
stride 2 then sees every pixel, whichever padding. The random shift of small images (``data.crop_pad``) is not scaled.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assemble.bounds import bounded
from assemble.errors import require
from assemble.models.spec import Spec
from tricks.base import DataTrick, ModelTrick, register

if TYPE_CHECKING:
    from assemble.schema import DataConfig


MOST = 1000
"""Times as deep, wide or large: more is a mistake."""


@register
@dataclass(frozen=True)
class CompoundScaling(ModelTrick, DataTrick):
    """Parameters of compound scaling."""

    order = 10  # the other tricks change the network that it has scaled

    phi: float = bounded(1.0)
    """How far to scale: multiply-adds grow as 2^phi. Below zero the network shrinks."""
    alpha: float = bounded(1.2, least=1)
    """Depth of phi = 1 over that of phi = 0."""
    beta: float = bounded(1.1, least=1)
    """Width, likewise."""
    gamma: float = bounded(1.15, least=1)
    """Side of the images, likewise."""
    divisor: int = bounded(8, least=1)
    """Channels are rounded to a multiple of it. 1 for narrow networks, which 8 would leave as they are, or double."""

    def check(self) -> None:
        most = max(self.alpha, self.beta, self.gamma)
        require(
            (self.phi != 0, "tricks.compound_scaling.phi=0 does nothing: choose another, or drop the trick"),
            (
                most > 1,
                "tricks.compound_scaling with alpha, beta and gamma all 1 does nothing: raise one, or drop the trick",
            ),
            (
                self.phi * math.log(most) <= math.log(MOST),
                f"tricks.compound_scaling.phi={self.phi:g} makes depth, width or size more than {MOST} times as large: "
                "lower it",
            ),
        )

    def convert(self, spec: Spec) -> Spec:
        return spec.scaled(self._factor(self.alpha), self._factor(self.beta), self.divisor)

    def data_settings(self, data: DataConfig) -> DataConfig:
        scaled = {key: self._even(getattr(data, key)) for key in ("image_size", "eval_size", "eval_resize")}
        return dataclasses.replace(data, **scaled)

    def _even(self, size: int | None) -> int | None:
        """Return the scaled side, to the nearest even number of pixels."""
        factor = self._factor(self.gamma)
        return size if size is None or factor == 1 else 2 * max(1, round(size * factor / 2))

    def _factor(self, base: float) -> float:
        return base**self.phi
