"""The sweepers whose jobs are combinations: of swept values (grid), and of tricks that are on or off (ablation)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from assemble.errors import UserError
from assemble.sweeper_options import Mode
from assemble.sweeps.designs import Refusal, Subset, design
from assemble.sweeps.planned import PlannedSweeper

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from assemble.runs.sweep_plan import SweepPlan


class GridSweeper(PlannedSweeper):
    """Every combination of the swept values."""

    def plan(self, arguments: list[str]) -> SweepPlan:
        from assemble.runs.sweep_plan import Job, SweepPlan
        from assemble.sweeps.overrides import varying, without

        combinations = self.expand(arguments)
        jobs = []
        for combination, row in zip(combinations, varying(combinations), strict=True):
            cfg = self.compose(combination)
            jobs.append(Job.of(cfg, without(combination, cfg.drop), row or "base"))
        return SweepPlan("grid", jobs)


class AblationSweeper(PlannedSweeper):
    """Combinations of the selected tricks, for each combination of what else is swept."""

    def __init__(self, mode: Mode, tricks: Sequence[str] | None, permutations: int, seed: int, **others: Any) -> None:
        super().__init__(**others)
        self.mode, self.tricks, self.permutations, self.seed = mode, tricks, permutations, seed

    def plan(self, arguments: list[str]) -> SweepPlan:
        from assemble.runs.sweep_plan import Job, SweepPlan
        from assemble.sweeps.overrides import dropping, varying

        combinations = self.expand(arguments)
        jobs: dict[str, Job] = {}
        orders: dict[Subset, None] = {}
        skipped: dict[str, dict[str, Any]] = {}
        for combination, varied in zip(combinations, varying(combinations), strict=True):
            cfg = self.compose(combination)
            ablated, dropped = self._ablated(cfg), list(cfg.drop)
            refusal = _refusal(cfg, ablated)
            found = design(self.mode, ablated, refusal, orders=self.permutations, seed=self.seed)
            orders |= dict.fromkeys(found.orders)
            for row in found.rows:
                cfg.drop = [*dropped, *(name for name in ablated if name not in row.tricks)]
                job = Job.of(cfg, dropping(combination, cfg.drop), ", ".join(filter(None, [row.label, varied])))
                jobs.setdefault(str(job.directory), job)  # two combinations may come to one: recipes that share rows
            for row, reason in found.refused:
                label = ", ".join(filter(None, [row.label, varied]))
                skipped[label] = {"row": label, "tricks": list(row.tricks), "reason": reason}
        return SweepPlan(self.mode.value, list(jobs.values()), list(orders), list(skipped.values()))

    def _ablated(self, cfg: DictConfig) -> Subset:
        """Return the tricks to switch on and off, in their order."""
        from assemble.config.selection import active_tricks

        selected = active_tricks(cfg)
        if not selected:
            raise UserError("an ablation needs tricks: choose a recipe=.. that has some, or name them by +tricks=[..]")
        if self.tricks is None:
            return tuple(selected)
        for name in self.tricks:
            if name not in selected:
                raise UserError(
                    f"hydra.sweeper.tricks: trick '{name}' is not selected. Selected: {', '.join(selected)}"
                )
        if not self.tricks or len(set(self.tricks)) < len(self.tricks):
            raise UserError(f"hydra.sweeper.tricks=[{','.join(self.tricks)}]: name at least one trick, and each once")
        return tuple(self.tricks)


def _refusal(cfg: DictConfig, ablated: Subset) -> Refusal:
    """Return a function that says what `assemble.planning.resolve` has against a subset of the ablated tricks.

    The others, beside them, stay on.

    Raises:
        UserError: it has something against a trick by itself, so that the trick could be on in no run.
    """
    from omegaconf import OmegaConf

    from assemble.config.selection import selected_tricks
    from assemble.planning.network import base_spec
    from assemble.planning.resolve import resolve

    config: Any = OmegaConf.to_object(cfg)
    base = base_spec(config, config.model.num_classes or 1000)
    objects = selected_tricks(cfg)
    for name in ablated:
        trick = objects[name]
        resolve([trick, *(objects[partner] for partner in trick.needs if partner in objects)], base)

    @cache
    def refusal(on: Subset) -> str | None:
        try:
            resolve([trick for name, trick in objects.items() if name in on or name not in ablated], base)
        except UserError as error:
            return str(error)
        return None

    return refusal
