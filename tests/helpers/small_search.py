"""A search in this process, as Hydra composes it. Its runs train nothing: a launcher here writes their results."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.types import HydraContext

from assemble.runs.identity import run_directory
from assemble.sweeps.search import SearchSweeper
from tests.helpers.synthetic_runs import OF_RUN

S = TypeVar("S", bound=SearchSweeper)


class Launcher:
    """Writes what ``result`` has for the configuration of a run, nothing for None; stops after ``patience`` runs."""

    def __init__(
        self, sweeper: SearchSweeper, result: Callable[[Any], dict[str, Any] | None], patience: int = 10_000
    ) -> None:
        self.sweeper, self.result, self.patience = sweeper, result, patience
        self.seen: list[str] = []
        self.numbers: list[int] = []

    def launch(self, batch: Sequence[Sequence[str]], initial_job_idx: int) -> list[Any]:
        for number, overrides in enumerate(batch, initial_job_idx):
            if len(self.seen) == self.patience:
                raise KeyboardInterrupt
            self.seen.append(" ".join(overrides))
            self.numbers.append(number)
            cfg = self.sweeper.compose(list(overrides))
            result = self.result(cfg)
            if result is not None:
                folder = run_directory(cfg)
                folder.mkdir(parents=True)
                (folder / "result.json").write_text(json.dumps({**OF_RUN, "run_id": folder.name, **result}))
        return [SimpleNamespace(return_value=None)] * len(batch)


def set_up(sweeper: S, folder: Path) -> S:
    """Give the sweeper what Hydra gives it; its files and its runs are in ``folder``."""
    overrides = [f"output_dir={folder}", f"hydra.sweep.dir={folder}/sweep"]
    sweeper.setup(
        hydra_context=HydraContext(config_loader=GlobalHydra.instance().config_loader(), callbacks=None),  # type: ignore[arg-type]
        task_function=lambda _: None,
        config=compose("config", overrides=overrides, return_hydra_config=True),
    )
    return sweeper
