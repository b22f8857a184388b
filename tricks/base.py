"""What a trick is: a frozen dataclass of parameters that says by its base classes what it changes.

A trick is one file in this folder. Its dataclass is at once the Hydra config (typed, with its defaults) and the object
that acts; ``@register`` makes it selectable under the file's name. A class may have several bases.

| base            | hook                               | acts on                                        |
|-----------------|------------------------------------|------------------------------------------------|
| `ModelTrick`    | `convert(spec) -> spec`            | the frozen spec, before anything is built      |
| `DataTrick`     | `transforms() -> {place: fn}`      | one picture, in the loader's workers           |
| `BatchTrick`    | `mix(images, targets, rng)`        | one batch on the device, with dense targets    |
| `LossTrick`     | `targets(targets)`                 | the dense targets the loss compares with       |
| `CallbackTrick` | `callbacks() -> [Callback]`        | the run                                        |

Shapes: images (B, 3, H, W), targets (B, K) rows that sum to one, logits (B, K).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from pytorch_lightning import Callback
    from torch import Tensor

    from models.spec import Spec

TRICKS: dict[str, type[Trick]] = {}
"""Every registered trick, by name. Filled by importing the files of this folder (`tricks.load`)."""

T = TypeVar("T", bound="type[Trick]")


def register(cls: T) -> T:
    """Make the dataclass ``cls`` selectable as ``+tricks=[<file name>]`` (`core.register` tells Hydra)."""
    cls.name = cls.__module__.rpartition(".")[2]
    TRICKS[cls.name] = cls
    return cls


@dataclass(frozen=True)
class Trick(ABC):
    """Base of all tricks. Parameters are checked in ``__post_init__``; raise `UserError` there."""

    name: ClassVar[str]
    order: ClassVar[int] = 50
    """Tricks act in ascending (order, name), whatever order the user listed them in."""
    yields_to: ClassVar[Mapping[str, str]] = {}
    """Tricks beside which this one changes nothing in the network, each with the reason (shown by ``explain``)."""
    needs: ClassVar[Mapping[str, str]] = {}
    """Tricks that must be selected as well, each with the reason."""
    conflicts: ClassVar[Mapping[str, str]] = {}
    """Tricks that cannot be selected together with this one, each with the reason."""


class ModelTrick(Trick):
    """Edits the spec of the network before anything is built, never a live model."""

    @abstractmethod
    def convert(self, spec: Spec) -> Spec:
        """The spec with this trick in it. Raise `UserError` where the network has no place for it."""


class DataTrick(Trick):
    """Works on single pictures in the loader's workers."""

    @abstractmethod
    def transforms(self) -> Mapping[str, Callable[[Any, np.random.Generator], Any]]:
        """Functions by place: ``augment`` takes a uint8 picture (H, W, 3) after crop and flip, and its generator."""


class BatchTrick(Trick):
    """Mixes a batch on the device."""

    @property
    def images_per_target(self) -> int:
        """Pictures the loader must draw for each picture the network sees (2 for the official mixup)."""
        return 1

    def check_batch(self, size: int) -> None:
        """Raise `UserError` where batches of ``size`` pictures (per device and accumulation step) cannot be mixed."""

    @abstractmethod
    def mix(self, images: Tensor, targets: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Images (N, 3, H, W) float and targets (N, K) -> the same kinds with B = N / images_per_target rows."""


class LossTrick(Trick):
    """Shapes what the loss compares the logits with."""

    @abstractmethod
    def targets(self, targets: Tensor) -> Tensor:
        """Dense targets (B, K) -> dense targets (B, K). Training only."""


class CallbackTrick(Trick):
    """Acts over the run."""

    @abstractmethod
    def callbacks(self) -> Sequence[Callback]:
        """Fresh Lightning callbacks for one run."""
