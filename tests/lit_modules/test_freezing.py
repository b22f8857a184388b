"""Frozen stages: what training may change, what batch norm uses there, and who must leave it alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from assemble import create_model
from assemble.errors import UserError
from assemble.runs.build import build_module
from assemble.schema import Config
from lit_modules.freezing import freeze
from tests.helpers.small_run import small_config, small_plan, train

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers", "ignore:.*LeafSpec", "ignore:.*in eval mode at the start"
)
PARTS = ["conv1 bn1", "layer1", "layer2", "layer3", "fc"]
"""Of the tiny network: stem, stages, classifier."""


def frozen_config(tmp_path: Path, stages: int, epochs: int = 1) -> Config:
    """Starts from weights and statistics unlike those of any new network."""
    cfg = small_config(epochs)
    torch.manual_seed(5)
    network = create_model("tiny", num_classes=10, width=4)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 1.5)  # type: ignore[arg-type]
    torch.save(network.state_dict(), tmp_path / "start.pt")
    cfg.model.checkpoint, cfg.model.freeze = str(tmp_path / "start.pt"), stages
    return cfg


def changed(module: nn.Module, start: Path) -> set[str]:
    """The entries of the state_dict that differ from the file's."""
    before = torch.load(start, weights_only=True)
    return {name for name, value in module.state_dict().items() if not torch.equal(value, before[name])}


@pytest.mark.parametrize(
    ("stages", "tricks"), [(0, ()), (3, ()), (2, {"swa": {"start": 0.0}}), (2, ("precise_bn", "dropblock"))]
)
def test_what_is_frozen_stays_and_the_rest_is_trained(stages, tricks, tmp_path):
    _, module = train(small_plan(tricks, frozen_config(tmp_path, stages, epochs=2)))
    names = list(module.model.state_dict())
    trained = tuple(part for parts in PARTS[stages + 1 :] for part in parts.split())
    assert changed(module.model, tmp_path / "start.pt") == {name for name in names if name.startswith(trained)}


def test_in_training_frozen_stages_compute_what_they_compute_in_evaluation(tmp_path):
    module = build_module(small_plan((), frozen_config(tmp_path, 1)))
    images = torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))

    def first_stage() -> torch.Tensor:
        network = module.model
        return network.layer1(network.maxpool(network.act1(network.bn1(network.conv1(images)))))  # type: ignore[operator]

    with torch.no_grad():
        expected, whole = module.eval() and first_stage(), module.model(images)
        module.train()
        assert torch.equal(first_stage(), expected)
        assert not torch.allclose(module.model(images), whole)  # the other stages use the batch


def test_the_optimizer_has_the_rest_alone(tmp_path):
    module = build_module(small_plan((), frozen_config(tmp_path, 3)))
    groups = module.configure_optimizers()["optimizer"].param_groups
    assert {p for group in groups for p in group["params"]} == set(module.model.fc.parameters())  # type: ignore[union-attr]


def test_networks_of_timm():
    import timm

    network = timm.create_model("resnet18")
    freeze(network, 2)
    frozen = {name.partition(".")[0] for name, p in network.named_parameters() if not p.requires_grad}
    assert frozen == {"conv1", "bn1", "layer1", "layer2"}


def test_mistakes():
    with pytest.raises(UserError, match=r"model\.freeze=4: ResNet has 3 stages: freeze fewer"):
        freeze(create_model("tiny", width=4), 4)
    with pytest.raises(UserError, match=r"model\.freeze.*Linear does not say the order of its layers"):
        freeze(nn.Linear(1, 1), 0)
