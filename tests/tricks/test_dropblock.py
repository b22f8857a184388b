"""DropBlock against the official code's numbers, and the keep probability over a run."""

import pytest
import torch
from pytorch_lightning import Trainer

from assemble import create_model
from assemble.models.families import spec_of
from assemble.models.spec import Site
from assemble.planning.resolve import resolve
from assemble.schema import OptimConfig
from lit_modules.callbacks import MovingStrengths
from lit_modules.classifier import Classifier
from lit_modules.schedule import Schedule
from tests.helpers import official
from tricks.dropblock import DropBlock, DropBlockTrick, drop_block

V = official.values()
CASES = sorted({k.split("/")[1] for k in V if k.startswith("dropblock/")})


@pytest.mark.parametrize("case", CASES)
def test_official_values(case):
    x, uniform, expected = (official.nchw(V[f"dropblock/{case}/{part}"]) for part in ("input", "uniform", "output"))
    _, scale, keep = case.split("_")
    ours = drop_block(x, float(keep.removeprefix("kp")), 7, float(scale.removeprefix("scale")), uniform)
    assert official.relative_error(ours, expected) < 1e-5
    as_tensor = drop_block(x, torch.tensor(float(keep[2:])), 7, float(scale[5:]), uniform)
    assert official.relative_error(as_tensor, expected) < 1e-5


def test_the_cases_drop_something():
    assert len(CASES) == 3
    assert sum(bool((V[f"dropblock/{case}/output"] == 0).any()) for case in CASES) >= 2


def test_keep_prob_one_is_the_identity():
    x = torch.randn(2, 3, 9, 9)
    torch.testing.assert_close(drop_block(x, 1.0), x, rtol=1e-6, atol=0)
    torch.testing.assert_close(drop_block(x, 0.5, scale=0.0), x, rtol=1e-6, atol=0)


def test_evaluation_is_the_identity():
    layer, x = DropBlock(0.1, 3, 1.0), torch.ones(2, 4, 9, 9)
    assert layer.eval()(x) is x
    assert (layer.train()(x) == 0).any()


@pytest.mark.parametrize("block", [1, 2, 3, 4])
def test_one_seed_drops_one_square(block):
    """A seed at (i, j) stands for the square with its first pixel there; odd and even sides alike."""
    uniform = torch.ones(1, 1, 9 - block, 8 - block)
    uniform[0, 0, 2, 1] = 0
    y = drop_block(torch.ones(1, 1, 8, 7), 0.999, block, 1.0, uniform)
    expected = torch.ones(8, 7)
    expected[2 : 2 + block, 1 : 1 + block] = 0
    torch.testing.assert_close(y[0, 0], expected * 56 / (56 - block**2))


def test_one_mask_for_all_images_its_own_for_each_channel():
    torch.manual_seed(0)
    y = drop_block(torch.ones(4, 16, 12, 12), 0.7, 3)
    assert (y == y[:1]).all()
    assert len({tuple(c.flatten().tolist()) for c in y[0]}) > 8


def test_the_mean_is_kept_and_the_share_of_dropped_pixels_is_about_right():
    torch.manual_seed(0)
    y = drop_block(torch.ones(1, 2000, 14, 14), 0.9, 7)
    assert float(y.mean()) == pytest.approx(1, abs=1e-4)
    # Expected share of pixels outside every seed's square, from gamma of the paper (eq. 1) and the valid seeds.
    gamma = 0.1 * 14 * 14 / 7**2 / 8**2
    seeds = [min(i, 7) - max(i - 6, 0) + 1 for i in range(14)]
    expected = sum((1 - gamma) ** (a * b) for a in seeds for b in seeds) / 14**2
    assert float((y > 0).float().mean()) == pytest.approx(expected, abs=0.01)


def test_a_block_larger_than_the_map_takes_the_smaller_side():
    """As documented; a 3x5 map with block 7 drops 3x3 squares, and a 1x1 map whole channels."""
    uniform = torch.ones(1, 1, 1, 3)
    uniform[..., 2] = 0
    y = drop_block(torch.ones(1, 1, 3, 5), 0.9, 7, 1.0, uniform)
    torch.testing.assert_close(y[0, 0, 0], torch.tensor([1, 1, 0, 0, 0]) * 15 / 6)
    torch.manual_seed(0)
    y = drop_block(torch.ones(1, 4000, 1, 1), 0.9, 7)
    assert float((y == 0).float().mean()) == pytest.approx(0.1, abs=0.02)


def test_gradient_flows_through_kept_pixels_only():
    torch.manual_seed(0)
    x = torch.randn(1, 8, 9, 9, requires_grad=True)
    y = drop_block(x, 0.8, 3)
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad != 0, y != 0)


# --- where, and when


@pytest.mark.parametrize("tricks", [{}, {"sk": {}}, {"big_little": {}}])
def test_sites(tricks):
    """After every batch norm of the blocks of stages 3 and 4 and of their shortcuts, scales 0.25 and 1 (FACTS A.10)."""
    with torch.device("meta"):
        model = create_model("resnet50", {"dropblock": {}, **tricks})
    for stage in (1, 2, 3, 4):
        layer = getattr(model, f"layer{stage}")
        drops = [m for m in layer.modules() if isinstance(m, DropBlock)]
        block_count = sum(hasattr(m, "conv3") for m in layer.modules())
        shortcuts = sum(getattr(m, "downsample", None) is not None for m in layer.modules())
        assert len(drops) == (3 * block_count + shortcuts if stage in (3, 4) else 0)
        assert {d.scale for d in drops} == ({0.25} if stage == 3 else {1.0} if stage == 4 else set())
    assert "keep_prob" not in " ".join(model.state_dict())


def test_stage_scales_count_from_the_last_stage():
    trick = DropBlockTrick(stage_scales=(0.5, 0.0, 2.0))
    layers = [trick._after_norm(Site(stage, 4, 1.0)) for stage in (1, 2, 3, 4)]
    assert [getattr(layer, "scale", None) for layer in layers] == [None, 0.5, None, 2.0]


def test_official_keep_probability(monkeypatch):
    """Through the callback that sets it, with the run's own number of steps."""
    schedule = Schedule("cosine", 1_281_167 / 1024, 120, 5)
    model = resolve([DropBlockTrick(block_size=3)], spec_of("resnet20", num_classes=4, width=4)).spec.build()
    module = Classifier(model, num_classes=4, optim=OptimConfig(), schedule=schedule)
    callback = MovingStrengths([DropBlockTrick()])
    layers = [m for m in model.modules() if isinstance(m, DropBlock)]
    assert layers
    for step, expected in official.load("schedules")["keep_prob"].items():
        monkeypatch.setattr(Classifier, "global_step", int(step))
        callback.on_train_batch_start(Trainer, module, None, 0)
        assert [float(layer.keep_prob) for layer in layers] == pytest.approx([expected] * len(layers), abs=1e-5)


def test_the_network_starts_with_the_first_keep_probability():
    trick = DropBlockTrick(keep_prob={"from": 0.9, "to": 0.7})
    layer = trick._after_norm(Site(4, 4, 1.0))
    assert float(layer.keep_prob) == pytest.approx(0.9)
    for progress, expected in ((0.0, 0.9), (0.5, 0.8), (1.0, 0.7)):
        trick.at(progress).update(layer)
        assert float(layer.keep_prob) == pytest.approx(expected)
