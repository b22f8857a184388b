"""A Hydra sweeper whose jobs are all known before the first one starts: planned, shown, then launched.

A sweeper is a class in ``hydra_plugins/`` with one method, `PlannedSweeper.plan`; one that goes on from results, as a
search does (`assemble.sweeps.search`), overrides `PlannedSweeper.sweep`.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.plugins.sweeper import Sweeper

from assemble.errors import UserError
from assemble.paths import make_importable

if TYPE_CHECKING:
    from hydra.core.config_loader import ConfigLoader
    from hydra.plugins.launcher import Launcher
    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig

    from assemble.runs.sweep_plan import SweepPlan


class PlannedSweeper(Sweeper):
    """Base of the sweepers here. The table of results is `assemble.sweeps.summary`'s, which follows every sweep."""

    def __init__(
        self, dry_run: bool = False, max_batch_size: int | None = None, params: dict[str, Any] | None = None
    ) -> None:
        self.dry_run = dry_run
        self.max_batch_size = max_batch_size
        self.params = params or {}
        self.launched: dict[tuple[str, ...], None] = {}
        """Overrides of the jobs that have been launched, in their order."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from hydra.core.plugins import Plugins

        self.configs: ConfigLoader = hydra_context.config_loader
        self.whole: DictConfig = config
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(  # type: ignore[override] - never None here
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    @abstractmethod
    def plan(self, arguments: list[str]) -> SweepPlan:
        """Plan the jobs that the arguments ask for.

        Raises:
            UserError: they cannot be.
        """

    def sweep(self, arguments: list[str]) -> None:
        """Carry out one plan."""
        plan = self.plan(arguments)
        plan.show()
        self.run(plan)

    def run(self, plan: SweepPlan) -> None:
        """Write the plan, and launch those of its jobs that are not finished and that this sweep has not launched yet.

        Raises:
            SystemExit: it was to be a dry run.
        """
        if self.max_batch_size is not None and self.max_batch_size < 1:
            raise UserError(f"hydra.sweeper.max_batch_size={self.max_batch_size} must be at least 1, or null")
        path = replace(plan, dry_run=self.dry_run).write(Path(self.whole.hydra.sweep.dir))
        if not self.launched:
            print(f"{'plan':9} {path}", flush=True)
        if self.dry_run:
            raise SystemExit(0)
        make_importable(os.environ)  # some launchers have workers that are new Pythons: submitit, ray
        remaining = [job.overrides for job in plan.jobs if job.overrides not in self.launched and job.result is None]
        size = self.max_batch_size or max(len(remaining), 1)
        for first in range(0, len(remaining), size):
            batch, number = remaining[first : first + size], len(self.launched)
            self.launched |= dict.fromkeys(batch)
            for returned in self.launcher.launch(batch, initial_job_idx=number):
                _ = returned.return_value  # raises what went wrong around the job; how the job went is noted

    def expand(self, arguments: list[str]) -> list[list[str]]:
        """Return the overrides of each combination of the swept values, and of ``hydra.sweeper.params``."""
        from assemble.config.compose import expand_sweep

        return expand_sweep([*(f"{key}={value}" for key, value in self.params.items()), *arguments], self.configs)

    def compose(self, overrides: list[str]) -> DictConfig:
        """Compose the configuration of one job, checked as the job will check it."""
        from hydra.core.hydra_config import HydraConfig
        from omegaconf import flag_override

        from assemble.config.selection import selected_tricks

        config = self.configs.load_sweep_config(self.whole, overrides)
        HydraConfig.instance().set_config(config)
        try:
            with flag_override(config, ["struct", "readonly"], False):
                del config["hydra"]
            selected_tricks(config)
        finally:
            HydraConfig.instance().cfg = None
        return config
