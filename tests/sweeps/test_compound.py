"""The sweep for compound scaling's coefficients. It trains nothing: a launcher here writes the results."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.types import HydraContext

from assemble.errors import UserError
from assemble.runs.sweep_plan import SweepPlan
from tests.helpers.composing import composing
from tests.helpers.synthetic_runs import OF_RUN

TRICK = "+tricks=[compound_scaling]"
GRID = {"alpha": "[1,1.5,2]", "beta": "[1,1.25]", "gamma": "[1,1.125,1.25]", "tolerance": 0.2}
"""Of tiny with 8 channels at 16 pixels, (1, 1.25, 1.125), (1, 1.25, 1.25)'s growth of 2.44 left out, and so on."""
CANDIDATES = ["alpha=1 beta=1.25 gamma=1.125", "alpha=1.5 beta=1 gamma=1.125", "alpha=2 beta=1 gamma=1"]


@pytest.fixture(autouse=True)
def hydra() -> Iterator[None]:
    with composing():
        yield


class Launcher:
    """Writes results: on the validation set depth wins, on the test set width. Stops after ``patience`` runs."""

    def __init__(self, folder: Path, patience: int) -> None:
        self.folder, self.patience = folder, patience
        self.seen: list[str] = []

    def launch(self, batch: Sequence[Sequence[str]], initial_job_idx: int) -> list[Any]:
        for overrides in batch:
            if len(self.seen) == self.patience:
                raise KeyboardInterrupt
            self.seen.append(" ".join(overrides))
            plan = SweepPlan.read(self.folder)
            assert plan
            job = next(job for job in plan.jobs if job.overrides == tuple(overrides))
            values = dict(override.removeprefix("tricks.compound_scaling.").split("=", 1) for override in overrides)
            alpha, beta = (float(values.get(key, 1)) for key in ("alpha", "beta"))
            job.directory.mkdir(parents=True)
            scores = {"metrics": {"top1": 50 + beta}, "validation": {"top1": 50 + alpha + job.seed}}
            (job.directory / "result.json").write_text(json.dumps({**OF_RUN, **scores}))
        return [SimpleNamespace(return_value=None)] * len(batch)


def sweeper(folder: Path, patience: int = 10_000, **options: Any) -> Any:
    chosen = [f"++hydra.sweeper.{key}={value}" for key, value in {**GRID, **options}.items()]
    config = compose(
        "config",
        overrides=[f"output_dir={folder}", f"hydra.sweep.dir={folder}/sweep", "hydra/sweeper=compound", *chosen],
        return_hydra_config=True,
    )
    made: Any = Plugins.instance()._instantiate(config.hydra.sweeper)
    made.setup(
        hydra_context=HydraContext(config_loader=GlobalHydra.instance().config_loader(), callbacks=None),  # type: ignore[arg-type]
        task_function=lambda _: None,
        config=config,
    )
    made.launcher = Launcher(folder / "sweep", patience)
    return made


def arguments(folder: Path, *more: str) -> list[str]:
    size = ["data.image_size=16", "tricks.compound_scaling.divisor=1"]
    return [f"output_dir={folder}", TRICK, *size, *(more or ("seed=0,1",))]


def sweep(folder: Path, patience: int = 10_000, **options: Any) -> Any:
    made = sweeper(folder, patience, **options)
    made.sweep(arguments(folder))
    return made


def test_the_candidates_by_hand(tmp_path: Path) -> None:
    plan = sweeper(tmp_path).plan(arguments(tmp_path))
    assert [job.row for job in plan.jobs] == ["baseline", *CANDIDATES] * 2
    assert [job.seed for job in plan.jobs] == [0] * 4 + [1] * 4
    baseline, first = plan.jobs[:2]
    assert (baseline.tricks, baseline.overrides[-1]) == ((), "drop=[compound_scaling]")
    assert "tricks.compound_scaling.divisor=1" not in baseline.overrides
    assert first.overrides[-5:] == (
        "seed=0",
        *(f"tricks.compound_scaling.{value}" for value in ("phi=1", "alpha=1", "beta=1.25", "gamma=1.125")),
    )


def test_two_phases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = sweep(tmp_path)
    plan = json.loads((tmp_path / "sweep" / "plan.json").read_text())
    rows = list(dict.fromkeys(job["row"] for job in plan["jobs"]))
    ways = ("depth", "width", "resolution", "compound")
    # compound is depth alone here (alpha=2): its runs are depth's
    assert rows == ["baseline", *(f"{way}, phi={phi}" for way in ways[:3] for phi in (1, 2)), *CANDIDATES[:2]]
    lines = {way: ["baseline", f"{way}, phi=1", f"{way}, phi=2"] for way in ways[:3]}
    assert plan["lines"] == {**lines, "compound": lines["depth"]}
    assert len(made.launcher.seen) == len(set(made.launcher.seen)) == 2 * len(rows)
    said = capsys.readouterr().out
    # alpha + the seed: not beta, which the scores of the test set follow
    assert "best      alpha=2 beta=1 gamma=1: validation top-1 52.50 ± 0.71 % (n = 2)" in said
    assert said.splitlines()[-1].endswith(
        "'+tricks=[compound_scaling]' data.image_size=16 tricks.compound_scaling.divisor=1 "
        "tricks.compound_scaling.phi=1 tricks.compound_scaling.alpha=2 "
        "tricks.compound_scaling.beta=1 tricks.compound_scaling.gamma=1"
    )


@pytest.mark.parametrize("patience", [3, 11])
def test_stopped_in_either_phase_it_goes_on(tmp_path: Path, patience: int) -> None:
    whole = sweep(tmp_path / "a")
    before = sweeper(tmp_path / "b", patience)
    with pytest.raises(KeyboardInterrupt):
        before.sweep(arguments(tmp_path / "b"))
    after = sweep(tmp_path / "b")
    seen = [*before.launcher.seen, *after.launcher.seen]
    assert [line.replace("/b", "/a") for line in seen] == whole.launcher.seen
    assert sweep(tmp_path / "b").launcher.seen == []


def test_a_candidate_without_all_its_results_is_not_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = sweeper(tmp_path)
    launch = made.launcher.launch

    def failing(batch: Sequence[Sequence[str]], initial_job_idx: int) -> list[Any]:
        lacking = [o for o in batch if "tricks.compound_scaling.alpha=2" in o and "seed=1" in o]
        return launch([o for o in batch if o not in lacking], initial_job_idx) + lacking * 0

    made.launcher.launch = failing
    made.sweep(arguments(tmp_path))
    assert "best      alpha=1.5 beta=1 gamma=1.125: " in capsys.readouterr().out


def test_limits(tmp_path: Path) -> None:
    def left(**limits: Any) -> tuple[list[str], list[str]]:
        plan = sweeper(tmp_path, **limits).plan(arguments(tmp_path, "seed=0"))
        return [job.row for job in plan.jobs[1:]], [row["reason"] for row in plan.skipped]

    made = sweeper(tmp_path, max_memory=1e12)
    made.plan(arguments(tmp_path, "seed=0"))
    costs = {str(candidate): cost for candidate, cost in made.costs.items()}
    least = min(costs, key=lambda row: costs[row].macs)
    kept, reasons = left(max_macs=costs[least].macs)
    assert kept == [least]
    assert all("above hydra.sweeper.max_macs=" in reason for reason in reasons)
    least = min(costs, key=lambda row: costs[row].memory)
    kept, reasons = left(max_memory=costs[least].memory)
    assert kept == [least]
    assert all("bytes in training, above hydra.sweeper.max_memory=" in reason for reason in reasons)
    with pytest.raises(UserError, match=r"no candidate of 3 can be trained; .*max_macs=1000"):
        left(max_macs=1000)


def test_candidates_that_rounding_makes_alike_are_trained_once(tmp_path: Path) -> None:
    plan = sweeper(tmp_path, alpha="[1,1.9,2]").plan(arguments(tmp_path, "seed=0"))
    (skipped,) = plan.skipped
    assert skipped["row"] == "alpha=1.9 beta=1 gamma=1"
    assert skipped["reason"] == "rounded, it is the network of alpha=2 beta=1 gamma=1"


def test_what_else_is_swept_makes_lines_of_its_own(tmp_path: Path) -> None:
    made = sweeper(tmp_path, phi="[1]")
    made.sweep(arguments(tmp_path, "optim.lr=0.1,0.2"))
    lines = json.loads((tmp_path / "sweep" / "plan.json").read_text())["lines"]
    assert len(lines) == 8
    assert lines["width, optim.lr=0.2"] == ["baseline, optim.lr=0.2", "width, phi=1, optim.lr=0.2"]


def test_dry_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        sweep(tmp_path, dry_run="true")
    assert end.value.code == 0
    assert json.loads((tmp_path / "sweep" / "plan.json").read_text())["dry_run"]
    said = capsys.readouterr().out
    # (13 + 12) / (1 + 12) of the 3x3 convolutions, roughly: stem and shortcuts are not doubled
    assert re.search(
        r"candidate alpha=2 beta=1 gamma=1: 3,4\d\d,\d{3} multiply-adds, 2\.0\d times the baseline's\n", said
    )
    assert "cost      8 runs, as long as " in said
    assert "at phi = 1, 2: 16 runs, as long as 48 of the baseline" in said  # 2 seeds x 4 ways x (2 + 4)


@pytest.mark.parametrize(
    ("given", "options", "line"),
    [
        (["seed=0"], {}, r"scales by a trick that has alpha, beta, gamma, phi: add \+tricks=\[compound_scaling\]"),
        (
            [TRICK, "tricks.compound_scaling.phi=2"],
            {},
            "phi=2: hydra/sweeper=compound searches for it, so leave it out",
        ),
        ([TRICK], {"phi": "[]"}, r"hydra.sweeper.phi=\[\]: name at least one"),
        ([TRICK], {"phi": "[1,0]"}, "each above 0"),
        ([TRICK], {"max_macs": 0}, "max_macs must be above 0"),
        ([TRICK], {"max_memory": -1}, "max_memory must be above 0"),
        ([TRICK], {"tolerance": 0.0, "alpha": "[1.1]"}, "raise hydra.sweeper.tolerance"),
        ([TRICK, "model=coatnet_0"], {}, "no depth and width that can be scaled"),
    ],
)
def test_mistakes(tmp_path: Path, given: list[str], options: dict[str, Any], line: str) -> None:
    with pytest.raises(Exception, match=line) as caught:
        sweeper(tmp_path, **options).plan(given)
    cause = caught.value if isinstance(caught.value, UserError) else caught.value.__cause__
    assert isinstance(cause, UserError)
