"""Hooks of loss and data tricks that techniques need: class counts, features, labels, and the order of images."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

import assemble
from assemble.data.sampler import EpochSampler, appearances
from assemble.errors import UserError
from assemble.models.families import spec_of
from assemble.schema import DataConfig, OptimConfig
from lit_modules.classifier import Classifier
from lit_modules.datamodule import ClassifierData
from lit_modules.losses import soft_cross_entropy
from lit_modules.schedule import Schedule
from tricks.base import DataTrick, LossTrick, hooks_of


@dataclass(frozen=True)
class Balanced(LossTrick):
    """Logits are raised by the log of the class's share (balanced softmax)."""

    name: ClassVar[str] = "balanced"
    counts: tuple[int, ...] = ()

    def prepared(self, run):
        return replace(self, counts=tuple(run.class_counts.tolist()))

    def loss(self, logits, targets):
        return soft_cross_entropy(logits + torch.tensor(self.counts).log(), targets)


@dataclass(frozen=True)
class Small(LossTrick):
    """Features are kept small, more so where the network is right."""

    name: ClassVar[str] = "small"

    def feature_term(self, features, logits, targets):
        right = (logits.softmax(-1) * targets).sum(-1, keepdim=True)
        return (right * features.square()).mean()


@dataclass(frozen=True)
class Often(DataTrick):
    """Each class as often as any other, with replacement."""

    name: ClassVar[str] = "often"

    def drawn(self, labels, rng):
        weight = 1 / np.bincount(labels)[labels]
        return rng.choice(len(labels), len(labels), p=weight / weight.sum())


def classifier(network, *tricks):
    optim = OptimConfig()
    return Classifier(network, num_classes=4, optim=optim, schedule=Schedule.of(optim, 2, 2), loss_tricks=list(tricks))


def loss_of(module, images, targets):
    return module.training_loss(images, targets, torch.arange(len(targets)), np.random.default_rng(0), 0.0)


def test_class_counts_come_from_the_run(monkeypatch):
    from assemble.programs import train

    config = assemble.compose(["trainer=smoke", "data.image_size=16"])
    plan = train.make_plan_of(config)
    counts = Balanced().prepared(plan).counts
    assert counts == tuple(np.bincount(plan.data.source.train.labels))
    assert sum(counts) == plan.data.train_size
    plan.cfg.data.label_offset = 1
    assert tuple(plan.class_counts[:2]) == (0, counts[0])


def test_a_feature_term_sees_what_the_classifier_is_given():
    torch.manual_seed(0)
    network = spec_of("resnet18", width=4, num_classes=4, image_size=32).build()
    images, targets = torch.randn(6, 3, 32, 32), torch.eye(4)[torch.tensor([0, 1, 2, 3, 0, 1])]
    with_term, without = (
        loss_of(classifier(network, Small()), images, targets),
        loss_of(classifier(network), images, targets),
    )
    features = network.features(images).mean((2, 3))
    logits = network.fc(features)
    expected = ((logits.softmax(-1) * targets).sum(-1, keepdim=True) * features.square()).mean()
    torch.testing.assert_close(with_term - without, expected)
    with_term.backward()
    assert network.conv1.weight.grad.abs().sum() > 0


def test_a_network_that_names_no_classifier_is_refused():
    with pytest.raises(UserError, match="names 0 classifiers"):
        classifier(nn.Identity(), Small())
    classifier(nn.Identity(), Balanced())


def test_the_order_of_an_epoch_is_the_tricks():
    """The stream follows from seed and epoch alone, over any split into ranks; appearances are told apart."""
    labels = np.repeat([0, 1], [90, 10])
    drawn = lambda rng: Often().drawn(labels, rng)  # noqa: E731
    whole = list(EpochSampler(100, 10, drawn=drawn, seed=3))
    assert whole == list(EpochSampler(100, 10, drawn=drawn, seed=3))
    parts = [list(EpochSampler(100, 5, drawn=drawn, seed=3, rank=rank, world=2)) for rank in range(2)]
    assert Counter(whole) == Counter(parts[0] + parts[1])
    assert len(set(whole)) == 100, "no two appearances of an image are augmented alike"
    rare = [index for _, _, index in whole if index >= 90]
    assert 35 < len(rare) < 65
    assert max(Counter(rare).values()) > 1
    other = EpochSampler(100, 10, drawn=drawn, seed=3)
    other.set_epoch(1)
    assert list(other) != whole


def test_appearances():
    assert appearances(np.array([5, 3, 5, 5, 3])).tolist() == [0, 0, 1, 2, 1]
    assert appearances(np.arange(4)[::-1]).tolist() == [0, 0, 0, 0]


def test_the_data_module_asks_the_trick():
    cfg = DataConfig(image_size=16)
    data = ClassifierData(cfg, micro_batch=32, tricks=[Often()])
    sampled = [index for _, _, index in data.train_dataloader().sampler]
    assert len(set(sampled)) < len(sampled)
    assert hooks_of(Often()) == ["drawn"]
