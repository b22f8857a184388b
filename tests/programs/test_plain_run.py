"""With every trick off, a run is bit for bit what a plain PyTorch loop computes."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from assemble.data.sampler import EpochSampler
from assemble.planning.plan import Plan, make_plan
from assemble.runs.build import build_module, build_trainer
from assemble.schema import Config


def plain_plan(**optim: float) -> Plan:
    cfg = Config()
    cfg.data.flip, cfg.data.image_size, cfg.data.batch_size = 0.0, 16, 32
    cfg.trainer.max_epochs, cfg.trainer.limit_train_batches = 2, 1.0
    for name, value in optim.items():
        setattr(cfg.optim, name, value)
    return make_plan(cfg, [])


@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*LeafSpec")
@pytest.mark.filterwarnings("ignore:.*smaller than the logging interval")
def test_equals_a_plain_loop(tmp_path: Path) -> None:
    plan = plain_plan()
    assert plan.data is not None
    module = build_module(plan)
    trainer = build_trainer(
        plan.cfg.trainer, logger=False, enable_checkpointing=False, enable_progress_bar=False, default_root_dir=tmp_path
    )
    trainer.fit(module, datamodule=plan.data)

    # The same by hand: nothing of ours but the network, the images and their order.
    torch.manual_seed(plan.cfg.seed)
    network = plan.recipe.spec.build().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    norms = {p for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d) for p in m.parameters()}
    optimizer = torch.optim.SGD(
        [
            {"params": [p for p in network.parameters() if p not in norms], "weight_decay": 1e-4},
            {"params": [p for p in network.parameters() if p in norms], "weight_decay": 0.0},
        ],
        lr=0.1,
        momentum=0.9,
    )
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (plan.cfg.data.mean, plan.cfg.data.std))
    per_epoch = 1197 / 32
    warmup, total = int(per_epoch), int(2 * per_epoch)
    step = 0
    for epoch in range(2):
        sampler = EpochSampler(1197, 32, seed=0)
        sampler.set_epoch(epoch)
        items = [plan.data.train_set[draw] for draw in sampler]
        for i in range(0, len(items), 32):
            images = torch.stack([torch.from_numpy(image.copy()) for image, *_ in items[i : i + 32]])
            images = (images.permute(0, 3, 1, 2).float() - mean) / std
            labels = torch.tensor([label for _, label, *_ in items[i : i + 32]])
            share = 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))
            for group in optimizer.param_groups:
                group["lr"] = 0.1 * (step / warmup if step < warmup else share)
            loss = F.cross_entropy(network(images), F.one_hot(labels, 10).float())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1

    assert step == trainer.global_step == 2 * 37
    trained = module.model.state_dict()
    for name, value in network.state_dict().items():
        assert torch.equal(trained[name], value), name
