"""The benchmarks of one GPU are run through without one, so that no paid minute shows a misspelt key."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from assemble.paths import ROOT


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.timeout(600)
def test_it_runs_without_a_gpu(tmp_path: Path) -> None:
    (tmp_path / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (tmp_path / "python").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    command = ["bash", str(ROOT / "benchmarks" / "gpu.sh"), "--cpu"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAILED" not in done.stdout
    assert "E11 over E0" in done.stdout
    assert "AMP bfloat16, channels-last, DDP of one" in done.stdout
    *_, last = done.stdout.split("\n== ")
    assert [line.partition("  ")[0] for line in last.splitlines()[1:]] == [
        "steps, E0 and E11",
        "data.cache=device against the loader",
        "training in bf16-mixed",
        "training in 32-true",
        "two jobs, per_device=1",
        "two jobs, per_device=2",
        "their results",
    ]
