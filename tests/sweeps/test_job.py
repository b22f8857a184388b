"""Sweeps: each job a process of its own, whatever the others do."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from assemble.interrupts import IN_SWEEP
from assemble.runs.directory import lock
from assemble.sweeps.job import _stop, child_environment
from tests.helpers.small_sweep import finish, small_sweep, wait_for

pytestmark = pytest.mark.process


@pytest.fixture
def sweep(tmp_path: Path) -> list[str]:
    """The command of a sweep in ``tmp_path``."""
    return small_sweep(tmp_path)


def records(tmp_path: Path) -> list[dict]:
    return [json.loads(line) for line in (tmp_path / "sweep" / "jobs.jsonl").read_text().splitlines()]


def read(path: Path) -> dict:
    return json.loads(path.read_text())


def test_jobs_of_their_own(sweep: list[str], tmp_path: Path) -> None:
    loud = {"LOCAL_RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "x", "SLURM_NTASKS": "2", "SLURM_JOB_ID": "5"}
    # Seed 0 has a result already; 3 fails, 4 is killed, and 1 still has its turn.
    command = [*sweep, "seed=3,4,1", "+reported.text='a b=[c],d'"]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, **loud}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    noted = records(tmp_path)
    assert [record["exit_code"] for record in noted] == [2, -signal.SIGKILL, 0]
    assert [record["job"] for record in noted] == [0, 1, 2]
    assert all(record["seconds"] > 0 for record in noted)
    assert all(Path(record["run_directory"]).parent == tmp_path / "runs" for record in noted)
    assert len({record["run_directory"] for record in noted}) == 3
    assert "failed (2)" in done.stdout
    assert "2 of 3 jobs failed" in done.stderr
    assert "Traceback" not in done.stderr

    seen = json.loads((tmp_path / "seen1.json").read_text())
    assert seen["argv"] == noted[2]["overrides"]
    assert "seed=1" in seen["argv"]
    assert "-m" not in seen["argv"]
    assert not any(argument.startswith("hydra.") for argument in seen["argv"])
    for name in (
        "LOCAL_RANK",
        "WORLD_SIZE",
        "MASTER_ADDR",
        "SLURM_NTASKS",
        "HYDRA_FULL_ERROR",
    ):
        assert name not in seen["env"]
    assert [name for name in seen["env"] if name.startswith("ASSEMBLE_")] == [IN_SWEEP]
    assert seen["env"]["WANDB_RUN_GROUP"] == "sweep"  # its directory's name
    assert seen["env"]["SLURM_JOB_ID"] == "5"


def test_finished_jobs_are_not_run_again(sweep: list[str], tmp_path: Path) -> None:
    subprocess.run([*sweep, "seed=0"], cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "seen0.json").unlink()
    directory = Path(records(tmp_path)[0]["run_directory"])
    finish(directory, 81.25)
    done = subprocess.run([*sweep, "seed=0,1"], cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "1 finished, 0 begun, 1 to begin" in done.stdout  # before it starts
    assert "job 1" not in done.stdout  # the launcher gets no finished job
    assert not (tmp_path / "seen0.json").exists()
    assert (tmp_path / "seen1.json").exists()
    assert "81.25" in done.stdout  # in the report's table
    assert "81.25" in (tmp_path / "sweep" / "report.html").read_text()
    assert "returned nan" in done.stdout


def test_a_sweeper_that_makes_no_plan(sweep: list[str], tmp_path: Path) -> None:
    command = [*sweep, "hydra/sweeper=basic", "seed=3,1"]
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "failed (2)" in done.stdout  # in the table
    assert done.stderr == "1 of 2 jobs failed; the same command tries them again\n"


def test_a_mistake_is_found_before_the_first_job(sweep: list[str], tmp_path: Path) -> None:
    command = [*sweep, "seed=0", "trainer.devices=1,many"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "error: trainer.devices: 'many' is not an integer\n"
    assert not (tmp_path / "seen0.json").exists()


@pytest.mark.parametrize("way", ["terminal", "interrupted alone", "terminated alone"])
def test_stopping(sweep: list[str], tmp_path: Path, way: str) -> None:
    began = (tmp_path / "stderr").open("w")
    with (
        began,
        subprocess.Popen(
            [*sweep, "seed=9,1"],
            cwd=tmp_path,
            stdout=began,
            stderr=began,
            start_new_session=True,
            # Shells let the commands that they put into the background ignore it, the tests perhaps among them.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        ) as process,
    ):
        wait_for((tmp_path / "waiting").exists)
        if way == "terminal":
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.send_signal(signal.SIGINT if way.startswith("int") else signal.SIGTERM)
        assert process.wait(30) == 130
    assert (tmp_path / "stopped").read_text() == "gracefully"
    assert not (tmp_path / "seen1.json").exists()
    assert [record["exit_code"] for record in records(tmp_path)] == [130]
    with pytest.raises(ProcessLookupError):
        os.kill(json.loads((tmp_path / "seen9.json").read_text())["pid"], 0)
    assert (tmp_path / "stderr").read_text().count("interrupted: ") == 1
    assert "failed" not in (tmp_path / "stderr").read_text()


def test_the_users_own_full_error_reaches_the_jobs() -> None:
    ours = {IN_SWEEP, "PYTHONPATH"}

    def theirs(**environment: str) -> dict[str, str]:
        return {name: value for name, value in child_environment(environment).items() if name not in ours}

    assert theirs(HYDRA_FULL_ERROR="1") == {"HYDRA_FULL_ERROR": "1"}
    assert theirs(HYDRA_FULL_ERROR="1", ASSEMBLE_SET_HYDRA_FULL_ERROR="1", A="b") == {"A": "b"}


def test_killed_and_run_again(sweep: list[str], tmp_path: Path) -> None:
    command = [*sweep, "seed=0,9,1"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
        wait_for((tmp_path / "waiting").exists)
        process.kill()
    os.kill(read(tmp_path / "seen9.json")["pid"], signal.SIGKILL)
    finish(Path(records(tmp_path)[0]["run_directory"]))
    for seed in (0, 9):
        (tmp_path / f"seen{seed}.json").unlink()
    (tmp_path / "waiting").unlink()
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        wait_for((tmp_path / "waiting").exists)
        os.kill(read(tmp_path / "seen9.json")["pid"], signal.SIGKILL)
        stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert not (tmp_path / "seen0.json").exists()
    assert (tmp_path / "seen1.json").exists()
    assert "1 finished, 0 begun, 2 to begin" in stdout


def test_a_run_that_another_process_trains(sweep: list[str], tmp_path: Path) -> None:
    subprocess.run([*sweep, "seed=0,5", "hydra.sweeper.dry_run=true"], cwd=tmp_path, check=True, capture_output=True)
    assert not (tmp_path / "seen0.json").exists()  # no more than planned
    plan = read(tmp_path / "sweep" / "plan.json")
    directories = [tmp_path / "runs" / job["run_id"] for job in plan["jobs"]]
    for directory in directories:
        directory.mkdir(parents=True)
    # This process has the run of seed 0 before the sweep begins, and that of seed 5 after its job has started.
    with lock(directories[0]):
        command = [*sweep, "seed=0,5,1"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(command, cwd=tmp_path, text=True, **pipes) as process:
            wait_for((tmp_path / "seen5.json").exists)
            with lock(directories[1]):
                (tmp_path / "go").write_text("")
                stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert not (tmp_path / "seen0.json").exists()
    assert (tmp_path / "seen1.json").exists()
    assert [record["exit_code"] for record in records(tmp_path)] == [os.EX_TEMPFAIL, os.EX_TEMPFAIL, 0]
    assert stdout.count(f"being trained by process {os.getpid()}") == 3  # once where it is passed over, two lines
    assert stderr == "2 of 3 jobs left to the processes that are training them\n"


def test_in_the_background_of_a_script_a_job_is_stopped_at_once() -> None:
    """There SIGINT is ignored, by the job too, which would end by itself (0) before that wait is over."""
    child = subprocess.Popen(
        [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"],
        stdout=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    assert child.stdout is not None
    child.stdout.readline()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        _stop(child)
    finally:
        signal.signal(signal.SIGINT, before)
    child.stdout.close()
    assert child.returncode == -signal.SIGTERM
