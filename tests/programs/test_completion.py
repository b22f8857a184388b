"""Tab completion, as the README installs it, in a real bash; and the whole configuration, printed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from assemble.paths import ROOT

pytestmark = pytest.mark.process
# What bash does where Tab is pressed behind LINE.
TAB = """
eval "$(python train.py -sc install=bash)"
COMP_LINE="$LINE"; COMP_POINT=${#LINE}; COMP_WORDS=($LINE); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
hydra_bash_completion
printf '%s\\n' "${COMPREPLY[@]}"
"""


def python_of_this_test(tmp_path: Path) -> dict[str, str]:
    """An environment in which ``python`` is this one."""
    (tmp_path / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (tmp_path / "python").chmod(0o755)
    return {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize(
    ("line", "some"),
    [
        ("python train.py model=resnet5", {"model=resnet50", "model=resnet56"}),
        ("python train.py recipe=assemble_e1", {"recipe=assemble_e10", "recipe=assemble_e11"}),
        ("python train.py data.batch", {"data.batch_size="}),
    ],
)
def test_tab(line: str, some: set[str], tmp_path: Path) -> None:
    environment = {**python_of_this_test(tmp_path), "LINE": line}
    done = subprocess.run(["bash", "-c", TAB], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.stderr == ""
    found = set(done.stdout.split())
    assert some <= found
    assert all(word.startswith(line.rpartition(" ")[2]) for word in found)


def test_the_whole_configuration(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "train.py"), "recipe=assemble_e06", "tricks.mixup.alpha=0.1", "--cfg", "job"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    shown = OmegaConf.create(done.stdout)
    assert (shown.tricks.mixup.alpha, shown.trainer.max_epochs, shown.data.name) == (0.1, 270, "imagenet")
    assert not list(tmp_path.iterdir())
