"""Devices lent to the jobs of sweeps; a list stands in for GPUs."""

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from assemble.paths import ROOT
from assemble.sweeps.devices import POOL, devices_here, leased, places, pooled
from assemble.sweeps.launching import devices_of_a_job, lend_devices, share_cores
from tests.helpers.small_sweep import small_sweep, wait_for

HOLD = """
import sys
from pathlib import Path
from assemble.sweeps.devices import leased
pool, count, per_device, folder = sys.argv[1:]
with leased(pool.split(","), int(count), int(per_device), Path(folder)) as devices:
    print(",".join(devices), flush=True)
    sys.stdin.read()
"""


class Job:
    """A process that holds a lease."""

    def __init__(self, folder: Path, pool: str, count: int = 1, per_device: int = 1) -> None:
        command = [sys.executable, "-c", HOLD, pool, str(count), str(per_device), str(folder)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    @property
    def devices(self) -> str:
        """Waits until there is a lease."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def __enter__(self) -> "Job":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def test_each_job_has_devices_of_its_own_and_a_killed_one_frees_them(tmp_path: Path) -> None:
    with Job(tmp_path, "4,5") as first, Job(tmp_path, "4,5") as second:
        assert {first.devices, second.devices} == {"4", "5"}
        with Job(tmp_path, "4,5") as third:
            with pytest.raises(subprocess.TimeoutExpired):
                third.process.wait(0.5)  # no lease, so it says nothing
            second.process.kill()
            assert third.devices in {"4", "5"}


def test_pairs_are_neighbours_and_a_share_is_of_one_device(tmp_path: Path) -> None:
    with ExitStack() as jobs:
        pairs = [jobs.enter_context(Job(tmp_path / "pairs", "0,1,2,3,4", 2)) for _ in range(2)]
        assert {job.devices for job in pairs} == {"0,1", "2,3"}
        shares = [jobs.enter_context(Job(tmp_path / "shares", "7,8", 1, 2)) for _ in range(4)]
        assert sorted(job.devices for job in shares) == ["7", "7", "8", "8"]


def test_the_pool_is_what_the_user_lets_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert devices_here({"CUDA_VISIBLE_DEVICES": "3, GPU-8932,5"}) == ["3", "GPU-8932", "5"]
    assert devices_here({"CUDA_VISIBLE_DEVICES": ""}) == devices_here({"CUDA_VISIBLE_DEVICES": "-1"}) == []
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU 0: A (UUID: GPU-a)'\necho '  MIG 1g: x'\necho 'GPU 1: A (UUID: GPU-b)'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert devices_here({}) == ["0", "1"]
    program.unlink()
    assert devices_here({}) == []


def test_as_many_jobs_as_there_are_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(8))))
    monkeypatch.setenv(POOL, "")
    config = OmegaConf.create({"trainer": {"devices": 1}})
    assert lend_devices(config, [["seed=0"]], 1) == 8
    assert pooled() == [str(device) for device in range(8)]
    assert lend_devices(config, [["seed=0"]], 2) == 16
    assert lend_devices(config, [["trainer.devices=2"], ["trainer.devices=1"]], 1) == 4
    assert devices_of_a_job(config, [["seed=0"]]) == 1
    assert places([], 1, 1) == 0


def test_the_cores_are_shared_unless_the_user_has_said_how(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assemble.sweeps.launching.cores", lambda: 8)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    share_cores(4)
    assert os.environ["OMP_NUM_THREADS"] == "3"
    monkeypatch.delenv("OMP_NUM_THREADS")
    share_cores(4)
    assert os.environ["OMP_NUM_THREADS"] == "2"


@pytest.mark.process
@pytest.mark.parametrize(("name", "package"), [("joblib", "joblib"), ("submitit_local", "submitit")])
def test_a_sweep_fills_the_machine(name: str, package: str, tmp_path: Path) -> None:
    """Three jobs of three devices at once, each waiting for the others to be there."""
    if find_spec(f"hydra_plugins.hydra_{package}_launcher") is None:
        pytest.skip(f"no {package}")
    sweep = [*small_sweep(tmp_path), f"hydra/launcher={name}", "seed=5,15,25"]
    (tmp_path / "job.py").write_text((tmp_path / "job.py").read_text().replace('seed == "5"', 'seed.endswith("5")'))
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "1,4,6", "TMPDIR": str(tmp_path)}
    with subprocess.Popen(sweep, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        seen = [tmp_path / f"seen{seed}.json" for seed in (5, 15, 25)]
        wait_for(lambda: all(path.is_file() and path.read_text().endswith("}") for path in seen))
        given = [json.loads(path.read_text())["env"] for path in seen]
        (tmp_path / "go").touch()
    assert {job["CUDA_VISIBLE_DEVICES"] for job in given} == {"1", "4", "6"}
    assert not any(POOL in job for job in given)


def test_a_lease_is_over_with_its_job(tmp_path: Path) -> None:
    for _ in range(2):
        with leased(["0"], 1, folder=tmp_path) as devices:
            assert devices == ["0"]


@pytest.mark.process
def test_a_job_of_more_devices_than_there_are_is_one_line_and_the_others_are_run(tmp_path: Path) -> None:
    if find_spec("hydra_plugins.hydra_joblib_launcher") is None:
        pytest.skip("no joblib")
    sweep = [*small_sweep(tmp_path), "hydra/launcher=joblib", "seed=1", "trainer.devices=2,1"]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "4", "TMPDIR": str(tmp_path)}
    done = subprocess.run(sweep, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200)
    said = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert said[0] == (
        "error: trainer.devices=2: there is 1 GPU for the jobs of this sweep: ask for fewer, "
        "or for trainer.accelerator=cpu"
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == 1
    codes = [json.loads(line)["exit_code"] for line in (tmp_path / "sweep" / "jobs.jsonl").read_text().splitlines()]
    assert sorted(codes) == [0, 2]
    assert json.loads((tmp_path / "seen1.json").read_text())["env"]["CUDA_VISIBLE_DEVICES"] == "4"
