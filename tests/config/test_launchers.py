"""Hydra's launchers: composed with our defaults, and run around jobs that train nothing."""

import json
import os
import signal
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize
from hydra.core.config_store import ConfigStore

from assemble.command_line.check import check_arguments
from assemble.config.launchers import DEFAULTS, PACKAGES, check_launcher, register_launchers
from assemble.errors import UserError
from tests.helpers.small_sweep import finish, small_sweep, wait_for


def installed(launcher: str) -> Any:
    """A parameter that is skipped where the launcher's package is missing."""
    missing = launcher in PACKAGES and find_spec(f"hydra_plugins.{PACKAGES[launcher]}") is None
    return pytest.param(launcher, marks=pytest.mark.skipif(missing, reason=f"no {launcher}"))


@pytest.mark.parametrize("name", [*map(installed, ["local", *PACKAGES])])
def test_composed(name: str) -> None:
    register_launchers()
    register_launchers()  # does no harm
    ConfigStore.instance().store(name="nothing", node={"defaults": [{"override hydra/launcher": name}]})
    with initialize(None, version_base="1.3"):
        launcher = compose("nothing", return_hydra_config=True).hydra.launcher
    for key, value in DEFAULTS.get(name, {}).items():
        if isinstance(value, dict):
            assert launcher[key].init.include_dashboard is False
        else:
            assert launcher[key] == value
    assert check_arguments(["-m", f"hydra/launcher={name}", "seed=0,1"])


def test_a_package_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assemble.config.launchers.find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"hydra/launcher=submitit_slurm needs a package: pip .*\.\[submitit\]"):
        check_arguments(["-m", "hydra/launcher=submitit_slurm", "seed=0,1"])
    check_launcher("local")
    check_launcher("of_somebody_else")


@pytest.mark.parametrize("name", [*map(installed, ["local", "joblib", "submitit_local", "ray"])])
@pytest.mark.process
def test_run(name: str, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    sweep = [*small_sweep(tmp_path), f"hydra/launcher={name}"]
    command = [*sweep, "seed=3,0,1,2", "hydra.sweeper.max_batch_size=2"]  # 3 fails
    options = {"cwd": elsewhere, "env": environment, "capture_output": True, "text": True, "check": False}
    dry = subprocess.run([*command, "hydra.sweeper.dry_run=true"], **options)
    assert dry.returncode == 0, dry.stderr
    plan = json.loads((tmp_path / "sweep" / "plan.json").read_text())
    finish(tmp_path / "runs" / plan["jobs"][1]["run_id"])

    done = subprocess.run(command, **options)
    assert done.returncode == 1, done.stderr
    assert "1 of 4 jobs failed; the same command tries them again" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "seen0.json").exists()
    records = [json.loads(line) for line in (tmp_path / "sweep" / "jobs.jsonl").read_text().splitlines()]
    assert sorted(record["exit_code"] for record in records) == [0, 0, 2]
    for seed in (1, 2):
        seen = json.loads((tmp_path / f"seen{seed}.json").read_text())
        assert seen["cwd"] == str(elsewhere)
        assert "hydra" not in " ".join(seen["argv"])
        if name == "joblib":  # two jobs share the cores
            assert seen["env"]["OMP_NUM_THREADS"] == str(max(1, len(os.sched_getaffinity(0)) // 2))
        if name == "local":
            assert "OMP_NUM_THREADS" not in seen["env"]
    report, jobs = done.stdout.split("report.html\n")
    assert "81.25" in report
    assert "failed (2)" in jobs


@pytest.mark.parametrize("name", [*map(installed, ["joblib", "submitit_local", "ray"])])
@pytest.mark.process
def test_interrupted(name: str, tmp_path: Path) -> None:
    command = [*small_sweep(tmp_path), f"hydra/launcher={name}", "seed=9,1"]
    log = (tmp_path / "log").open("w")
    with (
        log,
        subprocess.Popen(
            command,
            cwd=tmp_path,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        ) as process,
    ):
        wait_for((tmp_path / "waiting").exists)
        os.killpg(process.pid, signal.SIGINT)  # Ctrl-C in a terminal
        assert process.wait(60) == 130
    job = json.loads((tmp_path / "seen9.json").read_text())["pid"]
    wait_for(lambda: not Path(f"/proc/{job}").exists())
    assert "interrupted: the same command goes on" in (tmp_path / "log").read_text()
