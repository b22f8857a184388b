"""A sweeper that learns from what its runs come to: Optuna proposes candidates, each a few runs with one value.

Nothing but the runs is kept: the same command asks Optuna for the same candidates again (its draws follow from the seed
and the values told), finds their runs finished, and so arrives where it was stopped.
"""

from __future__ import annotations

import csv
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from assemble.errors import UserError, require
from assemble.sweeps.planned import PlannedSweeper

if TYPE_CHECKING:
    from optuna import Study, Trial

    from assemble.runs.sweep_plan import Job, SweepPlan

SHOWN = 20
"""Candidates of a ranking that are printed. The file has them all."""


@dataclass
class Candidate:
    """What a search proposes: overrides of the command line, tried once for each combination of what else is swept."""

    number: int
    overrides: Sequence[str]
    jobs: Sequence[Job] = ()
    refused: str = ""
    """Why it cannot be trained."""
    value: float | None = None
    """The higher, the better; None until all its runs are finished."""

    @property
    def label(self) -> str:
        """Its row in tables."""
        return f"candidate {self.number}"


class SearchSweeper(PlannedSweeper):
    """Base of the searches. What an accuracy is read from is `validation`, never the test set."""

    mode: ClassVar[str]
    """Its name: ``hydra/sweeper=NAME``."""
    unit: ClassVar[str] = ""
    """Of the value."""

    def __init__(self, trials: int, parallel: int, seed: int, **others: Any) -> None:
        super().__init__(**others)
        require(
            (trials >= 1, f"hydra.sweeper.trials={trials} must be at least 1"),
            (parallel >= 1, f"hydra.sweeper.parallel={parallel} must be at least 1"),
            (0 <= seed < 2**32, f"hydra.sweeper.seed={seed} must be 0 or above, and below 2**32"),
        )
        self.trials, self.parallel, self.seed = trials, parallel, seed

    @abstractmethod
    def propose(self, trial: Trial) -> list[str]:
        """Return the overrides of a candidate whose parameters ``trial`` suggests.

        Raises:
            UserError: what it suggests cannot be; the search goes on with the next.
        """

    @abstractmethod
    def value(self, results: Sequence[dict[str, Any]]) -> float:
        """Return what the finished runs of a candidate (`result.json`) are worth; the search maximises it."""

    def measures(self, results: Sequence[dict[str, Any]]) -> Mapping[str, float]:
        """Return what the value is made of, by name, for the ranking."""
        return {}

    def known(self) -> Sequence[Mapping[str, Any]]:
        """Return parameters of the candidates that the search begins with."""
        return ()

    def describe(self) -> Sequence[str]:
        """Return lines about the space that is searched."""
        return ()

    def finish(self, ranked: Sequence[Candidate]) -> None:
        """Write what came out; the best candidate first, those without a value left out."""

    def plan(self, arguments: list[str]) -> SweepPlan:
        """Plan the candidates that the search begins with: they depend on no result."""
        study = self._study()
        return self._planned(self._ask(study, self.expand(arguments), 0))

    def sweep(self, arguments: list[str]) -> None:
        settings = self.expand(arguments)
        for cfg in map(self.compose, settings):
            if cfg.explain or cfg.prepare:
                raise UserError(
                    f"hydra/sweeper={self.mode} learns from results, which explain=true and prepare=true have not: "
                    "leave them out; hydra.sweeper.dry_run=true shows what would be tried"
                )
        study = self._study()
        candidates: list[Candidate] = []
        while len(candidates) < self.trials:
            asked = self._ask(study, settings, len(candidates))
            if not candidates:
                self._show(asked, len(settings))
            candidates += asked
            self.run(self._planned(candidates))
            for candidate in asked:
                self._tell(study, candidate)
            report(candidates, asked, self.unit)
        ranked = sorted((c for c in candidates if c.value is not None), key=lambda c: -(c.value or 0.0))
        self._rank(ranked)
        self.finish(ranked)

    def _rank(self, ranked: Sequence[Candidate]) -> None:
        """Write the ranking, best first, and print its beginning."""
        path = Path(self.whole.hydra.sweep.dir) / "ranking.csv"
        rows = []
        for rank, candidate in enumerate(ranked, start=1):
            results = [result for job in candidate.jobs if (result := job.result) is not None]
            measured = {key: f"{value:.6g}" for key, value in self.measures(results).items()}
            head = {"rank": str(rank), "candidate": str(candidate.number), "value": f"{candidate.value:.6g}"}
            rows.append({**head, **measured, "n": str(len(results)), "overrides": " ".join(candidate.overrides)})
        if not rows:
            return
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        widths = {key: max(len(key), *(len(row[key]) for row in rows[:SHOWN])) for key in rows[0]}
        for row in [dict(zip(widths, widths, strict=True)), *rows[:SHOWN]]:
            print("  ".join(f"{row[key]:{width}}" for key, width in widths.items()).rstrip())
        print(f"ranking: {path}", flush=True)

    def _study(self) -> Study:
        if find_spec("optuna") is None:
            raise UserError(f"hydra/sweeper={self.mode} needs a package: pip install -e '.[search]'")
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=self.seed), direction="maximize")
        for parameters in self.known():
            study.enqueue_trial(dict(parameters))
        return study

    def _ask(self, study: Study, settings: Sequence[list[str]], number: int) -> list[Candidate]:
        """Ask for the next candidates, with their jobs."""
        from assemble.runs.sweep_plan import Job

        asked = []
        for trial in [study.ask() for _ in range(min(self.parallel, self.trials - number))]:
            candidate = Candidate(trial.number, ())
            try:
                candidate.overrides = self.propose(trial)
                jobs = []
                for setting in settings:
                    overrides = [*setting, *candidate.overrides]
                    jobs.append(Job.of(self.compose(overrides), overrides, candidate.label))
                candidate.jobs = jobs
            except UserError as error:
                candidate.refused = str(error)
            asked.append(candidate)
        return asked

    def _planned(self, candidates: Sequence[Candidate]) -> SweepPlan:
        from assemble.runs.sweep_plan import SweepPlan

        jobs = {str(job.directory): job for candidate in candidates for job in candidate.jobs}  # two may be alike
        skipped = [{"row": c.label, "tricks": [], "reason": c.refused} for c in candidates if c.refused]
        return SweepPlan(self.mode, list(jobs.values()), skipped=skipped)

    def _tell(self, study: Study, candidate: Candidate) -> None:
        from optuna.trial import TrialState

        results = [job.result for job in candidate.jobs]
        finished = [result for result in results if result is not None]
        if finished and len(finished) == len(results):
            candidate.value = self.value(finished)
            study.tell(candidate.number, candidate.value)
        else:  # refused or failed: the search learns nothing from it
            _refuse_busy(candidate)
            study.tell(candidate.number, state=TrialState.FAIL)

    def _show(self, first: Sequence[Candidate], runs: int) -> None:
        from assemble.runs.sweep_plan import estimate
        from assemble.wording import count

        jobs = [job for candidate in first for job in candidate.jobs]
        lines = [
            ("search", f"{self.mode}, {count(self.trials, 'candidate')} of {count(runs, 'run')} each"),
            ("", f"proposed {self.parallel} at a time by Optuna's TPE, seed {self.seed}"),
            *(("", line) for line in self.describe()),
        ]
        if jobs:
            total = self.trials * runs
            lines.append(("time", estimate([jobs[i % len(jobs)] for i in range(total)], jobs)))
            lines.append(("", f"{total * jobs[0].epochs:,} epochs in all, if none is finished yet"))
        for candidate in first:
            lines.append((candidate.label, candidate.refused or " ".join(candidate.overrides)))
        width = max(len(name) for name, _ in lines)
        for name, text in lines:
            print(f"{name:{width}} {text}")


def _refuse_busy(candidate: Candidate) -> None:
    """Refuse to go on without a value that another process will have: the search would go another way than its."""
    from assemble.runs.directory import trained_by

    for job in candidate.jobs:
        process = trained_by(job.directory) if job.result is None else None
        if process:
            raise UserError(
                f"{candidate.label} is being trained by process {process}, of another sweep: wait until that ends, or "
                "end it. The same command goes on"
            )


def report(candidates: Sequence[Candidate], new: Sequence[Candidate], unit: str) -> None:
    """Print a line for each new candidate."""
    best = max((c for c in candidates if c.value is not None), key=lambda c: c.value or 0.0, default=None)
    for candidate in new:
        if candidate.value is None:
            print(f"{candidate.label}: {candidate.refused or 'has no result'}", flush=True)
        else:
            leads = "the best so far" if candidate is best else f"best: {best.label}" if best else ""
            print(f"{candidate.label}: {candidate.value:.4g}{unit} ({leads})", flush=True)
