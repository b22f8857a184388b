"""Zero gamma: every block starts as the identity.

Paper: Goyal et al. 2017 (arXiv 1706.02677), section 5.1; Bag of Tricks (arXiv 1812.01187), section 3.1. Used by both
ImageNet scripts of arXiv 2001.06268 (``--zero_gamma=True``).
Changes: `zero_gamma`, the initial gamma of the last batch norm of each block: 1 -> 0.
Differs: nothing known.
"""

from __future__ import annotations

from dataclasses import dataclass

from assemble.errors import UserError
from assemble.models.spec import Spec
from tricks.base import ModelTrick, register


@register
@dataclass(frozen=True)
class ZeroGamma(ModelTrick):
    """Has no parameters."""

    def convert(self, spec: Spec) -> Spec:
        if not spec.residual:
            raise UserError(f"zero_gamma needs shortcuts: {spec.name} has none, so its output would start at zero")
        return spec.replace(zero_gamma=True)
