"""Every end of a run is one line and an exit code that says which, and the same command goes on after it.

Here a few moments of a run. With ``-m slow``: every signal at every moment, of one process and of two devices.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.helpers import forked
from tests.helpers.faulty import MOMENTS, PATIENCE, SIGNALS

pytestmark = pytest.mark.process

PROGRAM = "tests/helpers/faulty.py"
SMALL = (
    "data.image_size=16",
    "model.width=4",
    "trainer.progress_bar=false",
    "trainer.max_epochs=1",
    "trainer.limit_train_batches=0.15",
    "trainer.log_every_n_steps=1",
    "logger=[csv]",
)
TWO = ("trainer.devices=2", "trainer.accelerator=cpu")


def only_run(folder: Path) -> Path:
    (run,) = (folder / "runs").iterdir()
    return run


def said(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What was said on stderr, but for advice of Lightning's about the machine."""
    return [line for line in done.stderr.splitlines() if line.strip() and "/site-packages/" not in line]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(only_run(folder) / "last.ckpt", weights_only=True)["state_dict"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the run that nothing happens to."""
    folder = tmp_path_factory.mktemp("whole")
    done = forked.run(PROGRAM, folder, *SMALL)
    assert done.returncode == 0, done.stderr
    return folder


def check_goes_on(folder: Path, whole: Path, *overrides: str) -> None:
    """The same command, undisturbed, ends where the undisturbed run ends."""
    done = forked.run(PROGRAM, folder, *SMALL, *overrides)
    assert done.returncode == 0, done.stderr
    found, expected = weights(folder), weights(whole)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert (only_run(folder) / "metrics.csv").read_text() == (only_run(whole) / "metrics.csv").read_text()


def check_signal(folder: Path, whole: Path, monkeypatch: pytest.MonkeyPatch, moment: str, name: str) -> None:
    monkeypatch.setenv("FAULT", f"{moment}, {name}")
    done = forked.run(PROGRAM, folder, *SMALL)
    assert done.returncode == 128 + signal.Signals[name], done.stderr
    assert said(done) == ["interrupted: the same command goes on from the last checkpoint"]
    monkeypatch.delenv("FAULT")
    check_goes_on(folder, whole)


@pytest.mark.parametrize(
    ("moment", "name"), [("start", "SIGTERM"), ("step", "SIGUSR1"), ("checkpoint", "SIGTERM"), ("test", "SIGINT")]
)
def test_a_signal(tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch, moment: str, name: str) -> None:
    check_signal(tmp_path, whole, monkeypatch, moment, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("moment", MOMENTS)
def test_every_signal(tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch, moment: str, name: str) -> None:
    check_signal(tmp_path, whole, monkeypatch, moment, name)


# --- two devices


def real(folder: Path, *overrides: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Train in a session of its own; nobody of it is left half a minute after its first process has ended."""
    with (folder / "stderr").open("w") as stderr:
        job = subprocess.Popen(
            [sys.executable, str(Path(__file__).parents[2] / PROGRAM), *SMALL, *overrides],
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
            # Shells let the commands that they put into the background ignore it, the tests perhaps among them.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
    try:
        job.wait(timeout=200)
        for _ in range(10 * PATIENCE):
            if not in_session(job.pid):
                break
            time.sleep(0.1)
        assert not in_session(job.pid)
    finally:
        for process in in_session(job.pid):
            os.kill(process, signal.SIGKILL)
        job.wait()
    return subprocess.CompletedProcess([], job.returncode, "", (folder / "stderr").read_text())


def in_session(number: int) -> list[int]:
    """Return the processes of a session that still run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        if fields[3] == str(number) and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found


def check_signal_of_two(folder: Path, moment: str, name: str, rank: str = "0", **environment: str) -> None:
    done = real(folder, *TWO, FAULT=f"{moment}, {name}", FAULT_RANK=rank, **environment)
    assert done.returncode == 128 + signal.Signals[name.rpartition(" ")[2]], done.stderr
    assert said(done) == ["interrupted: the same command goes on from the last checkpoint"]
    done = real(folder, *TWO)
    assert done.returncode == 0, done.stderr
    assert (only_run(folder) / "result.json").is_file()


def test_a_signal_to_one_of_two_devices(tmp_path: Path) -> None:
    check_signal_of_two(tmp_path, "step", "SIGTERM")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGTERM", "group SIGINT", "SIGUSR1"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_every_signal_to_two_devices(tmp_path: Path, moment: str, name: str) -> None:
    check_signal_of_two(tmp_path, moment, name)


@pytest.mark.slow
def test_a_validation_that_takes_too_long_on_two_devices(tmp_path: Path) -> None:
    check_signal_of_two(tmp_path, "validation", "SIGTERM", STOPPING_PATIENCE="0")


def test_the_first_device_killed_at_start_up_takes_the_others_along(tmp_path: Path) -> None:
    done = real(tmp_path, *TWO, FAULT="rendezvous, SIGKILL")
    assert done.returncode == -signal.SIGKILL
    assert "Traceback" not in done.stderr


# --- what is no signal


def error(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one line that a run which had to end has said."""
    assert done.returncode == 2, done.stderr
    (line,) = said(done)
    assert line.startswith("error: ")
    return line


@pytest.mark.parametrize(
    "moment", ["validation", *(pytest.param(moment, marks=pytest.mark.slow) for moment in ("step", "test", "after"))]
)
def test_a_directory_that_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    monkeypatch.setenv("FAULT", f"{moment}, remove")
    done = forked.run(PROGRAM, tmp_path, *SMALL)
    assert "was removed or moved while the run was in it: put it back" in error(done)
    assert not list((tmp_path / "runs").iterdir())  # not half a run, which the next command would go on from


def test_a_loaders_worker_that_is_killed(tmp_path: Path, whole: Path) -> None:
    done = real(tmp_path, "data.num_workers=2", FAULT="step, end worker")
    assert "a worker that loads images was ended by the system" in error(done)
    assert "lower data.num_workers" in error(done)
    check_goes_on(tmp_path, whole)


def test_a_step_of_one_image(tmp_path: Path) -> None:
    batch = ("data.batch_size=4", "trainer.accumulate_grad_batches=4")
    done = forked.run(PROGRAM, tmp_path, *SMALL, "+tricks=[sk]", *batch)
    assert "a step of one image on one device is too small" in error(done)
