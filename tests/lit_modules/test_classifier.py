"""The training and evaluation step: metrics by hand, seeding, accumulation, tricks reached, NaN."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import CSVLogger
from torch import nn
from torch.utils.data import DataLoader

from assemble import create_model
from assemble.errors import UserError
from assemble.schema import OptimConfig
from lit_modules.classifier import Classifier
from lit_modules.losses import soft_cross_entropy
from lit_modules.schedule import Schedule
from tricks import create
from tricks.base import LossTrick

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers",
    "ignore:.*LeafSpec:FutureWarning",  # Lightning 2.6 with torch 2.14
    "ignore:.*have no `val_dataloader`",
)
CLASSES = 7


def some_images(n=16, size=16):
    g = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, 3, size, size), generator=g, dtype=torch.uint8), torch.arange(n) % CLASSES


def loader(batch=4, n=16) -> DataLoader:
    return DataLoader(list(zip(*some_images(n), torch.arange(n), strict=True)), batch_size=batch)


def classifier(model, tricks=(), lr=0.05, classes=CLASSES, **more) -> Classifier:
    objects = create(tricks)
    return Classifier(
        model,
        num_classes=classes,
        optim=OptimConfig(lr=lr),
        schedule=Schedule("constant", 4, 10),
        mean=(120.0, 110.0, 100.0),
        std=(60.0, 50.0, 40.0),
        batch_tricks=[t for t in objects if hasattr(t, "mix")],
        loss_tricks=[t for t in objects if hasattr(t, "targets")],
        **more,
    )


def trainer(**more) -> Trainer:
    quiet = {
        "max_epochs": 1,
        "log_every_n_steps": 1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return Trainer(accelerator="cpu", **{**quiet, **more})


def linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(48, CLASSES))


# --- images


def test_normalise():
    images, _ = some_images()
    expected = (images.numpy().astype(np.float64) - [[[120]], [[110]], [[100]]]) / [[[60]], [[50]], [[40]]]
    module = classifier(linear())
    torch.testing.assert_close(module.normalise(images), torch.from_numpy(expected).float())
    torch.testing.assert_close(module(images), module.model(torch.from_numpy(expected).float()))


def test_normalise_leaves_the_callers_images_alone():
    images, _ = some_images()
    floats = images.float()
    classifier(linear())(floats)
    assert torch.equal(floats, images.float())


def test_only_the_network_is_in_the_state_dict():
    assert all(key.startswith("model.") for key in classifier(linear()).state_dict())


# --- the loss, and the tricks that shape it


def test_soft_cross_entropy_by_hand():
    logits, targets = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[0.25, 0.75], [1.0, 0.0]])
    first = -(0.25 * (1 - math.log(math.e + math.e**2)) + 0.75 * (2 - math.log(math.e + math.e**2)))
    assert float(soft_cross_entropy(logits, targets)) == pytest.approx((first + math.log(2)) / 2)
    assert soft_cross_entropy(logits.bfloat16(), targets).dtype == torch.float32


def test_training_step_without_tricks_is_plain_cross_entropy():
    images, labels = some_images()
    module = classifier(linear())
    index = torch.arange(len(images))
    expected = F.cross_entropy(module(images), labels)
    torch.testing.assert_close(module.training_step((images, labels, index), 0), expected)
    shifted = classifier(linear(), label_offset=2, classes=CLASSES)
    batch = (images, labels % 5, index)
    torch.testing.assert_close(shifted.training_step(batch, 0), F.cross_entropy(shifted(images), labels % 5 + 2))


def test_batch_and_loss_tricks_are_applied_in_training_only():
    images, labels = some_images()
    module = classifier(linear(), ["mixup", "label_smoothing"])
    mixup, smoothing = module.batch_tricks[0], module.loss_tricks[0]
    rng = np.random.default_rng(5)
    onehot = F.one_hot(labels, CLASSES).float()
    x, y = mixup.mix(module.normalise(images), onehot, np.random.default_rng(5))
    assert len(x) == 8
    expected = soft_cross_entropy(module.model(x), smoothing.targets(y))
    index = torch.arange(len(images))
    torch.testing.assert_close(module.training_loss(module.normalise(images), onehot, index, rng, 0.0), expected)

    scores = trainer().test(module, loader(), verbose=False)[0]
    assert scores["test/loss"] == pytest.approx(F.cross_entropy(module(images), labels).item(), rel=1e-5)


class Spy(LossTrick):
    """Brings targets of its own, and adds a term that shows all it was given."""

    name = "spy"
    seen: tuple[torch.Tensor, torch.Tensor]

    def companion(self, plan):
        return lambda images, index: images.mean((1, 2, 3))[:, None] + index[:, None] * torch.ones(1, CLASSES)

    def term(self, logits, companion):
        object.__setattr__(self, "seen", (logits.detach(), companion))
        return logits[1:].sum() + companion.sum()


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("views", [1, 3])
def test_views_and_companions_travel_through_mixing_with_their_image(views, mixed):
    """By hand: each view and each companion is mixed with the same lambda as image and label."""
    n, model = 6, linear()
    spy = Spy()
    module = classifier(model, {"mixup": {"kind": "type1", "alpha": 1.0}} if mixed else {})
    module.loss_tricks, module.companions = [spy], [spy.companion(None)]
    images = torch.randn(n, views, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    targets, index = torch.eye(CLASSES)[torch.arange(n) % CLASSES], torch.arange(n) + 10
    loss = module.training_loss(images.flatten(0, 1), targets, index, np.random.default_rng(2), 0.0)

    own = images[:, 0].mean((1, 2, 3))[:, None] + index[:, None] * torch.ones(1, CLASSES)
    if mixed:
        lam = torch.from_numpy(np.random.default_rng(2).beta(1.0, 1.0, 3)).float()

        def halves(x):
            weight = lam.reshape(-1, *[1] * (x.ndim - 1))
            return weight * x[:3] + (1 - weight) * x[3:]

        images, targets, own = halves(images), halves(targets), halves(own)
    logits = torch.stack([model(images[:, v]) for v in range(views)])
    torch.testing.assert_close(spy.seen[0], logits.detach())
    torch.testing.assert_close(spy.seen[1], own)
    torch.testing.assert_close(loss, soft_cross_entropy(logits[0], targets) + logits[1:].sum() + own.sum())


def test_two_batch_tricks_take_turns():
    class Marked(nn.Module):
        def forward(self, images):
            return images.mean((2, 3))

    module = classifier(Marked(), {"mixup": {"kind": "permutation"}, "cutmix": {}}, classes=3)
    seen = []
    for trick in module.batch_tricks:
        object.__setattr__(trick, "mix", lambda i, t, r, name=trick.name: (seen.append(name), (i, t))[1])
    for i in range(200):
        module.training_loss(torch.zeros(2, 3, 4, 4), torch.eye(2, 3), torch.arange(2), np.random.default_rng(i), 0.0)
    assert 70 < seen.count("mixup") < 130
    assert seen.count("cutmix") == 200 - seen.count("mixup")


def test_the_mixing_differs_from_batch_to_batch_and_epoch_to_epoch():
    batch = (*some_images(), torch.arange(16))
    module = classifier(linear(), {"mixup": {"alpha": 1.0}})
    losses = [module.training_step(batch, i).item() for i in range(3)]
    assert len(set(losses)) == 3
    assert losses[0] == module.training_step(batch, 0).item()
    other = classifier(linear(), {"mixup": {"alpha": 1.0}}, seed=1)
    assert losses[0] != other.training_step(batch, 0).item()


# --- runs


def run(seed: int) -> dict[str, torch.Tensor]:
    tricks = ["mixup", "label_smoothing"]
    torch.manual_seed(seed)
    network = create_model(
        "resnet20", {"dropblock": {"keep_prob": 0.8}, "stochastic_depth": {}}, num_classes=CLASSES, width=4
    )
    module = classifier(network, tricks, seed=seed)
    torch.manual_seed(99)  # what came before must not matter
    trainer().fit(module, loader())
    return network.state_dict()


def test_a_seed_gives_one_run_and_seed_0_is_a_seed():
    first, torch_noise, other = run(0), run(0), run(1)
    assert all(torch.equal(first[k], torch_noise[k]) for k in first)
    assert not torch.equal(first["fc.weight"], other["fc.weight"])


def test_accumulation_is_the_bigger_batch():
    """Without batch norm: two batches of 4, accumulated, step as one of 8."""
    results = []
    for batch, accumulate in ((8, 1), (4, 2)):
        module = classifier(linear())
        fit = trainer(accumulate_grad_batches=accumulate)
        fit.fit(module, loader(batch))
        assert fit.global_step == 2
        results.append(module.model[2].weight.detach())
    torch.testing.assert_close(results[0], results[1])
    module = classifier(linear())
    trainer().fit(module, loader(4))
    assert not torch.allclose(module.model[2].weight, results[0])


@pytest.mark.parametrize("log_every", [1, 50])
def test_a_nan_loss_is_a_user_error(log_every):
    module = classifier(linear(), log_every=log_every)
    nn.init.constant_(module.model[2].bias, float("nan"))
    with pytest.raises(UserError, match=r"loss is nan.*optim\.lr"):
        trainer().fit(module, loader())


def test_last_loss_is_the_mean_since_the_last_logging():
    module = classifier(linear(), lr=0.0)
    trainer().fit(module, loader())
    images, labels = some_images()
    assert module.last_loss == pytest.approx(F.cross_entropy(module(images), labels).item(), rel=1e-5)


class Noted(CSVLogger):
    """Keeps what it is told."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.told: list[tuple[int, dict[str, float]]] = []

    def log_metrics(self, metrics, step=None) -> None:
        self.told.append((step, dict(metrics)))

    def save(self) -> None: ...


def test_the_learning_rate_that_is_logged_is_the_steps_own(tmp_path):
    """Linear warm-up over the epoch's four steps: 0, 1/4, 2/4, 3/4 of 0.4."""
    module, logger = classifier(linear(), lr=0.4, log_every=1), Noted(tmp_path)
    module.schedule = Schedule("constant", 4, 10, warmup_epochs=1)
    trainer(logger=logger).fit(module, loader())
    assert [step for step, _ in logger.told] == [1, 2, 3, 4]
    assert [row["lr"] for _, row in logger.told] == pytest.approx([0.0, 0.1, 0.2, 0.3])


@pytest.mark.parametrize("log_every", [2, 3, 50])
def test_the_training_accuracy_is_that_of_the_whole_epoch(log_every, tmp_path):
    module, logger = classifier(linear(), lr=0.0, log_every=log_every), Noted(tmp_path)
    trainer(logger=logger, max_epochs=2).fit(module, loader())
    images, labels = some_images()
    right = 100 * float((module(images).argmax(1) == labels).float().mean())
    assert 0 < right < 100
    told = [(step, row["train/top1"]) for step, row in logger.told if "train/top1" in row]
    assert told == [(4, pytest.approx(right)), (8, pytest.approx(right))]


def test_of_a_mixed_image_the_class_with_the_greatest_share_is_right(tmp_path):
    module, logger = classifier(linear(), {"mixup": {"alpha": 1.0}}, lr=0.0), Noted(tmp_path)
    trainer(logger=logger).fit(module, loader(64, n=64))
    images, labels = some_images(64)
    targets, rng = F.one_hot(labels, CLASSES).float(), np.random.default_rng([0, 0, 0, 0, 1])
    mixed, shares, _ = module.inputs(module.normalise(images), targets, torch.arange(64), rng, 0.0)
    right = 100 * float((module.model(mixed).argmax(1) == shares.argmax(1)).float().mean())
    assert (len(shares), right > 0) == (32, True)  # two images for each target
    assert logger.told[-1][1]["train/top1"] == pytest.approx(right)


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_nan_among_the_scores_is_seen(split):
    """One image of 16 gives NaN."""
    logits = torch.zeros(16, CLASSES)
    logits[5, 2] = float("nan")
    images = torch.arange(16, dtype=torch.uint8).reshape(16, 1, 1, 1).expand(16, 3, 2, 2).contiguous()
    data = DataLoader(list(zip(images, torch.arange(16) % CLASSES, strict=True)), batch_size=4)
    module = Classifier(Table(logits), num_classes=CLASSES, optim=OptimConfig(), schedule=Schedule("constant", 1, 1))
    act = trainer().validate if split == "val" else trainer().test
    assert math.isnan(act(module, data, verbose=False)[0][f"{split}/loss"])


def test_an_optimizer_that_asks_twice_for_the_gradient_logs_the_first_loss_and_accuracy(tmp_path):
    class Twice(torch.optim.SGD):
        def step(self, closure):
            with torch.no_grad():
                loss = closure()
                for group in self.param_groups:
                    for p in group["params"]:
                        p.mul_(-4.0)
                closure()
                for group in self.param_groups:
                    for p in group["params"]:
                        p.div_(-4.0)
            return loss

    module = classifier(linear())
    module.configure_optimizers = lambda: Twice(module.parameters(), lr=0.0)
    logger = Noted(tmp_path)
    trainer(logger=logger).fit(module, loader())
    images, labels = some_images()
    logits = linear()(module.normalise(images))
    assert module.last_loss == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-4)
    right = 100 * float((logits.argmax(1) == labels).float().mean())
    assert logger.told[-1][1]["train/top1"] == pytest.approx(right)


# --- scores, by hand


class Table(nn.Module):
    """Answers image i with row i of a table; images carry their number."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("logits", logits)
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, images):
        return self.logits[images[:, 0, 0, 0].round().long()]


@pytest.mark.parametrize("bins", [10, 15])
def test_scores(bins):
    """top-1, top-5, loss and ECE over batches of unequal size."""
    n = 50
    g = torch.Generator().manual_seed(4)
    logits, labels = torch.randn(n, CLASSES, generator=g) * 2, torch.randint(0, CLASSES, (n,), generator=g)
    images = torch.arange(n, dtype=torch.uint8).reshape(n, 1, 1, 1).expand(n, 3, 2, 2).contiguous()
    module = Classifier(
        Table(logits),
        num_classes=CLASSES,
        optim=OptimConfig(),
        schedule=Schedule("constant", 1, 1),
        ece_bins=bins,
    )
    data = DataLoader(list(zip(images, labels, strict=True)), batch_size=16)
    scores = trainer().test(module, data, verbose=False)[0]
    order = logits.argsort(1, descending=True)
    hit = order == labels[:, None]
    assert scores["test/top1"] == pytest.approx(100 * float(hit[:, 0].float().mean()), rel=1e-5)
    assert scores["test/top5"] == pytest.approx(100 * float(hit[:, :5].any(1).float().mean()), rel=1e-5)
    assert scores["test/loss"] == pytest.approx(float(F.cross_entropy(logits, labels)), rel=1e-5)
    confidence, correct = logits.softmax(1).amax(1).numpy(), hit[:, 0].numpy()
    ece = 0.0
    for i in range(bins):
        inside = (confidence > i / bins) & (confidence <= (i + 1) / bins)
        if inside.any():
            ece += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    assert scores["test/ece"] == pytest.approx(100 * ece, rel=1e-4)
    validation = trainer().validate(module, data, verbose=False)[0]
    assert validation["val/top1"] == scores["test/top1"]
    assert validation["val/top5"] == scores["test/top5"]


def test_few_classes_have_a_top5():
    module = classifier(nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 3)), classes=3)
    images, labels = some_images()
    data = DataLoader(list(zip(images, labels % 3, strict=True)), batch_size=8)
    assert trainer().test(module, data, verbose=False)[0]["test/top5"] == 100
