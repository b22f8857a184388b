"""What a trick is: a frozen dataclass of parameters that says by its base classes what it changes.

A trick is one file in this folder. Its dataclass is at once the Hydra config (typed, with its defaults) and the object
that acts; ``@register`` makes it selectable under the file's name. A class may have several bases.

| base            | hooks                                             | acts on                                        |
|-----------------|---------------------------------------------------|------------------------------------------------|
| `ModelTrick`    | `convert(spec)`, `update(network)`                | the frozen spec, before anything is built      |
| `DataTrick`     | `augment`, `finish`, `size`, `repeats`, `views`   | one image in the loader's workers              |
|                 | `drawn(labels, rng)`                              | which images an epoch draws, and when          |
|                 | `mirrored(epoch, index, seed)`                    | which images are mirrored                      |
|                 | `on_device(images, rng)`                          | the batch, normalised, on the device           |
|                 | `data_settings(data)`                             | the configuration's ``data``, before any use   |
| `BatchTrick`    | `mix(images, targets, rng)`                       | one batch on the device, with dense targets    |
| `LossTrick`     | `targets`, `loss`, `companion`, `term`, ...       | what the logits are compared with, and how     |
| `OptimTrick`    | `settings(optim)`, `wrap(optimizer, network)`     | the optimizer                                  |
| `CallbackTrick` | `callbacks()`                                     | the run                                        |

Shapes: images (B, 3, H, W), targets (B, K) rows that sum to one, logits (B, K); N images are drawn for B that the
network sees, in V views each (1 but for consistency losses).

A parameter that is a *strength* may move during training: it is declared ``alpha: Strength = strength(0.2)`` and given
as a number or as ``{from: 0, to: 0.2}`` (`Ramp`). The object that acts is `Trick.at`, with plain numbers.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeVar, get_origin, get_type_hints

from assemble.bounds import Bounds, check_bounds
from assemble.errors import UserError, require
from assemble.suggest import suggest

if TYPE_CHECKING:
    import numpy as np
    from pytorch_lightning import Callback
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from assemble.models.spec import Spec
    from assemble.schema import Config, DataConfig, OptimConfig

    Strength = float
else:
    Strength = Any  # for OmegaConf, whose float fields take no mapping; `_strength` checks what is given

TRICKS: dict[str, type[Trick]] = {}
"""Every registered trick, by name. Filled by importing the files of this folder (`tricks.load`)."""

T = TypeVar("T", bound="type[Trick]")

Companion = Callable[["Tensor", "Tensor"], "Tensor"]
"""Normalised images (N, 3, H, W) and their positions in the training set (N,), on the host -> targets (N, K)."""


def register(cls: T) -> T:
    """Make the dataclass ``cls`` selectable as ``+tricks=[<file name>]`` (`assemble.config.register` tells Hydra)."""
    cls.name = cls.__module__.rpartition(".")[2]
    TRICKS[cls.name] = cls
    return cls


class TrainingData(Protocol):
    """What a trick may ask of the data that a run trains on."""

    source: Any
    """An `assemble.data.splits.Source`."""
    num_classes: int
    train_size: int
    eval_batch: int

    @property
    def view_as_scored(self) -> str: ...
    def train_set_as_scored(self, size: int) -> Any:
        """Return the training images as they are scored, at ``size`` pixels (`assemble.data.splits.EvalSet`)."""
        ...

    def loader(self, images: Any, batches: Sequence[Sequence[int]]) -> Any:
        """Return batches (images, labels) of those positions."""
        ...


class PlannedRun(Protocol):
    """What a trick may ask of the run that it is part of, before it begins."""

    @property
    def cfg(self) -> Config: ...
    @property
    def spec(self) -> Spec:
        """The network with all tricks in it."""
        ...

    @property
    def num_classes(self) -> int: ...
    @property
    def steps_per_epoch(self) -> int | None: ...
    @property
    def data(self) -> TrainingData | None: ...
    @property
    def class_counts(self) -> np.ndarray:
        """Training images of each class (K,)."""
        ...


@dataclass(frozen=True)
class Ramp:
    """A strength that moves linearly from ``start`` to ``end`` while training goes from ``begin`` to ``finish``.

    On the command line and in recipes: ``{from: 0, to: 0.2, begin: 0, end: 1, stages: 4}``; the last three may be left
    out. ``begin`` and ``end`` are shares of the training. With ``stages`` the strength climbs in that many equal steps,
    from ``from`` in the first to ``to`` in the last (EfficientNetV2, arXiv 2104.00298, section 4.2).
    """

    KEYS: ClassVar = {"from": "start", "to": "end", "begin": "begin", "end": "finish", "stages": "stages"}

    start: float
    end: float
    begin: float = 0.0
    finish: float = 1.0
    stages: int = 0

    def at(self, progress: float) -> float:
        """Return the strength when ``progress`` (0 to 1) of the training is over."""
        share = min(max((progress - self.begin) / (self.finish - self.begin), 0.0), 1.0)
        if self.stages > 1:
            stage = int(share * self.stages + 1e-9)  # a share of 0.4999999999999999 is a half, where a stage begins
            share = min(stage, self.stages - 1) / (self.stages - 1)
        return self.start + (self.end - self.start) * share

    def __repr__(self) -> str:
        window = "" if (self.begin, self.finish) == (0, 1) else f" from {self.begin:.0%} to {self.finish:.0%} of it"
        steps = f" in {self.stages} stages" if self.stages else ""
        return f"{self.start:g} to {self.end:g} over training{steps}{window}"


def strength(
    default: float | Mapping[str, float],
    *,
    neutral: float | None = None,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
) -> Any:
    """Make a field for a strength.

    Args:
        default: a number, or the mapping of a `Ramp`.
        neutral: where the trick does nothing, so that a constant of that value is refused.
        least, above, most, below: its range, at both ends of the training (`assemble.bounds`).
    """
    metadata = {"strength": True, "neutral": neutral, "bounds": Bounds(least, above, most, below)}
    if isinstance(default, Mapping):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Trick(ABC):
    """Base of all tricks."""

    name: ClassVar[str]
    order: ClassVar[int] = 50
    """Tricks act in ascending (order, name), whatever order the user listed them in."""
    yields_to: ClassVar[Mapping[str, str]] = {}
    """Tricks beside which this one changes nothing in the network, each with the reason (shown by ``explain``)."""
    needs: ClassVar[Mapping[str, str]] = {}
    """Tricks that must be selected as well, each with the reason."""
    conflicts: ClassVar[Mapping[str, str]] = {}
    """Tricks that cannot be selected together with this one, each with the reason."""

    def __post_init__(self) -> None:
        self._take_plain_types()
        for f in (f for f in fields(self) if f.metadata.get("strength")):
            value = _strength(f"tricks.{self.name}.{f.name}", getattr(self, f.name))
            object.__setattr__(self, f.name, value)
            ends = {value.start, value.end} if isinstance(value, Ramp) else {value}
            if ends == {f.metadata["neutral"]}:
                raise UserError(f"tricks.{self.name}.{f.name}={value} does nothing: choose another, or drop the trick")
        for moment in (self.at(0.0), self.at(1.0)):
            check_bounds(moment, f"tricks.{self.name}.")
            moment.check()

    def _take_plain_types(self) -> None:
        """Take names for enums and lists for tuples, which is what YAML and callers from Python give."""
        hints = get_type_hints(type(self))
        for f in fields(self):
            hint, value = hints[f.name], getattr(self, f.name)
            if isinstance(hint, type) and issubclass(hint, Enum):
                object.__setattr__(self, f.name, hint(value))
            elif get_origin(hint) is tuple and isinstance(value, list):
                object.__setattr__(self, f.name, tuple(value))

    def check(self) -> None:  # noqa: B027 - most tricks have nothing to check
        """Raise `UserError` where parameters make no sense together: plain numbers here, each within its range."""

    def __str__(self) -> str:
        """Return name and parameters, as a user would write them."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        shown = ", ".join(f"{key}={v.value if isinstance(v, Enum) else v}" for key, v in values.items())
        return f"{self.name}({shown})"

    def check_run(self, run: PlannedRun) -> None:  # noqa: B027 - most tricks go with any run
        """Raise `UserError` where this run is none for the trick (``run.data`` is None if only explained)."""

    @cached_property
    def ramps(self) -> dict[str, Ramp]:
        """The strengths that move. Looked for once: hooks ask for every image and every step."""
        return {f.name: value for f in fields(self) if isinstance(value := getattr(self, f.name), Ramp)}

    def at(self, progress: float) -> Self:
        """Return this trick as it is when ``progress`` (0 to 1) of the training is over: every strength a number."""
        ramps = self.ramps
        if not ramps:
            return self
        moment = copy.copy(self)
        object.__setattr__(moment, "ramps", {})
        for name, ramp in ramps.items():
            object.__setattr__(moment, name, ramp.at(progress))
        return moment


def _strength(key: str, value: Any) -> float | Ramp:
    """Return a number, or the `Ramp` that a mapping describes.

    Raises:
        UserError: neither.
    """
    if isinstance(value, Ramp):
        return value
    parts = value if isinstance(value, Mapping) else {"": value}
    for name, number in parts.items():
        if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
            where = f"{key}.{name}" if name else key
            raise UserError(f"{where}: '{number}' is not a number (a strength is a number or {{from: .., to: ..}})")
    if not isinstance(value, Mapping):
        return value
    for name in value:
        if name not in Ramp.KEYS:
            raise UserError(suggest(f"key of {key}", str(name), Ramp.KEYS))
    if "from" not in value or "to" not in value:
        raise UserError(f"{key}: a strength that moves has both ends: {{from: .., to: ..}}")
    ramp = Ramp(**{Ramp.KEYS[name]: number for name, number in value.items()})
    require(
        (0 <= ramp.begin < ramp.finish <= 1, f"{key}: begin and end are rising shares of the training, 0 to 1"),
        (ramp.stages == int(ramp.stages) >= 0, f"{key}.stages must be a whole number"),
    )
    return ramp


class ModelTrick(Trick):
    """Edits the spec of the network before anything is built, never a live model."""

    @abstractmethod
    def convert(self, spec: Spec) -> Spec:
        """Return the spec with this trick in it.

        Raises:
            UserError: the network has no place for it.
        """

    def update(self, network: nn.Module) -> None:
        """Give the live network the strengths of this moment.

        Called before each step where a strength moves.
        """
        raise NotImplementedError(f"{self.name} has strengths and must say how a built network takes them")


class DataTrick(Trick):
    """Works on images before they are mixed. Two tricks cannot override the same hook of this class."""

    @property
    def repeats(self) -> int:
        """Appearances of each chosen image in a global batch, each augmented on its own."""
        return 1

    @property
    def views(self) -> int:
        """V: images that `augment` makes of one."""
        return 1

    def data_settings(self, data: DataConfig) -> DataConfig:
        """Return the ``data`` part of the configuration with this trick in it (a new object).

        The stem does not follow it.
        """
        return data

    def size(self, size: int) -> int:
        """Return the side of the training images in pixels; ``size`` is that of the configuration."""
        return size

    def smallest(self, size: int) -> int:
        """Return the shortest side that `on_device` may leave of images of ``size`` pixels."""
        return size

    def drawn(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the images of one pass over the training set, by position, in the order in which they are drawn.

        An image may come several times, each augmented on its own, or not at all.

        Args:
            labels: of all training images (L,).
            rng: of this epoch; of the stream of second images, too, where two are drawn for each one mixed.

        Returns:
            L positions.
        """
        return rng.permutation(len(labels))

    def mirrored(self, epoch: int, index: int, seed: int) -> bool:
        """Return whether an image, by its position, is mirrored in an epoch, in the place of ``data.flip``."""
        raise NotImplementedError

    def augment(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Change one image in a loader's worker, after crop and flip: uint8 (H, W, 3) -> the same, or (V, H, W, 3)."""
        return image

    def finish(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Change one image in a loader's worker, after `augment`: uint8 (H, W, 3) -> the same; several tricks may."""
        return image

    def on_device(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """Change normalised images (N, 3, H, W) -> the same, or all of them with fewer rows and columns."""
        return images


class BatchTrick(Trick):
    """Mixes a batch on the device. Of several, one acts on each batch, by their shares (`lit_modules.turns`)."""

    share: float = 1.0
    """Share of the batches that it mixes, a strength where it is a parameter."""

    @property
    def images_per_target(self) -> int:
        """Images the loader must draw for each image the network sees (2 for the official mixup)."""
        return 1

    def drawing(self, images_per_target: int) -> Self:
        """Return this trick as it is beside one that wants so many, where its own parameters leave that open."""
        return self

    def check_batch(self, size: int) -> None:
        """Raise `UserError` where batches of ``size`` images (per device and accumulation step) cannot be mixed."""

    @abstractmethod
    def mix(self, images: Tensor, targets: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Mix images (N, C, H, W) float and targets (N, K) -> the same kinds with B = N / images_per_target rows.

        Rows are mixed linearly, whole: C may be several views of three channels, K several distributions in a row.
        """


class LossTrick(Trick):
    """Shapes what the loss compares the logits with, and how. Two tricks cannot both override `loss`."""

    def prepared(self, run: PlannedRun) -> Self:
        """Return this trick with what it takes from the run, such as ``run.class_counts``. Once, before training."""
        return self

    def targets(self, targets: Tensor) -> Tensor:
        """Change dense targets (B, K), mixed already -> dense targets (B, K).

        Training only.
        """
        return targets

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss itself, a number, in the place of cross-entropy: logits and targets (B, K)."""
        raise NotImplementedError

    @property
    def label_weight(self) -> float:
        """What the loss against the labels is multiplied by, before terms are added."""
        return 1.0

    @property
    def sees_mixed(self) -> bool:
        """Whether `companion` is shown images that are mixed already."""
        return False

    def companion(self, run: PlannedRun) -> Companion | None:
        """Make targets of its own for each image, once before training.

        They are mixed as the labels are, but for those of images that were mixed before (`sees_mixed`).

        Raises:
            UserError: it cannot be had for this run.
        """
        return None

    def term(self, logits: Tensor, companion: Tensor | None) -> Tensor | None:
        """Return a number that is added to the loss.

        Args:
            logits: (V, B, K), of all views.
            companion: the targets (B, K) of `companion`, mixed.
        """
        return None

    def feature_term(self, features: Tensor, logits: Tensor, targets: Tensor) -> Tensor | None:
        """Return a number that is added to the loss, of what the classifier is given and what is right.

        Args:
            features: (V, B, C), of all views.
            logits: (V, B, K).
            targets: dense targets (B, K), mixed and shaped.
        """
        return None


class OptimTrick(Trick):
    """Changes how the weights are updated. Two tricks cannot both override `settings`."""

    def settings(self, optim: OptimConfig) -> OptimConfig:
        """Return the ``optim`` part of the configuration with this trick in it (a new object)."""
        return optim

    def wrap(self, optimizer: Optimizer, network: nn.Module) -> Optimizer:
        """Wrap something around the optimizer of ``network`` (`lit_modules.optimizer_wrapper`).

        Several wrap in the tricks' order.
        """
        return optimizer


class CallbackTrick(Trick):
    """Acts over the run."""

    @abstractmethod
    def callbacks(self) -> Sequence[Callback]:
        """Return fresh Lightning callbacks for one run."""


EXCLUSIVE: dict[type[Trick], tuple[str, ...]] = {
    DataTrick: ("data_settings", "repeats", "drawn", "views", "size", "mirrored", "augment"),
    LossTrick: ("loss",),
    OptimTrick: ("settings",),
}
"""Hooks that only one trick of a run may fill."""


def hooks_of(trick: Trick) -> list[str]:
    """Return the exclusive hooks that a trick fills."""
    return [
        hook
        for base, hooks in EXCLUSIVE.items()
        if isinstance(trick, base)
        for hook in hooks
        if getattr(type(trick), hook) is not getattr(base, hook)
    ]
