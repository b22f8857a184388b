"""``hydra/sweeper=nas``: training-aware search of an EfficientNetV2: Tan & Le 2021 (arXiv 2104.00298), section 3.2.

A backbone's stages have given channels and strides. For each stage the search chooses MBConv or Fused-MBConv, the
kernel, the expansion and the number of layers; MBConv has squeeze-and-excitation of 0.25, and nothing skips or pools.
The reward is A * S^w * P^v with the validation accuracy A (a share), the time S of a training step on this device and
the parameters P. The paper normalises S; here S and P both are over those of the first candidate, a plain network of
MBConv, which multiplies all rewards by one number and so changes no order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from assemble.atomic import write_whole
from assemble.errors import UserError, require
from assemble.sweeps.search import Candidate, SearchSweeper

if TYPE_CHECKING:
    from optuna import Trial

KINDS = {"MBConv": ("ir", "ds", "_se0.25"), "Fused-MBConv": ("er", "cn", "")}
"""In the notation of `assemble.models.efficientnet`: with expansion, without it (a block then has no convolution for
it, as in google/automl's effnetv2_model.py), and what both end with."""
OWN = ("model", "model.blocks")
"""Keys that are the search's."""


class NasSweeper(SearchSweeper):
    """Search of the stages of an EfficientNetV2."""

    mode = "nas"

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[int],
        layers: Sequence[int],
        kernels: Sequence[int],
        expansions: Sequence[int],
        time_exponent: float,
        size_exponent: float,
        best: int,
        **others: Any,
    ) -> None:
        super().__init__(**others)
        self.stages = list(zip(channels, strides, strict=False))
        self.choices = {
            "kind": list(KINDS),
            "kernel": list(kernels),
            "expansion": list(expansions),
            "layers": sorted(layers),
        }
        self.exponents = {"S": time_exponent, "P": size_exponent}
        self.best = best
        self.units: dict[str, float] = {}
        """Step time and parameters of the first candidate."""
        require(
            (len(channels) == len(strides) > 0, "hydra.sweeper.channels and .strides: one of each for every stage"),
            (all(channel >= 1 for channel in channels), "hydra.sweeper.channels must be at least 1"),
            (all(stride in (1, 2) for stride in strides), "hydra.sweeper.strides must be 1 or 2"),
            (all(kernel % 2 == 1 for kernel in kernels), "hydra.sweeper.kernels must be odd"),
            (all(number >= 1 for number in (*kernels, *expansions, *layers)), "hydra.sweeper: choices begin at 1"),
            (
                all(0 < len(choices) == len(set(choices)) for choices in self.choices.values()),
                "hydra.sweeper.kernels, .expansions and .layers: name at least one, and each once",
            ),
            (best >= 0, f"hydra.sweeper.best={best} must be 0 or above"),
        )

    def expand(self, arguments: list[str]) -> list[list[str]]:
        settings = super().expand(arguments)
        for override in (override for setting in settings for override in setting):
            if override.partition("=")[0].lstrip("+~") in OWN:
                raise UserError(f"hydra/sweeper=nas proposes the networks: leave {override} out")
        return settings

    def propose(self, trial: Trial) -> list[str]:
        chosen = [
            {key: trial.suggest_categorical(_name(stage, key), choices) for key, choices in self.choices.items()}
            for stage in range(len(self.stages))
        ]
        return ["model=efficientnet", f"model.blocks=[{','.join(map(_block, chosen, self.stages))}]"]

    def known(self) -> Sequence[Mapping[str, Any]]:
        middle = {key: choices[len(choices) // 2] for key, choices in self.choices.items()}
        plain = {**middle, "kind": "MBConv", "kernel": self.choices["kernel"][0]}
        return [{_name(stage, key): value for stage in range(len(self.stages)) for key, value in plain.items()}]

    def measures(self, results: Sequence[dict[str, Any]]) -> Mapping[str, float]:
        """Return A as a share, S in seconds, P in millions: means over the runs."""
        return {
            "A": fmean(result["validation"]["top1"] for result in results) / 100,
            "S": fmean(result["step_seconds"] for result in results),
            "P": fmean(result["params"] for result in results) / 1e6,
        }

    def value(self, results: Sequence[dict[str, Any]]) -> float:
        measured = self.measures(results)
        self.units = self.units or {key: measured[key] for key in self.exponents}
        reward = measured["A"]
        for key, exponent in self.exponents.items():
            reward *= (measured[key] / self.units[key]) ** exponent
        return reward

    def describe(self) -> Sequence[str]:
        options = 1
        for choices in self.choices.values():
            options *= len(choices)
        backbone = ", ".join(f"{channels} channels at stride {stride}" for channels, stride in self.stages)
        return [
            f"{options}^{len(self.stages)} = {options ** len(self.stages):.2g} networks of {len(self.stages)} stages: "
            + backbone,
            *(f"{key} of a stage: {', '.join(map(str, choices))}" for key, choices in self.choices.items()),
            f"reward A * S^{self.exponents['S']:g} * P^{self.exponents['P']:g}: validation accuracy, step time and "
            "parameters, both over candidate 0's",
        ]

    def finish(self, ranked: Sequence[Candidate]) -> None:
        folder = Path(self.whole.hydra.sweep.dir)
        names = []
        for rank, candidate in enumerate(ranked[: self.best], start=1):
            names.append(f"nas_{rank}")
            path = folder / "recipe" / f"nas_{rank}.yaml"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, self._recipe(rank, candidate, folder))
        if names:
            print(f"recipes {', '.join(names)} of the best: python train.py --config-dir={folder} recipe={names[0]} ..")

    def _recipe(self, rank: int, candidate: Candidate, folder: Path) -> str:
        """Return the candidate's network as a recipe.

        The first line is what Hydra needs to take it by ``--config-dir``.
        """
        results = [job.result or {} for job in candidate.jobs]
        measured, setting = self.measures(results), candidate.jobs[0].overrides[: -len(candidate.overrides)]
        others = " ".join(f"'{override}'" for override in setting if not override.startswith("seed="))
        blocks = candidate.overrides[-1].partition("[")[2].rstrip("]").split(",")
        lines = [
            "# @package _global_",
            f"# An EfficientNetV2 found by hydra/sweeper=nas: {candidate.label}, number {rank} of {self.trials}",
            "#",
            "# Paper:    Tan & Le 2021 (arXiv 2104.00298), section 3.2: how it was searched",
            f"# Found:    reward {candidate.value:.4f}: A {measured['A']:.4f}, S {1000 * measured['S']:.1f} ms a step, "
            f"P {measured['P']:.3f} M; n = {len(results)}",
            f"# Command:  python train.py --config-dir={folder} recipe=nas_{rank} {others}".rstrip(),
            "defaults:",
            "  - override /model: efficientnet",
            "  - _self_",
            "",
            "model:",
            "  blocks:",
            *(f"    - {block}" for block in blocks),
        ]
        return "\n".join(lines) + "\n"


def _name(stage: int, key: str) -> str:
    """Return Optuna's name of a choice."""
    return f"{key} of stage {stage + 1}"


def _block(chosen: Mapping[str, Any], stage: tuple[int, int]) -> str:
    channels, stride = stage
    expanding, plain, end = KINDS[chosen["kind"]]
    kind = expanding if chosen["expansion"] > 1 else plain
    form = f"r{chosen['layers']}_k{chosen['kernel']}_s{stride}_e{chosen['expansion']}_c{channels}"
    return f"{kind}_{form}{end}{'_skip' * (kind == 'cn')}"
