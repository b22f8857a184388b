"""recipe=cifar10_speedrun against a literal copy of KellerJordan/cifar10-airbench, legacy/airbench94.py."""

from math import ceil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.datasets import CIFAR10

import assemble
from assemble.data.splits import TrainSet
from assemble.errors import UserError
from assemble.models.speednet import SpeedNet
from assemble.schema import OptimConfig
from assemble.scoring.predictor import translated
from lit_modules.lookahead import SlowWeights
from lit_modules.optim import build_optimizer
from lit_modules.schedule import Schedule
from tests.helpers.small_run import small_config, small_plan, train
from tests.helpers.small_sets import cifar
from tricks.lookahead import Lookahead
from tricks.norm_bias_lr import NormBiasLR
from tricks.whitening import whitening_filters

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers", "ignore:.*LeafSpec", "ignore:.*smaller than the logging interval"
)


@pytest.fixture(scope="module")
def config():
    return assemble.compose(["recipe=cifar10_speedrun"])


def official_rates(batches: int, epochs: float = 9.9):
    """`get_lr` and the learning rates and weight decay of the official code."""
    total = ceil(batches * epochs)
    scale = 1024 * (1 + 1 / (1 - 0.85))
    lr, wd = 11.5 / scale, 0.0153 * 1024 / scale

    def share(step):
        up = int(total * 0.23)
        if step < up:
            return 0.2 * (1 - step / up) + step / up
        frac = (step - up) / (total - up)
        return 1.0 * (1 - frac) + 0.07 * frac

    return total, lr, wd, share


def test_learning_rate_of_every_step(config):
    optim = OptimConfig(
        **{key: config.optim[key] for key in ("lr", "warmup_epochs", "warmup_lr", "min_lr", "schedule")}
    )
    total, lr, _, share = official_rates(50_000 // 1024)
    ours = Schedule.of(optim, 48.0, 10, config.trainer.max_steps)
    assert ours.total_steps == total
    for step in range(total):
        assert config.optim.lr * ours(step) == pytest.approx(1024 * lr * share(step), rel=1e-9), step


def test_steps_of_a_few_batches_are_the_official_ones(config):
    """Losses are sums there and means here, so rates differ by 1,024: weights after each step do not."""
    torch.manual_seed(0)
    ours = SpeedNet(widths=(8, 16, 16)).double()
    theirs = SpeedNet(widths=(8, 16, 16)).double()
    theirs.load_state_dict(ours.state_dict())
    images, labels = torch.randn(4, 16, 3, 32, 32).double(), torch.randint(10, (4, 16))
    _, lr, wd, _ = official_rates(48)
    size = 16 / 1024  # as if each image stood for 64
    for network in (ours, theirs):
        network.first.weight.requires_grad_(False)
    named = [(name, p) for name, p in theirs.named_parameters() if p.requires_grad]
    groups = [
        {"params": [p for name, p in named if "norm" in name], "lr": 64 * lr, "weight_decay": wd / (64 * lr)},
        {"params": [p for name, p in named if "norm" not in name], "lr": lr, "weight_decay": wd / lr},
    ]
    reference = torch.optim.SGD(groups, momentum=0.85, nesterov=True)
    keys = ("name", "lr", "momentum", "nesterov", "weight_decay", "decay_rule")
    cfg = OptimConfig(**{key: config.optim[key] for key in keys})
    optimizer = NormBiasLR().wrap(build_optimizer(ours, cfg), ours)
    for batch, target in zip(images, labels, strict=True):
        loss = nn.CrossEntropyLoss(label_smoothing=0.2, reduction="none")(theirs(batch), target).sum() / size
        reference.zero_grad(), loss.backward(), reference.step()
        loss = F.cross_entropy(ours(batch), target, label_smoothing=0.2)
        optimizer.zero_grad(), loss.backward(), optimizer.step()
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, rtol=1e-9, atol=1e-12, msg=name)


def official_whitening(images, size, eps=5e-4):
    c, (h, w) = images.shape[1], (size, size)
    patches = images.unfold(2, h, 1).unfold(3, w, 1).transpose(1, 3).reshape(-1, c, h, w).float()
    n, c, h, w = patches.shape
    flat = patches.view(n, -1)
    eigenvalues, eigenvectors = torch.linalg.eigh((flat.T @ flat) / n, UPLO="U")
    eigenvalues = eigenvalues.flip(0).view(-1, 1, 1, 1)
    scaled = eigenvectors.T.reshape(c * h * w, c, h, w).flip(0) / torch.sqrt(eigenvalues + eps)
    return torch.cat((scaled, -scaled))


def test_whitening_is_the_official_one_and_whitens():
    images = F.avg_pool2d(torch.randn(40, 3, 24, 24, generator=torch.Generator().manual_seed(0)), 3, 1)
    ours, theirs = whitening_filters(images, 2), official_whitening(images, 2)
    signs = (ours * theirs).flatten(1).sum(1).sign()  # of an eigenvector either will do
    torch.testing.assert_close(ours, theirs * signs.view(-1, 1, 1, 1), rtol=1e-3, atol=1e-3)
    answers = F.conv2d(images, whitening_filters(images, 2, eps=1e-12)[:12]).movedim(1, -1).flatten(0, 2)
    torch.testing.assert_close(answers.T @ answers / len(answers), torch.eye(12), rtol=0, atol=1e-3)


def test_lookahead_is_the_official_loop():
    """`LookaheadState.update` every five steps, with the official schedule, and the slow weights at the end."""
    total = 23
    network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    module = SimpleNamespace(model=network, schedule=SimpleNamespace(total_steps=total))
    alphas = 0.95**5 * (torch.arange(total + 1) / total) ** 3
    theirs = {key: value.clone() for key, value in network.state_dict().items()}
    net = {key: value.clone() for key, value in theirs.items()}
    slow = SlowWeights(5, Lookahead().share)
    slow.on_train_start(SimpleNamespace(), module)
    for step in range(1, total + 1):
        change = {key: torch.randn(value.shape) for key, value in net.items() if value.is_floating_point()}
        for key, value in change.items():
            net[key] += value
            network.state_dict()[key] += value
        for decay in [float(alphas[step])] * (step % 5 == 0) + [1.0] * (step == total):
            for key in change:
                theirs[key].lerp_(net[key], 1 - decay)
                net[key].copy_(theirs[key])
        slow.on_train_batch_end(SimpleNamespace(global_step=step), module, None, None, 0)
        for key in change:
            torch.testing.assert_close(network.state_dict()[key], net[key], msg=f"{key} at {step}")


def test_lookahead_of_the_paper():
    assert Lookahead(decay=0.5, power=0).share(0.1) == Lookahead(decay=0.5, power=0).share(1.0) == 0.5


def test_every_image_is_mirrored_every_other_epoch():
    plan = small_plan({"alternating_flip": {}})
    images: TrainSet = plan.data.train_set
    flips = np.array([[images.flip_at(epoch, index) for index in range(200)] for epoch in range(4)])
    assert (flips[0] + flips[1] == 1).all()
    assert (flips[0] == flips[2]).all()
    assert 70 < flips[0].sum() < 130
    plain = small_plan().data.train_set
    for index in range(8):
        for epoch in range(2):  # the same shift, whoever says that it is mirrored
            ours, drawn = images[epoch, 0, index][0], plain[epoch, 0, index][0]
            assert np.array_equal(ours, drawn) or np.array_equal(ours, drawn[:, ::-1])


def test_translated_images():
    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    down, up = translated(image, 1)
    assert torch.equal(down[0, 0, 1:, 1:], image[0, 0, :3, :3])
    assert torch.equal(up[0, 0, :3, :3], image[0, 0, 1:, 1:])
    assert down[0, 0, 0, 0] == image[0, 0, 1, 1], "mirrored at the border"


def test_the_first_layer_is_filled_once_and_only_its_bias_is_trained():
    cfg = small_config(epochs=2)
    cfg.model.name, cfg.model._target_ = "speednet", "assemble.models.speednet.SpeedNet"
    cfg.model.width, cfg.model.args = None, {"widths": [8, 8, 8]}
    cfg.data.image_size, cfg.trainer.channels_last = 32, False
    plan = small_plan({"whitening": {"images": 50, "bias_epochs": 1}}, cfg)
    _, module = train(plan)
    layer = module.model.first
    shown = plan.data.train_set_as_scored(32)
    images = torch.stack([torch.from_numpy(shown[i][0]).movedim(-1, 0).float() for i in range(50)])
    expected = whitening_filters((images - module.mean) / module.std, 2)
    torch.testing.assert_close(layer.weight.detach().abs(), expected.abs(), rtol=1e-2, atol=1e-2)
    assert layer.bias.abs().sum() > 0
    after_one = small_plan({"whitening": {"images": 50, "bias_epochs": 0}}, cfg)
    _, module = train(after_one)
    assert module.model.first.bias.abs().sum() == 0


def test_other_networks_are_refused():
    with pytest.raises(UserError, match="has 4 outputs, not 54"):
        small_plan({"whitening": {}})


def test_the_recipe_trains(tmp_path, monkeypatch):
    """Its schedule at a thousandth of the images, from made-up batches in torchvision's format."""
    cifar(tmp_path, monkeypatch, CIFAR10, "labels", 16, list("abcdefghij"))
    monkeypatch.chdir(tmp_path)
    config = assemble.compose(
        [
            "recipe=cifar10_speedrun",
            f"data.root={tmp_path}",
            "data.batch_size=32",
            "trainer.max_steps=8",
            "optim.warmup_epochs=0.5",
            "trainer.accelerator=cpu",
            "model.args.widths=[8,8,8]",
            "trainer.progress_bar=false",
        ]
    )
    result = assemble.train(config)
    assert result["scored_split"] == "test"
    assert result["tricks"] == ["alternating_flip", "label_smoothing", "lookahead", "norm_bias_lr", "whitening"]
    assert np.isfinite(result["metrics"]["loss"])
