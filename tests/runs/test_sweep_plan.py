"""The plan of a sweep: what is done, how long the rest may take, and the file that the report reads."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from assemble.runs.sweep_plan import Job, SweepPlan, duration, estimate
from assemble.sweeps.overrides import varying
from tests.helpers.synthetic_runs import OF_RUN


def job(folder: Path, row: str = "base", seed: int = 0, **changes: object) -> Job:
    made = Job(
        overrides=(f"seed={seed}",),
        run_id=f"tiny-{row}-s{seed}",
        output_dir=str(folder),
        tricks=(),
        seed=seed,
        row=row,
        model="tiny",
        data="digits",
        epochs=10,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def finish(job: Job, seconds: float, epochs: int = 10) -> None:
    job.directory.mkdir(parents=True)
    result = {
        **OF_RUN,
        "run_id": job.run_id,
        "model": job.model,
        "data": job.data,
        "epochs": epochs,
        "train_seconds": seconds,
    }
    (job.directory / "result.json").write_text(json.dumps({**result, "metrics": {"top1": 50.0}}))


def test_the_estimate_takes_the_nearest_runs(tmp_path: Path) -> None:
    jobs = [job(tmp_path, row, seed) for row in ("base", "sk") for seed in (0, 1)]
    assert estimate(jobs, jobs).startswith("unknown")
    finish(job(tmp_path, "of another sweep"), 30.0, epochs=5)  # 6 s an epoch: 60 s a job
    finish(job(tmp_path, "of another network", model="resnet50"), 9000.0)
    assert estimate(jobs, jobs).startswith("about 4.0 min of training")
    finish(jobs[0], 100.0)  # now both rows are judged by a run of this sweep
    assert estimate(jobs[1:], jobs).startswith("about 5.0 min of training")
    finish(jobs[2], 500.0)  # each row by its own
    assert estimate([jobs[1], jobs[3]], jobs) == (
        "about 10.0 min of training, one job after another, judged by 2 finished runs"
    )
    assert estimate([jobs[1], job(tmp_path, "deep", model="resnet20")], jobs).startswith("unknown")


def test_the_file_comes_back_as_it_was(tmp_path: Path) -> None:
    plan = SweepPlan("pairs", [job(tmp_path), job(tmp_path, "sk", 1)], [["a", "b"]], [{"row": "c", "reason": "no"}])
    path = plan.write(tmp_path / "sweep")
    assert SweepPlan.read(tmp_path / "sweep") == plan
    assert SweepPlan.read(tmp_path) is None
    content = json.loads(path.read_text())
    assert content["mode"] == "pairs"
    assert content["orders"] == [["a", "b"]]
    assert {"overrides", "run_id", "tricks", "seed", "row"} <= set(content["jobs"][0])


def test_it_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = [job(tmp_path, row, seed) for row in ("base", "+ [sk]") for seed in (0, 1, 2)]
    finish(jobs[0], 100.0)
    jobs[1].directory.mkdir()
    (jobs[1].directory / "last.ckpt").touch()
    SweepPlan("cumulative", jobs, [["sk"]], [{"row": "x", "tricks": [], "reason": "x needs [y]"}]).show()
    shown = capsys.readouterr().out
    assert "cumulative, 2 rows, 6 jobs" in shown
    assert "1 finished, 1 begun, 4 to begin" in shown
    assert "about 8.3 min of training, one job after another, judged by 1 finished run" in shown
    assert "x: x needs [y]" in shown  # not taken for a style
    assert "+ [sk]" in shown


def test_jobs_that_do_not_train_are_never_done(tmp_path: Path) -> None:
    finish(job(tmp_path), 1.0)
    assert job(tmp_path).result is not None
    assert job(tmp_path, trains=False).result is None


def test_durations() -> None:
    assert [duration(seconds) for seconds in (1, 119, 120, 7199, 7200, 172800)] == [
        *("1 s", "119 s", "2.0 min", "120.0 min", "2.0 h", "2.0 days")
    ]


def test_varying() -> None:
    assert varying([["a=1", "seed=0", "b=0"], ["a=2", "seed=1", "b=0"]]) == ["a=1", "a=2"]
    assert varying([["a=1", "seed=0"]]) == [""]
    assert varying([]) == []
