"""Number formats of a training step, and the loss scale that stays. On the CPU, where both also work."""

import pytest
import torch
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.plugins import MixedPrecision
from torch import nn
from torch.utils.data import DataLoader

from assemble.runs.build import build_trainer
from assemble.schema import OptimConfig, TrainerConfig
from lit_modules.classifier import Classifier
from lit_modules.loss_scale import StaticLossScale
from lit_modules.schedule import Schedule

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers",
    "ignore:.*LeafSpec:FutureWarning",  # Lightning 2.6 with torch 2.14
    "ignore:.*have no `val_dataloader`",
)
QUIET = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}


def step(scaler: StaticLossScale, optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimizer.zero_grad()
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()


def test_the_scale_stays_and_the_steps_are_the_unscaled_ones():
    scaler = StaticLossScale(128.0, "cpu")
    w = nn.Parameter(torch.tensor([1.0, -3.0]))
    optimizer = torch.optim.SGD([w], lr=0.125)
    assert torch.equal(scaler.scale(torch.tensor(0.5)), torch.tensor(64.0))
    step(scaler, optimizer, (w * torch.tensor([2.0, 4.0])).sum())
    assert torch.equal(w.detach(), torch.tensor([0.75, -3.5]))
    for _ in range(2001):  # PyTorch's own scaler doubles after 2,000 finite steps
        step(scaler, optimizer, 0 * w.sum())
    assert scaler.get_scale() == 128


def test_a_step_that_is_not_finite_is_left_out():
    scaler = StaticLossScale(128.0, "cpu")
    w = nn.Parameter(torch.tensor([1.0]))
    optimizer = torch.optim.SGD([w], lr=0.5)
    step(scaler, optimizer, w.sum() * torch.tensor(float("inf")))
    assert torch.equal(w.detach(), torch.tensor([1.0]))
    assert scaler.get_scale() == 128  # PyTorch's own would halve it
    step(scaler, optimizer, w.sum())
    assert torch.equal(w.detach(), torch.tensor([0.5]))


class Formats(Callback):
    """What one training step is made of."""

    def on_before_backward(self, trainer, pl_module, loss):
        self.loss = loss.dtype

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.gradient = pl_module.model[0].weight.grad.clone()


def one_step(trainer: Trainer, formats: Formats) -> tuple[Classifier, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AvgPool2d(6), nn.Flatten(), nn.Linear(4, 5))
    seen: dict[str, torch.Tensor] = {}

    def see_activation(layer: nn.Module, inputs: object, output: torch.Tensor) -> None:
        seen["activation"] = output.detach()

    def see_gradient(layer: nn.Module, inputs: object, output: torch.Tensor) -> None:
        output.register_hook(lambda gradient: seen.update(logits=gradient))

    model[0].register_forward_hook(see_activation)
    model[3].register_forward_hook(see_gradient)
    module = Classifier(model, num_classes=5, optim=OptimConfig(), schedule=Schedule("constant", 1, 1))
    trainer.fit_loop.max_epochs = 1
    images = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    module.std.fill_(100.0)
    trainer.callbacks.append(formats)  # type: ignore[attr-defined]
    trainer.fit(module, DataLoader(list(zip(images, torch.arange(4), torch.arange(4), strict=True)), batch_size=4))
    return module, seen


def full_precision() -> tuple[Classifier, dict[str, torch.Tensor], Formats]:
    formats = Formats()
    cfg = TrainerConfig(accelerator="cpu")
    return *one_step(build_trainer(cfg, **QUIET), formats), formats


def test_bfloat16_computes_in_bfloat16_and_keeps_the_rest_in_float32():
    formats = Formats()
    cfg = TrainerConfig(accelerator="cpu", precision="bf16-mixed")
    module, seen = one_step(build_trainer(cfg, **QUIET), formats)
    assert seen["activation"].dtype == seen["logits"].dtype == torch.bfloat16
    assert formats.loss == formats.gradient.dtype == torch.float32
    assert {p.dtype for p in module.parameters()} == {torch.float32}
    reference = full_precision()[2]
    torch.testing.assert_close(formats.gradient, reference.gradient, rtol=0.1, atol=0.01)


def test_float16_with_a_static_loss_scale():
    """The gradients that pass through the network are 128-fold, those that reach the optimizer are not."""
    formats = Formats()
    plugin = MixedPrecision("16-mixed", "cpu", StaticLossScale(128.0, "cpu"))
    trainer = Trainer(accelerator="cpu", plugins=[plugin], enable_model_summary=False, **QUIET)
    module, seen = one_step(trainer, formats)
    assert seen["activation"].dtype == seen["logits"].dtype == torch.float16
    assert formats.loss == formats.gradient.dtype == torch.float32
    model, plain, reference = full_precision()
    torch.testing.assert_close(seen["logits"].float() / 128, plain["logits"], rtol=1e-2, atol=1e-4)
    torch.testing.assert_close(formats.gradient, reference.gradient, rtol=1e-2, atol=1e-3)
    for ours, theirs in zip(module.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)
    assert trainer.strategy.precision_plugin.state_dict()["scale"] == 128
