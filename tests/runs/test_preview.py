"""Images of a run before it runs."""

import builtins

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from assemble.errors import UserError
from assemble.planning.plan import make_plan
from assemble.runs.preview import caption, curves, draw, preview
from assemble.schema import Config
from tricks import create

TRICKS = {"mixup": {"alpha": {"from": 0, "to": 5}}, "label_smoothing": {}, "dropblock": {}}


def plan_of(tricks):
    cfg = OmegaConf.to_object(OmegaConf.structured(Config))
    cfg.data.flip, cfg.trainer.max_epochs, cfg.optim.warmup_epochs = 0.0, 10, 2
    return make_plan(cfg, create(tricks))


def test_curves_are_the_schedule_and_the_ramps():
    epochs, values = curves(plan_of(TRICKS))
    assert set(values) == {"optim.lr", "tricks.mixup.alpha", "tricks.dropblock.keep_prob"}
    assert epochs[0] == 0
    assert epochs[-1] == pytest.approx(10, abs=0.1)
    rate = values["optim.lr"]
    assert rate[0] == 0
    assert epochs[rate.argmax()] == pytest.approx(2, abs=0.1)
    assert rate[-1] < 1e-3
    np.testing.assert_allclose(values["tricks.mixup.alpha"], 5 * epochs / 10, rtol=1e-3)
    np.testing.assert_allclose(values["tricks.dropblock.keep_prob"], 1 - 0.01 * epochs, rtol=1e-3)


def test_the_preview_is_the_first_batch_of_the_training():
    plan = plan_of({})
    images, targets = preview(plan, 3)
    loader = plan.data.train_dataloader()
    loader.sampler.set_epoch(3)
    expected, labels, _ = next(iter(loader))
    assert torch.equal(images, expected)
    assert torch.equal(targets.argmax(1), labels)
    assert caption(targets[0], plan) == f"{int(labels[0])} 1.00"


def test_soft_labels_are_written_with_their_shares():
    plan = plan_of(TRICKS)
    first, last = (preview(plan, epoch)[1] for epoch in (0, 9))
    assert (first > 0.5).any(1).all(), "alpha is still 0"
    assert (last.sort(1).values[:, -2] > 0.2).any(), "alpha is nearly 5"
    target = torch.full((10,), 0.01)
    target[3], target[7] = 0.31, 0.61
    assert caption(target, plan) == "7 0.61\n3 0.31"


def test_files(tmp_path):
    files = draw(plan_of(TRICKS), str(tmp_path / "new"))
    assert [file.name for file in files] == ["schedule.png", "batch.png"]
    schedule, batch = (np.asarray(Image.open(file).convert("L")) for file in files)
    assert schedule.std() > 5, "an empty image"
    assert (batch < 30).mean() > 0.2, "the digits' black ground"


def test_without_matplotlib_it_says_what_to_install(tmp_path, monkeypatch):
    real = builtins.__import__

    def missing(name, *rest):
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(UserError, match="pip install"):
        draw(plan_of({}), str(tmp_path))
