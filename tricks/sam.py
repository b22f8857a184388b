"""SAM: the gradient is taken where the loss near the weights is highest, and applied to the weights.

Paper: Foret et al. 2020 (arXiv 2010.01412), Algorithm 1, with the 2-norm; rho 0.05 on CIFAR-10 and ImageNet. Every
10 steps with rho 0.5 in MosaicML's ResNet-50 (Medium recipe).
Changes: the optimizer: a second forward and backward pass at w + rho * g / |g| for the same mixed batch, with the same
noise; the optimizer's own step then takes that gradient at w. The loss that is logged is that at w, batch norm's
running statistics see the first pass only.
Differs: over several devices g is averaged over them all, as the second gradient is; the paper lets each device
step by its own g (m-sharpness, m = images of a device), which it found to generalise better. Under
``trainer.gradient_clip_val`` both gradients are clipped; the first then keeps its direction, and so the step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from assemble.bounds import bounded
from assemble.errors import UserError
from lit_modules.optimizer_wrapper import Wrapped
from tricks.base import OptimTrick, PlannedRun, register


class SAM(Wrapped):
    """Steps of ``inner`` with the gradient at the worst point within ``rho``, every ``every`` steps."""

    def __init__(self, inner: Optimizer, network: nn.Module, rho: float = 0.05, every: int = 1) -> None:
        super().__init__(inner)
        self.network, self.rho, self.every = network, rho, every
        self.steps = 0

    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor:
        assert closure is not None, "the gradient is needed at two points"
        self.steps += 1
        if self.steps % self.every:
            loss = closure()
        else:
            device = self.param_groups[0]["params"][0].device
            with torch.random.fork_rng([device] if device.type == "cuda" else []):
                loss = closure()  # the generators go back: the second pass draws the same noise
            weights = self._climb()
            with statistics_kept(self.network):
                closure()
            with torch.no_grad():
                for parameter, weight in weights.items():
                    parameter.copy_(weight)  # exact, as subtracting what was added is not
        self.inner.step()
        return loss

    @torch.no_grad()
    def _climb(self) -> dict[Tensor, Tensor]:
        """Move the weights by rho along the gradient; returns what they were."""
        parameters = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        gradients = [p.grad for p in parameters]
        weights = {p: p.clone() for p in parameters}
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))  # type: ignore[attr-defined]
        scale = self.rho / (norm + 1e-12)  # stays on the device
        torch._foreach_add_(parameters, torch._foreach_mul(gradients, scale))  # type: ignore[attr-defined]
        return weights

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "steps": self.steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.steps = state_dict["steps"]
        super().load_state_dict(state_dict)


@contextmanager
def statistics_kept(network: nn.Module) -> Iterator[None]:
    """Let batch norms normalise by the batch, as in training, and leave their running statistics alone."""
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.track_running_stats]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


@register
@dataclass(frozen=True)
class SAMTrick(OptimTrick):
    """Parameters of SAM."""

    order = 90  # the outermost: others act on the gradient that it found

    rho: float = bounded(0.05, above=0)
    """How far, in the 2-norm over all weights."""
    every: int = bounded(1, least=1)
    """Steps from one with two passes to the next; those between are the optimizer's own."""

    def check_run(self, run: PlannedRun) -> None:
        trainer = run.cfg.trainer
        if trainer.accumulate_grad_batches > 1:
            raise UserError(
                "sam needs the gradient of the whole batch at two points: set trainer.accumulate_grad_batches=1"
            )
        if trainer.precision.startswith("16"):
            raise UserError(
                f"sam does not go with trainer.precision={trainer.precision}, whose gradients are scaled: "
                "take bf16-mixed or 32-true"
            )

    def wrap(self, optimizer: Optimizer, network: nn.Module) -> Optimizer:
        return SAM(optimizer, network, self.rho, self.every)
