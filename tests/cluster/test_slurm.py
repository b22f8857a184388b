"""Runs in a real SLURM end where a run without it ends, however SLURM treats them.

apt-get install slurm-wlm munge && python -m pytest tests/cluster -m slow
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from assemble.paths import ROOT
from tests.cluster.slurm import Slurm, missing, wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.process,
    pytest.mark.timeout(900),
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]
ARGUMENTS = (
    "data.image_size=16",
    "model.width=4",
    "data.batch_size=16",
    "trainer.progress_bar=false",
    "+tricks=[mixup,dropblock]",
    "trainer.devices=2",
    "trainer.accelerator=cpu",
)
TRAIN = f"{shlex.quote(sys.executable)} {shlex.quote(str(ROOT / 'train.py'))} "


def command(epochs: int = 8) -> str:
    return TRAIN + shlex.join([*ARGUMENTS, f"trainer.max_epochs={epochs}"])


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    cluster = Slurm(tmp_path_factory.mktemp("slurm") / "cluster")
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Weights and metrics of the run without SLURM."""
    return without_slurm(tmp_path_factory.mktemp("whole"))


def without_slurm(folder: Path, epochs: int = 8) -> Any:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command(epochs), shell=True, check=True, cwd=folder, env=environment, timeout=600)
    return outcome(folder)


def outcome(folder: Path, seed: int = 0) -> Any:
    (run,) = (folder / "runs").glob(f"tiny-*-s{seed}-*")
    content = torch.load(run / "last.ckpt", weights_only=True)
    assert (run / "result.json").is_file()
    return content["state_dict"], (run / "metrics.csv").read_text()


def assert_same(one: Any, other: Any) -> None:
    assert one[1] == other[1]
    assert all(torch.equal(one[0][name], other[0][name]) for name in one[0])


def said(folder: Path) -> str:
    return (folder / "said").read_text() if (folder / "said").exists() else ""


def rows(folder: Path, seed: int = 0) -> int:
    """What a run has logged so far, in lines."""
    files = list((folder / "runs").glob(f"tiny-*-s{seed}-*/metrics.csv"))
    return len(files[0].read_text().splitlines()) if files else 0


def test_two_ranks_by_srun(slurm: Slurm, whole: Any, tmp_path: Path) -> None:
    job = slurm.submit(tmp_path, f"srun {command()}", "--ntasks-per-node=2")
    assert slurm.end_of(job)["ExitCode"] == "0:0", said(tmp_path)
    assert_same(outcome(tmp_path), whole)


def test_without_srun_two_ranks_are_refused(slurm: Slurm, tmp_path: Path) -> None:
    job = slurm.submit(tmp_path, command(), "--ntasks-per-node=2")
    assert slurm.end_of(job)["ExitCode"] == "2:0"
    assert "srun must start them" in said(tmp_path)
    assert not (tmp_path / "runs").exists()


def test_requeued_twice_it_ends_the_same(slurm: Slurm, whole: Any, tmp_path: Path) -> None:
    job = slurm.submit(tmp_path, f"srun {command()}", "--ntasks-per-node=2", "--requeue")

    def restarted(times: int, more_rows_than: int) -> bool:
        state = slurm.hurried(job)
        return (state["JobState"], state["Restarts"]) == ("RUNNING", str(times)) and rows(tmp_path) > more_rows_than

    for number in range(2):
        before = rows(tmp_path)
        wait_for(lambda: restarted(number, before), 180, "a row")  # noqa: B023
        slurm("scancel", "--signal=USR1", job)
        wait_for(lambda: said(tmp_path).count(f"job {job} is requeued") == number + 1, 60, "the requeue")  # noqa: B023
    assert slurm.end_of(job)["ExitCode"] == "0:0", said(tmp_path)
    assert slurm.state(job)["Restarts"] == "2"
    assert_same(outcome(tmp_path), whole)
    assert "Traceback" not in said(tmp_path)


def test_the_time_limit_stops_it_and_the_same_command_goes_on(slurm: Slurm, tmp_path: Path) -> None:
    """SLURM looks at limits, of whole minutes, twice a minute: so this run is longer than the others."""
    longer = 40
    (tmp_path / "whole").mkdir()
    job = slurm.submit(tmp_path, f"srun {command(longer)}", "--ntasks-per-node=2", "--time=1")
    assert slurm.end_of(job)["JobState"] == "TIMEOUT", said(tmp_path)
    assert list(tmp_path.glob("runs/tiny-*/last.ckpt"))
    job = slurm.submit(tmp_path, f"srun {command(longer)}", "--ntasks-per-node=2")
    assert slurm.end_of(job, 500)["ExitCode"] == "0:0", said(tmp_path)
    assert_same(outcome(tmp_path), without_slurm(tmp_path / "whole", longer))
    assert "Traceback" not in said(tmp_path)


def test_a_cancelled_sweep_goes_on(slurm: Slurm, whole: Any, tmp_path: Path) -> None:
    sweep = TRAIN + shlex.join(["-m", *ARGUMENTS, "trainer.max_epochs=8", "seed=1,0", "hydra.sweep.dir=runs/sweeps/x"])
    job = slurm.submit(tmp_path, sweep, "--ntasks=1")
    wait_for(lambda: rows(tmp_path, 0) > 0, 180, "a row of the second job")
    slurm("scancel", job)
    assert slurm.end_of(job)["JobState"] == "CANCELLED"
    job = slurm.submit(tmp_path, sweep, "--ntasks=1")
    assert slurm.end_of(job)["ExitCode"] == "0:0", said(tmp_path)
    assert_same(outcome(tmp_path, 0), whole)


def test_a_sweep_by_submitit(slurm: Slurm, whole: Any, tmp_path: Path) -> None:
    options = ["hydra/launcher=submitit_slurm", "hydra.launcher.partition=main", "hydra.launcher.timeout_min=10"]
    environment = slurm.environment
    subprocess.run(
        TRAIN + shlex.join(["-m", *ARGUMENTS, "trainer.max_epochs=8", *options, "seed=0,1"]),
        shell=True,
        check=True,
        cwd=tmp_path,
        env=environment,
        timeout=400,
    )
    assert_same(outcome(tmp_path, 0), whole)
    outcome(tmp_path, 1)


def test_the_script_of_the_docs_is_requeued_at_its_time_limit(slurm: Slurm, tmp_path: Path) -> None:
    """SLURM may send the signal up to a minute early, so each turn lasts between 20 s and 80 s here."""
    longer = 40
    programs = tmp_path / "bin"
    for folder in (programs, tmp_path / "whole"):
        folder.mkdir()
    (programs / "python").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    (programs / "python").chmod(0o755)
    (tmp_path / "train.py").symlink_to(ROOT / "train.py")
    ours = [word for word in ARGUMENTS if not word.startswith("trainer.devices")]
    said_to = ("--output", str(tmp_path / "said"), "--chdir", str(tmp_path))
    fewer = ("--nodes=1", "--ntasks-per-node=2", "--cpus-per-task=1", "--gpus-per-node=0", "--signal=SIGUSR1@100")
    script = str(ROOT / "docs" / "clusters" / "sbatch.sh")
    environment = {**slurm.environment, "PATH": f"{programs}:{slurm.environment['PATH']}"}
    command_line = ["sbatch", "--parsable", *said_to, *fewer, "--time=2", script, *ours, f"trainer.max_epochs={longer}"]
    done = subprocess.run(command_line, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    job = done.stdout.strip()
    assert slurm.end_of(job, 600)["ExitCode"] == "0:0", said(tmp_path)
    assert int(slurm.state(job)["Restarts"]) == said(tmp_path).count(f"job {job} is requeued") > 0
    assert_same(outcome(tmp_path), without_slurm(tmp_path / "whole", longer))
    assert "Traceback" not in said(tmp_path)
