"""A disk that is full, or a limit on the size of files: one line at every writer, and with room the command goes on.

Disks are small ones in memory, which root alone may mount; the tests with a limit need nobody's leave.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tests.faults.test_ends import PROGRAM, SMALL, error, only_run
from tests.helpers import forked

pytestmark = pytest.mark.process

TEACHER = ("+tricks=[distillation]", "tricks.distillation.cache=logits")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a finished run."""
    folder = tmp_path_factory.mktemp("whole")
    done = forked.run(PROGRAM, folder, *SMALL)
    assert done.returncode == 0, done.stderr
    return only_run(folder)


Disk = Callable[[int], Path]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Return a function that mounts a disk of so many KiB, or makes it as large."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(kib: int) -> Path:
        remount = ",remount" if folder.is_mount() else ""
        command = ["mount", "-t", "tmpfs", "-o", f"size={kib}k{remount}", "tmpfs", str(folder)]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("no leave to mount a disk")
        return folder

    yield mount
    if folder.is_mount():
        subprocess.run(["umount", str(folder)], check=True)


def check_training(whole: Path, disk: Disk, kib: int) -> None:
    """Train on a disk that is too small, then with room: it ends where the other run ended."""
    folder = disk(kib)
    line = error(forked.run(PROGRAM, folder, *SMALL))
    assert "No space left on device. Choose another place" in line
    disk(4096)
    done = forked.run(PROGRAM, folder, *SMALL)
    assert done.returncode == 0, done.stderr
    run = only_run(folder)
    found, expected = (torch.load(path / "last.ckpt", weights_only=True)["state_dict"] for path in (run, whole))
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert (run / "metrics.csv").read_text() == (whole / "metrics.csv").read_text()
    assert not list(run.glob(".*.tmp"))


def test_training(whole: Path, disk: Disk) -> None:
    """There is room for all but the second checkpoint."""
    check_training(whole, disk, 16 + (whole / "best.ckpt").stat().st_size // 1024)


@pytest.mark.slow
@pytest.mark.parametrize("pages", [1, 2, 3])
@pytest.mark.parametrize("checkpoints", [0, 1, 2])
def test_training_at_every_writer(whole: Path, disk: Disk, checkpoints: int, pages: int) -> None:
    """Room for so many checkpoints, and for so many pages beside: config.yaml, .lock, metrics.csv, result.json."""
    size = -(-(whole / "best.ckpt").stat().st_size // 4096)
    check_training(whole, disk, 4 * (checkpoints * size + pages))


def commands(run: Path) -> dict[str, tuple[str, ...]]:
    """Return what writes files, by what they are."""
    checkpoint = f"checkpoint={run / 'best.ckpt'}"
    network = ("model=tiny", "size=16", "batch_size=1", "rounds=1", "device=cpu")
    return {
        "logits": ("train", *SMALL, *TEACHER, f"tricks.distillation.teacher={run / 'best.ckpt'}", "prepare=true"),
        "evaluation": ("evaluate", checkpoint, "output_dir=.", "trainer.progress_bar=false"),
        "weights": ("export", checkpoint, "output=out"),
        "onnx": ("export", checkpoint, "output=out", "formats=[onnx]"),
        "page": ("report", str(run), "html=page.html"),
        "plots": ("report", str(run), "png=plots"),
        "curves": ("report", str(run), "curves=curves.png"),
        "table": ("report", str(run), "csv=table.csv", "markdown=table.md", "latex=table.tex"),
        "costs": ("benchmark", *network, "output=costs.json"),
    }


def check_writer(run: Path, folder: Path, name: str, monkeypatch: pytest.MonkeyPatch, *reasons: str) -> None:
    program, *arguments = commands(run)[name]
    monkeypatch.setenv("PROGRAM", program)
    done = forked.run(PROGRAM, folder, *arguments)
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 2, done.stderr
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert any(reason in lines[0] for reason in reasons), lines


def test_logits(whole: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    check_writer(whole, disk(8), "logits", monkeypatch, "logits-00000.npy: No space left on device")


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in commands(Path()) if name != "logits"])
def test_other_writers(whole: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    folder = disk(4)
    (folder / "rest").write_bytes(bytes(4096))
    check_writer(whole, folder, name, monkeypatch, "No space left on device")


def test_a_limit_on_the_size_of_files(tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FILE_LIMIT", "20000")
    line = error(forked.run(PROGRAM, tmp_path, *SMALL))
    assert "best.ckpt: File too large" in line
    assert "raise the limit on the size of files (ulimit -f)" in line
    monkeypatch.delenv("FILE_LIMIT")
    assert forked.run(PROGRAM, tmp_path, *SMALL).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in commands(Path()) if name not in {"table", "costs"}])
def test_a_limit_at_every_writer(tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("FILE_LIMIT", "4000")
    check_writer(whole, tmp_path, name, monkeypatch, "File too large")
