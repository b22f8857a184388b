"""What an agent of W&B's starts, by its own code: taken by train.py, and said to W&B without a warning. Offline."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from wandb.sdk.launch.sweeps import utils

from assemble.command_line.check import check_arguments
from assemble.config.compose import compose
from assemble.paths import ROOT
from docs.tables import DOCS

PAGE = (DOCS / "searches.md").read_text(encoding="utf-8")
(TEXT,) = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
SWEEP: Any = yaml.safe_load(TEXT)
PROPOSED: dict[str, Any] = {"+tricks": "[sk,mixup]", "optim.lr": 2.5e-05, "optim.weight_decay": 5e-05, "seed": 2}


def arguments() -> list[str]:
    """Return what follows ``python train.py``, as `wandb.wandb_agent.Agent` puts it together."""
    command = {"args": {name: {"value": value} for name, value in PROPOSED.items()}}
    given = {**utils.create_sweep_command_args(command), "env": ["/usr/bin/env"], "program": [SWEEP["program"]]}
    words: list[str] = []
    for word in utils.create_sweep_command(SWEEP["command"]):
        words += given[word[2:-1]] if word.startswith("${") else [word]
    assert words[:3] == ["/usr/bin/env", "python", "train.py"]
    return words[3:]


def test_what_the_agent_passes_is_taken() -> None:
    assert set(SWEEP["parameters"]) == set(PROPOSED)
    assert SWEEP["metric"]["name"] == "val/top1"
    assert not check_arguments(arguments())
    cfg = compose(arguments())
    assert (cfg.optim.lr, cfg.optim.weight_decay, cfg.seed) == (2.5e-05, 5e-05, 2)
    assert set(cfg.tricks) == {"sk", "mixup"}
    for values in SWEEP["parameters"]["+tricks"]["values"]:
        assert not check_arguments([f"+tricks={values}"])


@pytest.mark.process
def test_a_run_of_an_agent(tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text(yaml.safe_dump({"wandb_version": 1, **{k: {"value": v} for k, v in PROPOSED.items()}}))
    agent = {"WANDB_SWEEP_ID": "s1", "WANDB_RUN_ID": "r1", "WANDB_SWEEP_PARAM_PATH": str(settings)}
    short = ["trainer=smoke", "data.image_size=16", "model.width=4"]
    done = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *(a for a in arguments() if not a.startswith("data")), *short],
        cwd=tmp_path,
        env={**os.environ, **agent, "WANDB_MODE": "offline"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr.lower()
    assert "ignor" not in done.stderr.lower()
    (folder,) = tmp_path.glob("runs/tiny-digits-mixup-sk-s2-*/wandb/offline-run-*")
    assert folder.name.endswith("-r1"), "the agent's run"
