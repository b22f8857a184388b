"""How fast a network is, and how much memory its tensors take. Shapes: images (B, 3, H, W), logits (B, K)."""

from __future__ import annotations

import statistics
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils._python_dispatch import TorchDispatchMode

from assemble.models.fold import Inference, fold, for_inference


@dataclass(frozen=True)
class Speed:
    """Times of one network's repeated passes over a batch."""

    batch_size: int
    seconds: Sequence[float]
    """Of one batch, a number for each round."""

    @property
    def throughputs(self) -> list[float]:
        """Images a second, a number for each round."""
        return [self.batch_size / seconds for seconds in self.seconds]

    @property
    def throughput(self) -> float:
        """Images a second, the median."""
        return statistics.median(self.throughputs)

    @property
    def latency(self) -> float:
        """Milliseconds of one batch, the median."""
        return 1000 * statistics.median(self.seconds)


def inference_pass(
    network: nn.Module, batch_size: int, image_size: int, dtype: torch.dtype = torch.float32
) -> Callable[[], object]:
    """Return one forward pass over a batch of noise as a call without arguments, where the network's weights are."""
    images = _noise(network, batch_size, image_size)
    fast = for_inference(network, dtype, image_size)
    return lambda: fast(images)


def training_pass(
    network: nn.Module, batch_size: int, image_size: int, dtype: torch.dtype = torch.float32
) -> Callable[[], object]:
    """Return one forward and backward pass with cross-entropy as a call without arguments.

    Another ``dtype`` than float32 is autocast's.
    """
    images = _noise(network, batch_size, image_size)
    network = network.to(memory_format=torch.channels_last).train()
    labels = torch.zeros(batch_size, dtype=torch.long, device=images.device)

    def step() -> None:
        network.zero_grad()
        with torch.autocast(images.device.type, dtype, enabled=dtype is not torch.float32):
            logits = network(images)
        F.cross_entropy(logits.float(), labels).backward()

    return step


def timed(run: Callable[[], object], device: torch.device, least: float = 0.2) -> Callable[[], float]:
    """Return a call that returns the seconds of one ``run``, the mean over so many that they take ``least`` seconds.

    Warms up first: libraries choose their algorithms in the first passes. On a CPU with one thread it is the time that
    this process had the processor, so that other programs do not count.
    """
    _seconds(run, device, 1)
    once = _seconds(run, device, 1)
    repeats = max(1, round(least / once))
    return lambda: _seconds(run, device, repeats)


def measure_speed(
    network: nn.Module,
    *,
    batch_size: int = 64,
    image_size: int = 224,
    dtype: torch.dtype = torch.float32,
    rounds: int = 5,
) -> Speed:
    """Measure the speed of a network in inference (`assemble.models.fold.for_inference`), on the device of its weights.

    The defaults are the protocol of Assemble-ResNet (arXiv 2001.06268): batches of 64 in float32.
    """
    once = timed(inference_pass(network, batch_size, image_size, dtype), _device(network))
    return Speed(batch_size, [once() for _ in range(rounds)])


def peak_memory(network: nn.Module, batch_size: int, image_size: int, dtype: torch.dtype = torch.float32) -> int:
    """Return the bytes of the weights and of the largest set of other tensors that are alive at once in inference.

    Counted on the meta device, so the same everywhere; libraries' workspaces and allocators' reserves come on top.
    """
    fast = Inference(fold(network, image_size), dtype).to("meta")
    images = torch.empty(batch_size, 3, image_size, image_size, device="meta").to(memory_format=torch.channels_last)
    with _Alive([images, *fast.parameters(), *fast.buffers()]) as alive:
        fast(images)
    return alive.peak


def training_memory(network: nn.Module, optimizer: Optimizer, batch_size: int, image_size: int) -> int:
    """Return the bytes of the largest set of tensors that are alive at once in training.

    Those are weights, gradients, the optimizer's moments, what the backward pass needs of the forward pass, and what
    both have in hand.

    Two float32 steps on the meta device, which compute nothing; libraries' workspaces, allocators' reserves and tricks
    outside of the network come on top. bf16-mixed and 16-mixed take less.

    Args:
        network: on the meta device.
        optimizer: of its parameters.
        batch_size: images that it sees at once.
    """
    images = torch.empty(batch_size, 3, image_size, image_size, device="meta")
    with _Alive([images, *network.parameters(), *network.buffers()]) as alive:
        for _ in range(2):  # the moments come with the first
            optimizer.zero_grad()
            logits = network.train()(images)
            F.cross_entropy(logits, torch.zeros_like(logits)).backward()
            optimizer.step()
    return alive.peak


class _Alive(TorchDispatchMode):
    """Adds up the bytes of these tensors and of those that operations make, for as long as something holds them."""

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        super().__init__()
        self.peak = self._now = 0
        self._known: set[int] = set()
        for tensor in tensors:
            self._watch(tensor.untyped_storage())

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in result if isinstance(result, tuple | list) else (result,):
            if isinstance(value, Tensor):
                self._watch(value.untyped_storage())
        self.peak = max(self.peak, self._now)
        return result

    def _watch(self, storage: torch.UntypedStorage) -> None:
        """Count a storage once, although views share it."""
        key, size = storage._cdata, storage.nbytes()
        if key not in self._known:
            self._known.add(key)
            self._now += size
            weakref.finalize(storage, self._freed, key, size)

    def _freed(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._now -= size


def _noise(network: nn.Module, batch_size: int, image_size: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(batch_size, 3, image_size, image_size, generator=generator)
    return noise.to(_device(network), memory_format=torch.channels_last)


def _device(network: nn.Module) -> torch.device:
    return next(network.parameters()).device


def _seconds(run: Callable[[], object], device: torch.device, repeats: int) -> float:
    alone = device.type == "cpu" and torch.get_num_threads() == 1
    clock = time.process_time if alone else time.perf_counter
    _finish(device)
    start = clock()
    for _ in range(repeats):
        run()
    _finish(device)
    return (clock() - start) / repeats


def _finish(device: torch.device) -> None:
    """Wait for what was only put into the device's queue."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
