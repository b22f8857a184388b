"""Runs that are killed and stopped at random moments end, by the same command, where the uninterrupted run ends.

    python -m pytest tests/faults -m slow --soak 50

does it fifty times for each kind of run; docs/reliability.md has what came out.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from assemble.paths import ROOT

pytestmark = pytest.mark.process

SMALL = (
    "data.image_size=16",
    "model.width=4",
    "data.batch_size=16",
    "trainer.progress_bar=false",
    "trainer.max_epochs=3",
    "trainer.log_every_n_steps=7",
    "trainer.checkpoint_minutes=0.005",
)
KINDS = {
    "plain": (),
    "mixup, dropblock, ema": ("+tricks=[mixup,dropblock,ema]",),
    "accumulation": ("+tricks=[mixup]", "trainer.accumulate_grad_batches=2"),
    "workers": ("+tricks=[random_erasing]", "data.num_workers=2"),
    "two devices": ("+tricks=[dropblock]", "trainer.devices=2", "trainer.accelerator=cpu"),
}
ENDS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
PATIENCE = 30
"""Seconds until a stopped run has ended."""


def start(folder: Path, *overrides: str) -> subprocess.Popen[bytes]:
    with (folder / "said").open("ab") as said:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "train.py"), *SMALL, *overrides],
            cwd=folder,
            stdout=said,
            stderr=said,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
            # Shells let the commands that they put into the background ignore it, the tests perhaps among them.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )


def outcome(folder: Path) -> tuple[dict[str, Any], str]:
    (run,) = (folder / "runs").iterdir()
    content = torch.load(run / "last.ckpt", weights_only=True)
    return content["state_dict"], (run / "metrics.csv").read_text()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The uninterrupted run of a kind, trained once, and how long it took."""
    made: dict[str, tuple[Any, float]] = {}

    def of(kind: str) -> tuple[Any, float]:
        if kind not in made:
            folder, began = tmp_path_factory.mktemp("whole"), time.monotonic()
            assert start(folder, *KINDS[kind]).wait(timeout=250) == 0, (folder / "said").read_text()
            made[kind] = outcome(folder), time.monotonic() - began
        return made[kind]

    return of


def interrupted_run(folder: Path, kind: str, seconds: float, rng: random.Random) -> list[str]:
    """Train with two interruptions at random moments; returns what they were."""
    ends = []
    for _ in range(2):
        process, end, wait = start(folder, *KINDS[kind]), rng.choice(ENDS), rng.uniform(0.2, 1.1) * seconds
        ends.append(f"{end.name} after {wait:.2f} s")
        try:
            process.wait(timeout=wait)
        except subprocess.TimeoutExpired:
            if end is signal.SIGKILL:
                os.killpg(process.pid, end)
            else:
                process.send_signal(end)
            code = process.wait(timeout=PATIENCE)
            assert code in (0, 128 + end, -end), (ends, (folder / "said").read_text())
    assert start(folder, *KINDS[kind]).wait(timeout=250) == 0, (ends, (folder / "said").read_text())
    assert "Traceback" not in (folder / "said").read_text(), ends
    return ends


def check(tmp_path: Path, whole: Any, kind: str, number: int) -> None:
    (weights, metrics), seconds = whole(kind)
    ends = interrupted_run(tmp_path, kind, seconds, random.Random(f"{kind} {number}"))
    found, rows = outcome(tmp_path)
    assert found.keys() == weights.keys()
    assert all(torch.equal(found[name], weights[name]) for name in weights), ends
    assert rows == metrics, ends


def test_one_of_each(tmp_path: Path, whole: Any) -> None:
    check(tmp_path, whole, "mixup, dropblock, ema", 0)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kind", KINDS)
def test_soak(tmp_path: Path, whole: Any, kind: str, soak: int) -> None:
    for number in range(soak):
        folder = tmp_path / str(number)
        folder.mkdir()
        check(folder, whole, kind, number)
