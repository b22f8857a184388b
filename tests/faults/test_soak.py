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
from tests.helpers.teachers import checkpoint

pytestmark = pytest.mark.process

SHORT = ("data.image_size=16", "trainer.progress_bar=false", "trainer.log_every_n_steps=7")
SMALL = (*SHORT, "model.width=4", "data.batch_size=16", "trainer.max_epochs=3", "trainer.checkpoint_minutes=0.005")
KINDS = {
    "plain": SMALL,
    "mixup, dropblock, ema": (*SMALL, "+tricks=[mixup,dropblock,ema]"),
    "distillation": (
        *(*SMALL, "+tricks=[distillation]"),
        *("tricks.distillation.teacher=../teacher.ckpt", "tricks.distillation.cache=logits"),
    ),
    "accumulation": (*SMALL, "+tricks=[mixup]", "trainer.accumulate_grad_batches=2"),
    "workers": (*SMALL, "+tricks=[random_erasing]", "data.num_workers=2"),
    "two devices": (*SMALL, "+tricks=[dropblock]", "trainer.devices=2", "trainer.accelerator=cpu"),
    "sweep": ("-m", *SMALL, "+tricks=[],[mixup]"),
    "search": (
        *("-m", *SHORT, "hydra/sweeper=nas", "hydra.sweeper.trials=2", "hydra.sweeper.parallel=1"),
        *("hydra.sweeper.channels=[8,16]", "hydra.sweeper.strides=[1,2]", "hydra.sweeper.layers=[1]"),
        *("trainer.max_epochs=1", "trainer.checkpoint_minutes=0.005", "hydra.sweep.dir=runs/sweeps/search"),
    ),
}
ENDS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
PATIENCE = 30
"""Seconds until a stopped run has ended."""


def start(folder: Path, *overrides: str) -> subprocess.Popen[bytes]:
    with (folder / "said").open("ab") as said:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "train.py"), *overrides],
            cwd=folder,
            stdout=said,
            stderr=said,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
            # Shells let the commands that they put into the background ignore it, the tests perhaps among them.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )


Outcome = dict[str, tuple[dict[str, Any], str]]
"""Run -> its weights, and its metrics.csv."""


def outcome(folder: Path) -> Outcome:
    found = {}
    for file in sorted((folder / "runs").glob("*/last.ckpt")):
        assert (file.parent / "result.json").is_file()
        weights = torch.load(file, weights_only=True)["state_dict"]
        found[file.parent.name] = weights, (file.parent / "metrics.csv").read_text()
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The uninterrupted run of a kind, trained once, and how long it took."""
    made: dict[str, tuple[Any, float]] = {}

    def of(kind: str) -> tuple[Any, float]:
        if kind not in made:
            folder = tmp_path_factory.mktemp("whole") / "runs of it"
            folder.mkdir()
            write_teacher(folder)
            began = time.monotonic()
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
            # A sweep that was told to end says that it was interrupted.
            assert code in (0, 128 + end, -end, *([130] if "-m" in KINDS[kind] else [])), (
                ends,
                (folder / "said").read_text(),
            )
    assert start(folder, *KINDS[kind]).wait(timeout=250) == 0, (ends, (folder / "said").read_text())
    assert "Traceback" not in (folder / "said").read_text(), ends
    return ends


def check(folder: Path, whole: Any, kind: str, number: int) -> None:
    expected, seconds = whole(kind)
    write_teacher(folder)
    ends = interrupted_run(folder, kind, seconds, random.Random(f"{kind} {number}"))
    found = outcome(folder)
    assert found.keys() == expected.keys()
    for run, (weights, metrics) in expected.items():
        assert found[run][0].keys() == weights.keys()
        assert all(torch.equal(found[run][0][name], weights[name]) for name in weights), (run, ends)
        assert found[run][1] == metrics, (run, ends)


def write_teacher(folder: Path) -> None:
    """Write the network that distillation learns from, the same each time."""
    torch.manual_seed(0)
    checkpoint(folder.parent / "teacher.ckpt")


def test_one_of_each(tmp_path: Path, whole: Any) -> None:
    (tmp_path / "0").mkdir()
    check(tmp_path / "0", whole, "mixup, dropblock, ema", 0)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kind", KINDS)
def test_soak(tmp_path: Path, whole: Any, kind: str, soak: int) -> None:
    for number in range(soak):
        folder = tmp_path / str(number)
        folder.mkdir()
        check(folder, whole, kind, number)
