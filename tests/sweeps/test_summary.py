"""The table at the end of a sweep: each job as it last went, and what its directory says by now."""

import json
import os
from pathlib import Path

import pytest

from assemble.runs.sweep_plan import Job, SweepPlan
from assemble.sweeps.job import BUSY
from assemble.sweeps.summary import jobs_of, summarise
from tests.helpers.small_sweep import finish


def record(job: int, code: int, *overrides: str, directory: Path | None = None) -> str:
    run = str(directory) if directory else None
    record = {"job": job, "overrides": overrides, "run_directory": run, "exit_code": code, "seconds": 1.5}
    return json.dumps(record) + "\n"


def job(folder: Path, seed: int, **changes: bool) -> Job:
    return Job((f"seed={seed}",), f"run{seed}", str(folder), (), seed, "row", "tiny", "digits", 1, **changes)


def test_every_job_of_the_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = [job(tmp_path, seed) for seed in range(8)] + [job(tmp_path, 8, trains=False)]
    SweepPlan("grid", jobs).write(tmp_path)
    finish(jobs[0].directory)
    finish(jobs[4].directory)
    (tmp_path / "jobs.jsonl").write_text(
        record(0, 0, "seed=1")  # whose result somebody took away
        + record(1, 2, "seed=2")
        + record(0, 2, "seed=3")
        + record(2, 130, "seed=3")  # as it last went
        + record(3, BUSY, "seed=4")  # the other process has finished it
        + record(4, BUSY, "seed=5")  # the other process was stopped
        + record(5, -9, "seed=6")
        + record(6, 0, "seed=8")
    )
    assert [outcome.state for outcome in jobs_of(tmp_path)] == [
        *("finished before", "ok", "failed (2)", "interrupted", "ok", "stopped in another process", "failed (-9)"),
        *("not run", "ok"),
    ]
    assert summarise(tmp_path) == 1
    said = capsys.readouterr()
    assert said.err == "5 of 9 jobs failed; the same command tries them again\n"
    assert said.out.count("81.25") == 2


def test_without_a_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "jobs.jsonl").write_text(
        record(1, 2, "+tricks=[bold]", "seed=0") + record(0, 130, "+tricks=[]", "seed=0", directory=tmp_path)
    )
    assert [outcome.row for outcome in jobs_of(tmp_path)] == ["+tricks=[]", "+tricks=[bold]"]
    assert summarise(tmp_path) == 1
    table = capsys.readouterr().out
    assert "+tricks=[bold]" in table  # not taken for a style
    assert "seed=0" not in table  # the same in all jobs
    assert table.index("interrupted") < table.index("failed (2)")


def test_logs_of_jobs_without_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "jobs.jsonl").write_text(record(0, 2, "seed=0"))
    (tmp_path / ".submitit").mkdir()
    assert summarise(tmp_path) == 1
    assert f"what they wrote is in {tmp_path}{os.sep}.submitit" in capsys.readouterr().err


def test_nothing_to_tell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert summarise(tmp_path) == 0
    assert capsys.readouterr().out == ""
