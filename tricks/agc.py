"""AGC: a unit's gradient is clipped where it is large beside the unit's weights.

Paper: Brock et al. 2021 (arXiv 2102.06171), section 4: clipping factor 0.01, eps 1e-3.
Changes: the optimizer: before its step, for each output unit i of each weight tensor but the classifier's,
|g_i| > factor * max(|w_i|, eps) is scaled down to that. A bias or gain is one unit.
Differs: nothing known; the official code and timm, whose function is used, have the same rule. Weight decay and
momentum come after it. With ``trainer.gradient_clip_val`` the gradient's norm is clipped first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn
from torch.optim import Optimizer

from assemble.bounds import bounded
from lit_modules.optimizer_wrapper import Wrapped
from tricks.base import OptimTrick, register


class AGC(Wrapped):
    """Steps of ``inner`` with clipped gradients of all parameters but ``spared``."""

    def __init__(
        self, inner: Optimizer, spared: nn.Module | None = None, clip_factor: float = 0.01, eps: float = 1e-3
    ) -> None:
        super().__init__(inner)
        self.spared = set(spared.parameters()) if spared else set()
        self.clip_factor, self.eps = clip_factor, eps

    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        from timm.utils.agc import adaptive_clip_grad

        loss = closure() if closure else None
        parameters = [p for group in self.param_groups for p in group["params"] if p not in self.spared]
        adaptive_clip_grad(parameters, self.clip_factor, self.eps)
        self.inner.step()
        return loss


def classifier(network: nn.Module) -> nn.Module | None:
    """Return the last linear layer."""
    return next((m for m in reversed(list(network.modules())) if isinstance(m, nn.Linear)), None)


@register
@dataclass(frozen=True)
class AGCTrick(OptimTrick):
    """Parameters of adaptive gradient clipping."""

    clip_factor: float = bounded(0.01, above=0)
    """Largest norm of a unit's gradient, as a share of the norm of its weights."""
    eps: float = bounded(1e-3, above=0)
    """Norm that the weights of a unit have at least, so that a unit of zeros can leave zero."""

    def wrap(self, optimizer: Optimizer, network: nn.Module) -> Optimizer:
        return AGC(optimizer, classifier(network), self.clip_factor, self.eps)
