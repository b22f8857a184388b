"""The sweeper of compound scaling, in the place where Hydra looks for plugins. Its configuration is in ``conf/``."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

from assemble.errors import UserError, require
from assemble.sweeps.coefficients import PARAMETERS, PHI, SINGLE, TARGET, Coefficients, candidates
from assemble.sweeps.planned import PlannedSweeper

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from assemble.runs.sweep_plan import Job, SweepPlan

BASELINE = "baseline"


class Setting(NamedTuple):
    """One combination of what else is swept."""

    overrides: list[str]
    varied: str
    """What is special about it, its seed left out."""
    cfg: DictConfig


class Scaled(NamedTuple):
    """What a candidate is in one setting."""

    size: int
    params: int
    macs: int
    memory: int
    """Bytes in training; 0 where nobody asked."""


class Cost(NamedTuple):
    """What a candidate costs at most, over the settings."""

    macs: int
    growth: float
    """Multiply-adds over the baseline's, the mean over the settings."""
    memory: int
    """Bytes in training; 0 where nobody asked."""

    def __str__(self) -> str:
        memory = f", {self.memory / 1e9:.3g} GB in training" if self.memory else ""
        return f"{self.macs:,} multiply-adds, {self.growth:.2f} times the baseline's{memory}"


class CompoundSweeper(PlannedSweeper):
    """First alpha, beta and gamma at phi = 1, then depth, width and resolution alone against the best of these.

    Both in the same settings (each combination of what is swept, seeds above all). What is searched is the best mean
    ``validation.top1``, never a score of the test set.
    """

    def __init__(
        self,
        step: float,
        tolerance: float,
        alpha: list[float] | None,
        beta: list[float] | None,
        gamma: list[float] | None,
        max_macs: float | None,
        max_memory: float | None,
        phi: list[float],
        **others: Any,
    ) -> None:
        super().__init__(**others)
        require(
            (max_macs is None or max_macs > 0, "hydra.sweeper.max_macs must be above 0, or null"),
            (max_memory is None or max_memory > 0, "hydra.sweeper.max_memory must be above 0 bytes, or null"),
            (
                bool(phi) and len(set(phi)) == len(phi) and all(0 < value < math.inf for value in phi),
                f"hydra.sweeper.phi={list(phi)}: name at least one, each above 0 and once",
            ),
        )
        self.candidates = candidates(step, tolerance, {"alpha": alpha, "beta": beta, "gamma": gamma})
        self.max_macs, self.max_memory, self.phi = max_macs, max_memory, sorted(phi)
        self.settings: list[Setting] = []
        self.costs: dict[Coefficients, Cost] = {}
        """Of the candidates that are trained."""

    def plan(self, arguments: list[str]) -> SweepPlan:
        """Plan the baseline and the candidates that fit the limits."""
        from assemble.runs.sweep_plan import SweepPlan

        settings = self._settings(arguments)
        kept, skipped = self._fitting(settings)
        jobs = [
            job
            for setting in settings
            for job in (
                self._job(setting, BASELINE),
                *(self._job(setting, str(candidate), candidate, 1.0) for candidate in kept),
            )
        ]
        return SweepPlan("compound", jobs, skipped=skipped)

    def sweep(self, arguments: list[str]) -> None:
        first = self.plan(arguments)
        first.show()
        self._announce()
        self.run(first)
        ranked = self._ranked(first)
        if not ranked:
            print("no candidate has all of its runs finished, so there is nothing to compare: the same command goes on")
            return
        best = self._tell(ranked)
        second = self._second(first, best)
        second.show()
        self.run(second)
        common = [o for o in self.settings[0].overrides if all(o in s.overrides for s in self.settings)]
        print(f"{'use it':9} {shlex.join(['python', 'train.py', *common, *self._overrides(best, 1.0)])}", flush=True)

    def _announce(self) -> None:
        """Print what the candidates cost, and what comes after them."""
        from assemble.wording import count

        for candidate, cost in self.costs.items():
            print(f"{'candidate':9} {candidate}: {cost}")
        runs = len(self.settings)
        searched = runs * (1 + sum(cost.growth for cost in self.costs.values()))
        rows = self._comparison(next(iter(self.costs)))
        compared = runs * sum(TARGET**phi for *_, phi in rows[1:])
        print(
            f"{'cost':9} {count(runs * (1 + len(self.costs)), 'run')}, as long as {searched:.0f} of the baseline, by "
            "multiply-adds"
        )
        print(
            f"{'then':9} {', '.join(SINGLE)} and compound scaling, by the best of these, at phi = "
            f"{', '.join(f'{phi:g}' for phi in self.phi)}: {count(runs * (len(rows) - 1), 'run')}, as long as "
            f"{compared:.0f} of the baseline"
        )

    def _tell(self, ranked: Sequence[tuple[Coefficients, list[float]]]) -> Coefficients:
        """Print the best candidates and how far apart they are; returns the first."""
        from assemble.reporting.metrics import metric
        from assemble.reporting.statistics import gain, spread

        top1 = metric("top1")
        best, scores = ranked[0]
        print(f"{'best':9} {best}: validation top-1 {top1.spread(spread(scores))} % (n = {len(scores)})")
        for other, theirs in ranked[1:4]:
            over = top1.gain(gain([a - b for a, b in zip(scores, theirs, strict=True)]))
            print(f"{'':9} {other}: {top1.spread(spread(theirs))} %, the best over it: {over}")
        return best

    # --- what is swept

    def _settings(self, arguments: list[str]) -> list[Setting]:
        """Return the combinations of the arguments; also finds the trick."""
        from assemble.config.selection import active_tricks
        from assemble.sweeps.overrides import key_of, varying

        combinations = self.expand(arguments)
        self.settings = [
            Setting(overrides, varied, self.compose(overrides))
            for overrides, varied in zip(combinations, varying(combinations), strict=True)
        ]
        for setting in self.settings:
            found = [name for name in active_tricks(setting.cfg) if set(setting.cfg.tricks[name]) >= PARAMETERS]
            if len(found) != 1:
                raise UserError(
                    f"hydra/sweeper=compound scales by a trick that has {', '.join(sorted(PARAMETERS))}: add "
                    f"+tricks=[{_scaling_trick()}]"
                )
            self.trick = found[0]
        for override in combinations[0]:
            if key_of(override) in {f"tricks.{self.trick}.{key}" for key in PARAMETERS}:
                raise UserError(f"{override}: hydra/sweeper=compound searches for it, so leave it out")
        return self.settings

    def _overrides(self, coefficients: Coefficients, phi: float) -> list[str]:
        return [f"tricks.{self.trick}.{key}={value:g}" for key, value in coefficients.settings(phi).items()]

    def _configured(self, setting: Setting, coefficients: Coefficients | None, phi: float) -> DictConfig:
        """Return the setting's configuration, scaled, or without the trick."""
        import copy

        cfg = copy.deepcopy(setting.cfg)
        if coefficients is None:
            cfg.drop = [*cfg.drop, self.trick]
        else:
            cfg.tricks[self.trick].update(coefficients.settings(phi))
        return cfg

    def _job(self, setting: Setting, row: str, coefficients: Coefficients | None = None, phi: float = 1.0) -> Job:
        from assemble.runs.sweep_plan import Job
        from assemble.sweeps.overrides import dropping

        cfg = self._configured(setting, coefficients, phi)
        if coefficients is None:
            overrides = dropping(setting.overrides, cfg.drop)
        else:
            overrides = [*setting.overrides, *self._overrides(coefficients, phi)]
        return Job.of(cfg, overrides, ", ".join(filter(None, [row, setting.varied])))

    # --- phase 1

    def _fitting(self, settings: Sequence[Setting]) -> tuple[list[Coefficients], list[dict[str, Any]]]:
        """Return the candidates to train, and those left out, with the reason."""
        kinds = {setting.varied: setting for setting in settings}.values()  # seeds change no cost
        base = [self._scaled(setting, None) for setting in kinds]
        kept: dict[Coefficients, list[Scaled]] = {}
        reasons: dict[Coefficients, str] = {}
        for candidate in sorted(self.candidates, key=lambda c: abs(c.growth - TARGET)):
            try:
                scaled = [self._scaled(setting, candidate) for setting in kinds]
            except UserError as error:
                reasons[candidate] = str(error)
                continue
            alike = next((other for other, theirs in kept.items() if theirs == scaled), None)
            reason = self._excess(scaled) or (f"rounded, it is the network of {alike}" if alike else "")
            if reason:
                reasons[candidate] = reason
                continue
            kept[candidate] = scaled
            self.costs[candidate] = Cost(
                max(found.macs for found in scaled),
                fmean(found.macs / unscaled.macs for found, unscaled in zip(scaled, base, strict=True)),
                max(found.memory for found in scaled),
            )
        if not kept:
            some, reason = next(iter(reasons.items()))
            raise UserError(f"no candidate of {len(self.candidates)} can be trained; {some}: {reason}")
        skipped = [{"row": str(candidate), "tricks": [], "reason": reason} for candidate, reason in reasons.items()]
        return [candidate for candidate in self.candidates if candidate in kept], skipped

    def _scaled(self, setting: Setting, candidate: Coefficients | None) -> Scaled:
        """Return the network of a candidate, and what it costs, without a look at the images.

        Raises:
            UserError: it cannot be.
        """
        from omegaconf import OmegaConf

        from assemble.config.selection import selected_tricks
        from assemble.models.cost import cost_of
        from assemble.planning.batch import batch_of
        from assemble.planning.data import data_settings
        from assemble.planning.network import base_spec
        from assemble.planning.resolve import resolve

        cfg = self._configured(setting, candidate, 1.0)
        config: Any = OmegaConf.to_object(cfg)
        tricks = list(selected_tricks(cfg).values())
        spec = resolve(tricks, base_spec(config, config.model.num_classes or 1000)).spec
        data = data_settings(config.data, tricks)
        for size in (data.image_size, data.scored_size):
            spec.check_size(size)
        memory = 0
        if self.max_memory is not None:
            import torch

            from assemble.models.throughput import training_memory
            from lit_modules.optim import build_optimizer

            with torch.device("meta"):
                network = spec.build()
            optimizer = build_optimizer(network, config.optim)
            memory = training_memory(network, optimizer, batch_of(config).micro, data.image_size)
        cost = cost_of(spec, data.scored_size)
        return Scaled(data.image_size, cost.params, cost.macs, memory)

    def _excess(self, scaled: Sequence[Scaled]) -> str:
        """Return what is above a limit."""
        macs, memory = max(found.macs for found in scaled), max(found.memory for found in scaled)
        if self.max_macs is not None and macs > self.max_macs:
            return f"{macs:,} multiply-adds, above hydra.sweeper.max_macs={self.max_macs:g}"
        if self.max_memory is not None and memory > self.max_memory:
            return f"{memory:,} bytes in training, above hydra.sweeper.max_memory={self.max_memory:g}"
        return ""

    def _ranked(self, plan: SweepPlan) -> list[tuple[Coefficients, list[float]]]:
        """Rank the candidates whose runs are all finished, the best mean first.

        Returns (candidate, validation top-1 by setting) of each.
        """
        found = []
        for candidate in self.candidates:
            rows = {", ".join(filter(None, [str(candidate), setting.varied])) for setting in self.settings}
            results = [job.result for job in plan.jobs if job.row in rows]
            scores = [(result or {}).get("validation", {}).get("top1") for result in results]
            if scores and None not in scores:
                found.append((candidate, scores))
        return sorted(found, key=lambda ranked: -fmean(ranked[1]))

    # --- phase 2

    def _comparison(self, best: Coefficients) -> list[tuple[str, str, Coefficients | None, float]]:
        """Return (line, row, coefficients, phi), the baseline first, which begins every line."""
        rows: list[tuple[str, str, Coefficients | None, float]] = [("", BASELINE, None, 0.0)]
        for line, coefficients in {**SINGLE, "compound": best}.items():
            rows += [(line, f"{line}, {PHI}={phi:g}", coefficients, phi) for phi in self.phi]
        return rows

    def _second(self, first: SweepPlan, best: Coefficients) -> SweepPlan:
        """Plan the comparison, and the jobs of the first plan that are not in it."""
        from assemble.runs.sweep_plan import SweepPlan

        jobs: dict[str, Job] = {}
        lines: dict[str, dict[str, None]] = {}
        for setting in self.settings:
            start = ""
            for line, row, coefficients, phi in self._comparison(best):
                job = self._job(setting, row, coefficients, phi)
                job = jobs.setdefault(str(job.directory), job)  # the best may scale in one way alone
                start = start or job.row
                if line:
                    name = ", ".join(filter(None, [line, setting.varied]))
                    lines.setdefault(name, {start: None})[job.row] = None
        for job in first.jobs:
            jobs.setdefault(str(job.directory), job)
        joined = {name: list(rows) for name, rows in lines.items()}
        return SweepPlan(first.mode, list(jobs.values()), skipped=first.skipped, lines=joined)


def _scaling_trick() -> str:
    """Return the names of the tricks that scale."""
    from dataclasses import fields

    from tricks import load

    return ",".join(name for name, trick in load().items() if {f.name for f in fields(trick)} >= PARAMETERS)
