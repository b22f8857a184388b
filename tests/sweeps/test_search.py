"""A search: what it launches, learns and repeats."""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from assemble.errors import UserError
from assemble.sweeps.search import Candidate, SearchSweeper
from tests.helpers.composing import composing
from tests.helpers.small_search import Launcher, set_up


class Lr(SearchSweeper):
    """The learning rate that comes closest to 0.3."""

    mode = "lr"
    ranked: Sequence[Candidate] = ()

    def propose(self, trial: Any) -> list[str]:
        lr = trial.suggest_float("lr", 0.01, 1)
        if 0.6 < lr < 0.7:
            raise UserError("not this one")
        return [f"optim.lr={lr:.4f}"]

    def value(self, results: Sequence[dict[str, Any]]) -> float:
        return sum(result["metrics"]["top1"] for result in results) / len(results)

    def measures(self, results: Sequence[dict[str, Any]]) -> dict[str, float]:
        return {"distance": -results[0]["metrics"]["top1"]}

    def finish(self, ranked: Sequence[Candidate]) -> None:
        self.ranked = ranked


@pytest.fixture(autouse=True)
def hydra() -> Iterator[None]:
    with composing():
        yield


def search(folder: Path, **options: Any) -> Lr:
    return set_up(Lr(**{"trials": 9, "parallel": 3, "seed": 0, **options}), folder)


def run(
    folder: Path, patience: int = 10_000, failing: tuple[str, ...] = (), seeds: str = "0,1", **options: Any
) -> tuple[Lr, Launcher]:
    """Runs of ``failing`` learning rates come to nothing."""

    def result(cfg: Any) -> dict[str, Any] | None:
        if f"optim.lr={cfg.optim.lr:.4f}" in failing:
            return None
        return {"metrics": {"top1": -abs(cfg.optim.lr - 0.3) + 0.001 * cfg.seed}}

    made = search(folder, **options)
    made.launcher = launcher = Launcher(made, result, patience)  # type: ignore[assignment]
    arguments = [f"output_dir={folder}", f"seed={seeds}"]
    if patience < 10_000:
        with pytest.raises(KeyboardInterrupt):
            made.sweep(arguments)
    else:
        made.sweep(arguments)
    return made, launcher


def test_a_stopped_search_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole, at_once = run(tmp_path / "a")
    assert at_once.numbers == list(range(len(at_once.seen)))
    _, before = run(tmp_path / "b", patience=7)
    again, after = run(tmp_path / "b")
    assert [*before.seen, *after.seen] == [line.replace("/a", "/b") for line in at_once.seen]
    assert [(c.number, c.value) for c in again.ranked] == [(c.number, c.value) for c in whole.ranked]
    assert run(tmp_path / "b")[1].seen == []


def test_it_learns_and_passes_over_what_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, launcher = run(tmp_path, trials=24, parallel=1, seeds="0")
    values = [candidate.value or 0.0 for candidate in sorted(found.ranked, key=lambda candidate: candidate.number)]
    assert found.ranked[0].value == max(values)
    assert sum(values[-8:]) > sum(values[:8]) / 2  # half as far from the optimum, at least
    refused = capsys.readouterr().out.count("not this one")
    assert 0 < refused == 24 - len(found.ranked)
    assert len(launcher.seen) == len(found.ranked)
    plan = json.loads((tmp_path / "sweep" / "plan.json").read_text())
    assert (plan["mode"], len(plan["skipped"])) == ("lr", refused)


def test_the_value_is_of_all_runs(tmp_path: Path) -> None:
    found, launcher = run(tmp_path, trials=1)
    lr = float(launcher.seen[0].rpartition("=")[2])
    assert found.ranked[0].value == pytest.approx(-abs(lr - 0.3) + 0.0005)


def test_a_failed_run_is_tried_again_by_the_next_sweep_alone(tmp_path: Path) -> None:
    first = run(tmp_path / "x", trials=2)[1].seen[0].split()[-1]
    found, launcher = run(tmp_path / "y", failing=(first,))
    assert 0 not in [candidate.number for candidate in found.ranked]
    assert sum(first in line for line in launcher.seen) == 2  # its two seeds, once each
    assert sum(first in line for line in run(tmp_path / "y", trials=3)[1].seen) == 2


def test_the_ranking_is_written_and_its_beginning_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, _ = run(tmp_path)
    with (tmp_path / "sweep" / "ranking.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["rank"]) for row in rows] == list(range(1, len(found.ranked) + 1))
    assert [int(row["candidate"]) for row in rows] == [candidate.number for candidate in found.ranked]
    assert [float(row["value"]) for row in rows] == pytest.approx([c.value for c in found.ranked], rel=1e-5)
    # The value is the mean of two seeds, whose second has 0.001 more than the first, of which the distance is.
    assert float(rows[0]["distance"]) == pytest.approx(0.0005 - float(rows[0]["value"]), abs=1e-6)
    assert {row["n"] for row in rows} == {"2"}
    printed = capsys.readouterr().out
    assert all(row["overrides"] in printed for row in rows)


def test_one_that_another_process_trains_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(tmp_path / "x", trials=2)[1].seen[0].split()[-1]
    monkeypatch.setattr("assemble.runs.directory.trained_by", lambda _: "4711")
    with pytest.raises(UserError, match="candidate 0 is being trained by process 4711"):
        run(tmp_path / "y", failing=(first,))


def test_dry_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = search(tmp_path, dry_run=True)
    with pytest.raises(SystemExit) as end:
        made.sweep(["seed=0,1"])
    assert end.value.code == 0
    said = capsys.readouterr().out
    assert "lr, 9 candidates of 2 runs each" in said
    assert "270 epochs" in said  # 9 x 2 x 15
    assert said.count("candidate ") == 3


@pytest.mark.parametrize(("options", "says"), [({"trials": 0}, "trials=0"), ({"parallel": 0}, "parallel=0")])
def test_refused(tmp_path: Path, options: dict[str, int], says: str) -> None:
    with pytest.raises(UserError, match=says):
        search(tmp_path, **options)


def test_without_results_there_is_nothing_to_learn_from(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"lr learns from results, .*leave them out"):
        search(tmp_path).sweep(["explain=true"])
