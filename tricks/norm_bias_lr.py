"""Fast norm biases: the biases of batch norms have a larger learning rate than the other weights.

Paper: Page 2018 ("How to train your ResNet", part 5); 64 times in airbench (arXiv 2404.00498, section 3.2).
Changes: the optimizer: biases of norms get ``scale`` times the learning rate of their group. What weight decay takes of
them in a step stays what it was.
Differs: nothing known.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn
from torch.optim import Optimizer

from assemble.bounds import bounded
from lit_modules.optim import NORMS
from tricks.base import OptimTrick, register


@register
@dataclass(frozen=True)
class NormBiasLR(OptimTrick):
    """Parameters of the learning rate of norms' biases."""

    scale: float = bounded(64.0, above=0)
    """Their learning rate over that of the other weights."""

    def wrap(self, optimizer: Optimizer, network: nn.Module) -> Optimizer:
        biases = {id(module.bias) for module in network.modules() if isinstance(module, NORMS)}
        for group in list(optimizer.param_groups):
            chosen = [parameter for parameter in group["params"] if id(parameter) in biases]
            if chosen and len(chosen) == len(group["params"]):
                self._scale(group)
            elif chosen:
                group["params"] = [parameter for parameter in group["params"] if id(parameter) not in biases]
                own = {key: value for key, value in group.items() if key != "params"}
                optimizer.add_param_group(self._scale({**own, "params": chosen}))
        return optimizer

    def _scale(self, group: dict[str, object]) -> dict[str, object]:
        group["lr"] = float(group["lr"]) * self.scale  # type: ignore[arg-type]
        group["weight_decay"] = float(group["weight_decay"]) / self.scale  # type: ignore[arg-type]
        return group
