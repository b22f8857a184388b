"""Times on a clock that the tests wind up, memory counted by hand."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from assemble import create_model
from assemble.models import throughput
from assemble.models.throughput import (
    Speed,
    inference_pass,
    measure_speed,
    peak_memory,
    timed,
    training_memory,
    training_pass,
)

CPU = torch.device("cpu")


def test_speed():
    speed = Speed(8, [1.0, 4.0, 2.0])
    assert speed.throughputs == [8, 2, 4]
    assert (speed.throughput, speed.latency) == (4, 2000)


@pytest.mark.parametrize(("threads", "expected"), [(1, 0.5), (2, 3.0)])
def test_timed_is_the_mean_of_one_run_after_the_warm_up(monkeypatch, threads, expected):
    """0.5 s on the processor, 3 s by the clock; what the first two runs take more does not count."""
    calls = []

    def clock(of_one: float):
        return lambda: of_one * len(calls) + (10 if len(calls) >= 2 else 0)

    fake = SimpleNamespace(process_time=clock(0.5), perf_counter=clock(3.0))
    monkeypatch.setattr(throughput, "time", fake)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    once = timed(lambda: calls.append(1), CPU, least=60)
    calls.extend([1] * 3)
    before = len(calls)
    assert once() == pytest.approx(expected)
    assert len(calls) > before


def test_measure_runs_the_network_and_leaves_it_as_it_is():
    network = create_model("tiny", num_classes=3).train()
    speed = measure_speed(network, batch_size=2, image_size=16, rounds=2)
    assert len(speed.throughputs) == 2
    assert min(speed.throughputs) > 0
    assert network.training
    assert any(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def test_passes():
    network = create_model("tiny", num_classes=3)
    logits = inference_pass(network, 2, 16)()
    assert isinstance(logits, torch.Tensor)
    assert logits.shape == (2, 3)
    training_pass(network, 2, 16, torch.bfloat16)()
    assert all(parameter.grad is not None for parameter in network.parameters())


class Wide(nn.Module):
    """Three maps alive at once at most, of 4, 4 and 8 channels; then one of 8 and logits."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 1, bias=False), nn.Conv2d(4, 4, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        return torch.cat((x, self.second(x)), 1).relu_().flatten(2).sum(2)


@pytest.mark.parametrize(("dtype", "width"), [(torch.float32, 4), (torch.bfloat16, 2)])
def test_memory_by_hand(dtype, width):
    side, batch = 8, 2
    weights, map_of = (3 * 4 + 4 * 4) * width, side * side * batch
    images = 3 * map_of * (4 if width == 4 else 4 + width)  # float32, and a copy in another precision
    assert peak_memory(Wide(), batch, side, dtype) == weights + images + (4 + 4 + 8) * map_of * width


def test_memory_of_weights_and_of_batches():
    network = create_model("resnet50", num_classes=10, width=8)
    one, two, three = (peak_memory(network, batch, 64) for batch in (1, 2, 3))
    assert three - two == two - one > 0
    parameters = sum(p.nbytes for p in network.parameters())
    assert 0.9 * parameters < one - (two - one) < 1.1 * parameters


def bytes_of_training(layers: int = 1, **settings: float) -> int:
    """Of a 1x1 convolution from 3 to 4 channels and so many further layers, with 2 images of 8x8."""
    with torch.device("meta"):
        network = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), *(nn.Tanh() for _ in range(layers)), nn.Flatten())
    return training_memory(network, torch.optim.SGD(network.parameters(), 0.1, **settings), 2, 8)


def test_training_memory_by_hand():
    weights, maps, images = 4 * 12, 4 * 2 * 4 * 64, 4 * 2 * 3 * 64
    assert bytes_of_training(momentum=0.9) - bytes_of_training() == weights
    assert bytes_of_training(3) - bytes_of_training(2) == maps  # each tanh keeps its result for the backward pass
    # Backwards at the tanh: weights, images, its result (logits by another name), their logarithm, and two gradients.
    assert bytes_of_training() >= weights + images + 4 * maps
    assert bytes_of_training() < weights + images + 6 * maps
