"""Precise batch norm: the statistics by hand, from whole feature maps; and nothing but them changes."""

from itertools import islice
from pathlib import Path

import pytest
import torch
from pytorch_lightning import Callback
from torch import nn

from assemble.errors import UserError
from assemble.runs.build import build_module
from tests.helpers.small_run import small_config, small_plan, train

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers", "ignore:.*LeafSpec", "ignore:.*smaller than the logging interval"
)


class AtValidation(Callback):
    """The state_dict at each validation."""

    def __init__(self):
        self.states = []

    def on_validation_start(self, trainer, pl_module):
        self.states.append({k: v.clone() for k, v in pl_module.model.state_dict().items()})


def run(tricks, directory: Path | None = None):
    seen = AtValidation()
    plan = small_plan(tricks, small_config(2))
    train(plan, directory, [seen])
    return plan, seen.states


@pytest.mark.parametrize("batches", [1, 2, 200])
def test_the_mean_over_batches_for_the_weights_as_they_are(batches, tmp_path):
    plan, states = run({"precise_bn": {"batches": batches}}, tmp_path)
    module = build_module(small_plan(cfg=small_config(2)))
    for epoch, state in enumerate(states):
        module.model.load_state_dict(state)
        names = [n for n, m in module.model.named_modules() if isinstance(m, nn.BatchNorm2d)]
        seen: dict[str, list[torch.Tensor]] = {names[0]: [], names[-1]: []}
        hooks = [
            module.model.get_submodule(name).register_forward_pre_hook(
                lambda m, args, maps=maps: maps.append(args[0].detach().double().transpose(0, 1).flatten(1))
            )
            for name, maps in seen.items()
        ]
        loader = plan.data.train_dataloader()
        loader.sampler.set_epoch(epoch)
        module.train()
        with torch.no_grad():
            for images, *_ in islice(loader, min(batches, 3)):
                module(images)
        for hook in hooks:
            hook.remove()
        for name, maps in seen.items():
            mean = torch.stack([x.mean(1) for x in maps]).mean(0)
            variance = torch.stack([x.var(1) for x in maps]).mean(0)
            torch.testing.assert_close(state[f"{name}.running_mean"].double(), mean, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(state[f"{name}.running_var"].double(), variance, rtol=1e-4, atol=1e-5)
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    for name, value in states[-1].items():
        assert torch.equal(saved[f"model.{name}"], value), name


def test_training_is_not_touched():
    """Dropped blocks draw from the generator that the pass must leave where it was."""
    _, plain = run(("dropblock", "mixup"))
    _, precise = run(("dropblock", "mixup", "precise_bn"))
    for before, after in zip(plain, precise, strict=True):
        for name, value in before.items():
            statistic = name.endswith(("running_mean", "running_var"))
            assert torch.equal(after[name], value) != statistic or "num_batches" in name, name


def test_mistakes():
    with pytest.raises(UserError, match=r"tricks\.precise_bn\.batches must be at least 1, not 0"):
        small_plan({"precise_bn": {"batches": 0}})
    for other in ("ema", "swa"):
        with pytest.raises(UserError, match=rf"(?=.*precise_bn)(?=.*{other})"):
            small_plan(["precise_bn", other])
