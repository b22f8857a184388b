"""Any network of timm's, by timm's name, and the places in it that can be filled exactly.

* `before_classifier`: in front of the linear layer that timm calls the classifier.
* `branch`: where timm has its DropPath, and as deep as timm counts it: block i of n, from 0, is skipped with i / n of
  the rate in EfficientNets (as in their official code), with i / (n - 1) elsewhere. The stages are not told.
* `downsample`: in networks of timm's EfficientNet class, behind the activation of each strided convolution of a block.
* `downsample`, `attention` and `after_norm`: in its ResNets (`assemble.models.timm_resnet`).

timm has options for some of the other places in some networks, but what they build is not what the tricks say they do,
so these places are not there. State_dict keys are timm's.
"""

from __future__ import annotations

import difflib
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from assemble.errors import UserError
from assemble.models import timm_resnet
from assemble.models.catalogue import TimmEntry
from assemble.models.classifier import classifiers
from assemble.models.spec import Site, Spec, check_norm
from assemble.suggest import suggest

PROBE = 0.5
"""Rate at which timm is asked for its DropPath modules: what it gives each is PROBE times the depth of its block."""
FILLED = ("branch", "downsample", "attention", "after_norm", "before_classifier")
"""The places that some network of timm's has."""
UNFIT = (AssertionError, RuntimeError, TypeError, ValueError, ZeroDivisionError)
"""What timm's code meets in options that a network does not take, or images of a size that is not for it."""


class Source(Protocol):
    """Where a network comes from: hashable, and told apart by all that makes the network."""

    @property
    def label(self) -> str:
        """What messages call it."""
        ...

    @property
    def fixed_size(self) -> int | None:
        """The one side in pixels of its images; None: any."""
        ...

    def create(self, **options: Any) -> nn.Module:
        """Build the network with random weights. ``options`` are those of timm's class."""
        ...


@dataclass(frozen=True)
class Named:
    """A network by timm's name, built for images of ``image_size`` where it has one size only."""

    label: str
    image_size: int | None
    args: tuple[tuple[str, Any], ...] = ()
    """Options of timm's class, the user's."""

    @property
    def fixed_size(self) -> int | None:
        cfg = self._cfg
        return (self.image_size or cfg.input_size[-1]) if cfg.fixed_input_size else None

    @property
    def _cfg(self) -> Any:
        import timm

        check_name(self.label)
        return timm.get_pretrained_cfg(self.label)

    def create(self, **options: Any) -> nn.Module:
        import timm

        if self.fixed_size not in (None, self._cfg.input_size[-1]):
            options["img_size"] = self.fixed_size
        return timm.create_model(self.label, **{**dict(self.args), **options})


@dataclass(frozen=True)
class TimmSpec(Spec):
    """A network of timm's, not built yet."""

    model: str = ""
    """timm's name."""
    image_size: int | None = None
    """Side of the images for which a network of fixed input size is built; None: timm's."""
    residual: bool = True
    branch: Callable[[Site], nn.Module | None] | None = None
    """What a residual branch passes right before the addition."""
    downsample: Callable[[int, int], nn.Module] | None = None
    """(channels, stride) -> what halves H, W behind a convolution that then has stride 1."""
    attention: Callable[[int], nn.Module] | None = None
    """(channels) -> re-weighting of a block's output, behind its last batch norm."""
    after_norm: Callable[[Site], nn.Module | None] | None = None
    """What follows each batch norm of a block (in the shortcut too), before the activation."""
    bn_momentum: float | None = None
    bn_eps: float | None = None
    args: Mapping[str, Any] = field(default_factory=dict)
    """``model.args``: options of timm's class."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.branch and "drop_path_rate" in self.args:
            raise UserError("model.args.drop_path_rate and a trick both change the branch: drop one of them")
        if "num_classes" in self.args:
            raise UserError("model.args.num_classes: the outputs are model.num_classes=K")
        chosen = {"momentum": self.bn_momentum, "eps": self.bn_eps}
        check_norm(**{key: value for key, value in chosen.items() if value is not None})
        anatomy = self.anatomy
        if self.source.fixed_size:
            self._check_runs(self.source.fixed_size)
        for place in FILLED:
            if getattr(self, place) and place not in anatomy.places:
                raise self.lacks(place)
        if any(value is not None for value in chosen.values()) and not anatomy.batch_norm:
            raise UserError(f"{self.name} has no batch norm: leave model.bn_momentum and model.bn_eps out")

    @property
    def anatomy(self) -> Anatomy:
        """What timm's network is made of."""
        return _anatomy(self.source)

    @property
    def source(self) -> Source:
        """What builds it."""
        return Named(self.model, self.image_size, tuple((key, _hashable(value)) for key, value in self.args.items()))

    @property
    def stride(self) -> int:
        return self.anatomy.stride

    @property
    def places(self) -> dict[str, Any]:
        return {place: filling for place, filling in super().places.items() if place in self.anatomy.places}

    def check_size(self, size: int) -> None:
        fixed = self.source.fixed_size
        if fixed and size != fixed:
            raise UserError(
                f"{self.name} takes images of one size, here data.image_size={fixed}, and none of {size}x{size}: set "
                "data.eval_size to null, and drop the tricks that change the size"
            )
        super().check_size(size)
        self._check_runs(size)

    def _check_runs(self, size: int) -> None:
        """Raise `UserError` where a forward pass (of shapes alone) fails."""
        reason = _reason_not_to_run(self.source, size)
        if reason and size % self.stride:
            below = size - size % self.stride
            reason = f"take a multiple of {self.stride}, such as {below} or {below + self.stride}"
        if reason:
            raise UserError(f"{self.name} cannot take images of {size}x{size} pixels: {reason}")

    def build(self) -> nn.Module:
        options: dict[str, Any] = {"num_classes": self.num_classes}
        if self.branch:
            options["drop_path_rate"] = PROBE
        inside = {place: getattr(self, place) for place in self.anatomy.inside}
        if self.downsample and "downsample" not in inside:
            options["aa_layer"] = self.downsample
        network = _create(self.source, **options)
        if any(inside.values()):
            timm_resnet.fill(network, **inside)
        if self.branch:
            for parent, key, depth in _drop_paths(network):
                setattr(parent, key, self.branch(Site(1, 1, depth)) or nn.Identity())
        if self.before_classifier:
            BeforeClassifier(network, self.before_classifier())
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.momentum, module.eps = self.bn_momentum or module.momentum, self.bn_eps or module.eps
        return network


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list) else value


def timm_spec(entry: TimmEntry, **fields: Any) -> TimmSpec:
    """Return the spec of a catalogue entry, or of a bare name of timm's."""
    return TimmSpec(**{"model": entry.model, "bn_momentum": entry.bn_momentum, "bn_eps": entry.bn_eps, **fields})


def check_name(name: str) -> None:
    """Raise `UserError` where timm has no model of that name."""
    import timm

    if not name:
        raise UserError("model=timm needs model.name=NAME, one of timm.list_models()")
    if not timm.is_model(name):
        close = difflib.get_close_matches(name, timm.list_models(), n=3)
        raise UserError(f"timm has no model '{name}'." + (f" Did you mean {' or '.join(close)}?" if close else ""))


def check_pretrained(name: str) -> None:
    """Raise `UserError` where timm has no model, tag or pretrained weights of that name; asks no network."""
    import timm

    check_name(name)
    model, _, tag = name.partition(".")
    tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{model}.*")]
    if not tags:
        raise UserError(f"timm has no pretrained weights of {model}: name a file with model.checkpoint=FILE")
    if tag and tag not in tags:
        raise UserError(suggest(f"tag of timm's {model}", tag, tags))


def pretrained(name: str) -> nn.Module:
    """Build a network of timm's with its pretrained weights, which are downloaded, or come from timm's cache.

    Raises:
        UserError: they cannot be had.
    """
    import timm

    check_name(name)
    try:
        return timm.create_model(name, pretrained=True)
    except Exception as error:  # of timm, the hub's client or the network: whatever it is, the remedy is the same
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"the pretrained weights of timm:{name} cannot be had ({reason}): take them from a file with "
            f"timm:{name}@WEIGHTS.safetensors"
        ) from error


def converted(network: nn.Module, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Return the weights after timm's own conversion for a network of timm's.

    It interpolates positions to another image size, and translates names of the authors' checkpoints. The weights stay
    as they are where timm has no conversion, or it fails.
    """
    convert = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
    if not type(network).__module__.startswith("timm.") or convert is None:
        return state
    try:
        with warnings.catch_warnings(action="ignore"):
            return convert(dict(state), network)
    except Exception:  # what its code meets in weights of something else: that they do not fit is said elsewhere
        return state


@dataclass(frozen=True)
class Anatomy:
    """What is to be known of a network before it is built."""

    stride: int
    places: frozenset[str]
    inside: frozenset[str]
    """Those that are filled in the built network (`assemble.models.timm_resnet`)."""
    batch_norm: bool


@cache
def _anatomy(source: Source) -> Anatomy:
    import timm

    with torch.device("meta"):
        network = _create(source)
        try:
            droppable = bool(_drop_paths(_create(source, drop_path_rate=PROBE)))
        except UserError:  # it takes no such option
            droppable = False
    there = {
        "branch": droppable,
        "downsample": isinstance(network, timm.models.EfficientNet),
        "before_classifier": [type(module) for module in classifiers(network)] == [nn.Linear],
    }
    inside = timm_resnet.places(network)
    info = getattr(network, "feature_info", None)
    return Anatomy(
        stride=max(level["reduction"] for level in info) if isinstance(info, list) and info else 1,
        places=frozenset(place for place, has in there.items() if has) | inside,
        inside=inside,
        batch_norm=any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in network.modules()),
    )


def _create(source: Source, **options: Any) -> nn.Module:
    try:
        return source.create(**options)
    except UNFIT as error:
        given = {**dict(getattr(source, "args", ())), **options}
        raise UserError(f"timm cannot build {source.label} with {given}: {_line(error)}") from error


@cache
def _reason_not_to_run(source: Source, size: int) -> str | None:
    from assemble.models.cost import count_cost

    with torch.device("meta"):
        network = _create(source).eval()
        try:
            count_cost(network, torch.empty(1, 3, size, size))
        except UNFIT as error:
            return _line(error)
    return None


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _drop_paths(network: nn.Module) -> list[tuple[nn.Module, str, float]]:
    """Return (parent, attribute, depth) of each of timm's DropPath modules.

    The network was built with rate `PROBE`.
    """
    from timm.layers import DropPath  # type: ignore[attr-defined]

    found = []
    for path, module in network.named_modules(remove_duplicate=False):
        if isinstance(module, DropPath):
            parent, _, key = path.rpartition(".")
            found.append((network.get_submodule(parent), key, module.drop_prob / PROBE))
    return found


class BeforeClassifier:
    """Applies a module to the classifier's input. The module is the network's: it moves and is copied with it."""

    def __init__(self, network: nn.Module, module: nn.Module) -> None:
        self.module = module
        network.add_module("before_classifier", module)
        classifiers(network)[0].register_forward_pre_hook(self)

    def __call__(self, classifier: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
        return (self.module(*inputs),)
