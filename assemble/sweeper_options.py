"""The keys of ``hydra.sweeper``: what the sweepers of `assemble.sweeps` are made with."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Mode(Enum):
    """Designs of an ablation over n tricks, and how many combinations they train."""

    cumulative = "cumulative"  # one trick more at a time, in their order: n + 1
    leave_one_out = "leave_one_out"  # all, and all but one: n + 1
    one_at_a_time = "one_at_a_time"  # none, and each alone: n + 1
    pairs = "pairs"  # none, each alone, and each two together: 1 + n + n(n - 1)/2
    factorial = "factorial"  # every subset: 2^n
    shapley = "shapley"  # all that lie on the way along a number of random orders


class Method(Enum):
    """How a candidate is valued: by training with it, or by density matching (`assemble.scoring.density`)."""

    train = "train"
    density = "density"


@dataclass
class GridConfig:
    """``hydra/sweeper=grid``, the default of ``-m``: every combination of the swept values."""

    _target_: str = "hydra_plugins.assemble.GridSweeper"
    dry_run: bool = False
    """Print and write the plan, and stop."""
    max_batch_size: int | None = None
    """Jobs that the launcher gets at a time; None: all at once."""
    params: dict[str, Any] = field(default_factory=dict)
    """Swept values that come from a configuration file."""


@dataclass
class AblationConfig(GridConfig):
    """``hydra/sweeper=ablation``: combinations of the selected tricks, for each combination of what else is swept."""

    _target_: str = "hydra_plugins.assemble.AblationSweeper"
    mode: Mode = Mode.cumulative
    tricks: list[str] | None = None
    """Those to ablate, in this order, while the others stay on; None: all selected."""
    permutations: int = 10
    """Orders that `shapley` draws."""
    seed: int = 0
    """Of their drawing."""


@dataclass
class CompoundConfig(GridConfig):
    """``hydra/sweeper=compound``: a grid search for alpha, beta and gamma, then single against compound scaling."""

    _target_: str = "hydra_plugins.assemble.CompoundSweeper"
    step: float = 0.1
    """Between the values of alpha, beta and gamma, from 1."""
    tolerance: float = 0.1
    """Of alpha * beta^2 * gamma^2 = 2."""
    alpha: list[float] | None = None
    """Values of the depth's coefficient; None: by `step`."""
    beta: list[float] | None = None
    """Of the width's."""
    gamma: list[float] | None = None
    """Of the resolution's."""
    max_macs: float | None = None
    """Multiply-adds of one image that a candidate may need."""
    max_memory: float | None = None
    """Bytes that it may need in training (float32, one device)."""
    phi: list[float] = field(default_factory=lambda: [1.0, 2.0])
    """Of the comparison that follows the search."""


@dataclass
class SearchConfig(GridConfig):
    """What the searches have in common. A candidate is trained for each combination of what else is swept."""

    trials: int = 64
    """Candidates."""
    parallel: int = 4
    """Proposed at a time, before anything is known of them; the launcher may train them at once."""
    seed: int = 0
    """Of the proposals."""


@dataclass
class NasConfig(SearchConfig):
    """``hydra/sweeper=nas``: the stages of an EfficientNetV2, on a backbone whose channels and strides are given."""

    _target_: str = "hydra_plugins.assemble.NasSweeper"
    channels: list[int] = field(default_factory=lambda: [24, 48, 64, 128, 160, 256])
    """EfficientNetV2-S's."""
    strides: list[int] = field(default_factory=lambda: [1, 2, 2, 2, 1, 2])
    layers: list[int] = field(default_factory=lambda: [1, 2, 3])
    """Choices for each stage, as the two below."""
    kernels: list[int] = field(default_factory=lambda: [3, 5])
    expansions: list[int] = field(default_factory=lambda: [1, 4, 6])
    time_exponent: float = -0.07
    size_exponent: float = -0.05
    best: int = 3
    """Networks that are written as recipes."""


@dataclass
class PolicySearchConfig(SearchConfig):
    """``hydra/sweeper=autoaugment``: policies for that trick, as its paper searched them."""

    _target_: str = "hydra_plugins.assemble.PolicySweeper"
    method: Method = Method.train
    """Train with each candidate, or density: score it with networks trained without."""
    sub_policies: int = 5
    """Of a candidate."""
    best: int = 5
    """Candidates whose sub-policies make up what is found."""
    operations: list[str] | None = None
    """To choose from; None: all."""
    strengths: str = "paper"
    """The trick's own parameter: official or paper."""


SWEEPERS: dict[str, type[GridConfig]] = {
    "grid": GridConfig,
    "ablation": AblationConfig,
    "compound": CompoundConfig,
    "nas": NasConfig,
    "autoaugment": PolicySearchConfig,
}
