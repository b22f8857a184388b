"""No bias decay: weight decay acts on the weights of convolutions and linear layers only.

Paper: Jia et al. 2018 (arXiv 1807.11205); Bag of Tricks (arXiv 1812.01187), section 3.1: no biases, no gamma and beta.
Changes: ``optim.decay_rule`` is ``weights``. Beside the default rule, which spares batch norm, that is the classifier's
bias (and those of other layers that have one).
Differs: nothing known.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from assemble.errors import UserError
from assemble.schema import DecayRule, OptimConfig
from tricks.base import OptimTrick, register


@register
@dataclass(frozen=True)
class NoBiasDecay(OptimTrick):
    """Has no parameters."""

    def settings(self, optim: OptimConfig) -> OptimConfig:
        if optim.decay_rule is DecayRule.weights or not optim.weight_decay:
            cause = "weight_decay=0" if not optim.weight_decay else "decay_rule=weights"
            raise UserError(f"no_bias_decay changes nothing beside optim.{cause}: drop it")
        return replace(optim, decay_rule=DecayRule.weights)
