"""Sweeps: each job a process of its own, whatever the others do."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.names import ROOT
from core.sweep import child_environment, summarise

# The real sweep around a job that trains nothing: what train.py does under -m, without torch.
PROGRAM = """
import sys
sys.path.insert(0, {root!r})
from pathlib import Path
import hydra
from hydra.core.config_store import ConfigStore
from conf.schema import Config
from core import sweep
from core.main import one_line_errors, raise_through_hydra

sweep.PROGRAM = Path({job!r})
ConfigStore.instance().store(name="schema", node=Config)
ConfigStore.instance().store(
    name="config", node={{"defaults": ["schema", "_self_"], "hydra": {{"output_subdir": None}}}}
)

def task(cfg):
    print("returned", sweep.run_job(cfg))

with one_line_errors():
    raise_through_hydra()
    with sweep.journal() as noted:
        hydra.main(version_base="1.3", config_path=None, config_name="config")(task)()
        raise SystemExit(sweep.summarise(noted))
"""

JOB = """
import json, os, signal, sys, time
from pathlib import Path
out = Path({out!r})
seed = next(a for a in sys.argv if a.startswith("seed="))[5:]
seen = {{"argv": sys.argv[1:], "env": dict(os.environ), "pid": os.getpid()}}
(out / f"seen{{seed}}.json").write_text(json.dumps(seen))
if seed == "3":
    sys.exit(2)
if seed == "4":
    os.kill(os.getpid(), signal.SIGKILL)
if seed == "9":
    def stopped(*_):
        (out / "stopped").write_text("gracefully")
        print("interrupted: says the job", file=sys.stderr)
        sys.exit(130)
    signal.signal(signal.SIGINT, stopped)
    (out / "waiting").write_text("")
    time.sleep(60)
"""


@pytest.fixture
def sweep(tmp_path: Path) -> list[str]:
    """The command of a sweep in ``tmp_path``."""
    job = tmp_path / "job.py"
    job.write_text(JOB.format(out=str(tmp_path)))
    program = tmp_path / "sweep.py"
    program.write_text(PROGRAM.format(root=str(ROOT), job=str(job)))
    return [sys.executable, str(program), "-m", f"output_dir={tmp_path}/runs", f"hydra.sweep.dir={tmp_path}/sweep"]


def records(tmp_path: Path) -> list[dict]:
    return [json.loads(line) for line in (tmp_path / "sweep" / "jobs.jsonl").read_text().splitlines()]


def test_jobs_of_their_own(sweep: list[str], tmp_path: Path) -> None:
    loud = {"LOCAL_RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "x", "SLURM_NTASKS": "2", "SLURM_JOB_ID": "5"}
    # Seed 0 has a result already; 3 fails, 4 is killed, and 1 still has its turn.
    command = [*sweep, "seed=3,4,1", "+reported.text='a b=[c],d'"]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, **loud}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    noted = records(tmp_path)
    assert [record["exit_code"] for record in noted] == [2, -signal.SIGKILL, 0]
    assert [record["job"] for record in noted] == [0, 1, 2]
    assert all(record["seconds"] > 0 for record in noted)
    assert all(Path(record["run_directory"]).parent == tmp_path / "runs" for record in noted)
    assert len({record["run_directory"] for record in noted}) == 3
    assert "failed (2)" in done.stdout
    assert "2 of 3 jobs failed" in done.stderr
    assert "Traceback" not in done.stderr

    seen = json.loads((tmp_path / "seen1.json").read_text())
    assert seen["argv"] == noted[2]["overrides"]
    assert "seed=1" in seen["argv"]
    assert "-m" not in seen["argv"]
    assert not any(argument.startswith("hydra.") for argument in seen["argv"])
    for name in (
        "LOCAL_RANK",
        "WORLD_SIZE",
        "MASTER_ADDR",
        "SLURM_NTASKS",
        "HYDRA_FULL_ERROR",
        "ASSEMBLE_SWEEP_JOURNAL",
    ):
        assert name not in seen["env"]
    assert not [name for name in seen["env"] if name.startswith("ASSEMBLE_")]
    assert seen["env"]["SLURM_JOB_ID"] == "5"


def test_finished_jobs_are_not_run_again(sweep: list[str], tmp_path: Path) -> None:
    subprocess.run([*sweep, "seed=0"], cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "seen0.json").unlink()
    directory = Path(records(tmp_path)[0]["run_directory"])
    directory.mkdir(parents=True)
    (directory / "result.json").write_text('{"metrics": {"top1": 81.25}}')
    done = subprocess.run([*sweep, "seed=0,1"], cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "seen0.json").exists()
    assert (tmp_path / "seen1.json").exists()
    assert "81.25" in done.stdout  # in the table
    assert "returned 81.25" in done.stdout  # for a sweeper that searches
    assert "returned nan" in done.stdout


def test_a_mistake_is_found_before_the_first_job(sweep: list[str], tmp_path: Path) -> None:
    command = [*sweep, "seed=0", "trainer.devices=1,many"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "error: trainer.devices: 'many' is not an integer\n"
    assert not (tmp_path / "seen0.json").exists()


@pytest.mark.parametrize("way", ["terminal", "interrupted alone", "terminated alone"])
def test_stopping(sweep: list[str], tmp_path: Path, way: str) -> None:
    began = (tmp_path / "stderr").open("w")
    with (
        began,
        subprocess.Popen(
            [*sweep, "seed=9,1"],
            cwd=tmp_path,
            stdout=began,
            stderr=began,
            start_new_session=True,
            # Shells let the commands that they put into the background ignore it, the tests perhaps among them.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        ) as process,
    ):
        for _ in range(600):
            if (tmp_path / "waiting").exists():
                break
            time.sleep(0.05)
        if way == "terminal":
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.send_signal(signal.SIGINT if way.startswith("int") else signal.SIGTERM)
        assert process.wait(30) == 130
    assert (tmp_path / "stopped").read_text() == "gracefully"
    assert not (tmp_path / "seen1.json").exists()
    assert [record["exit_code"] for record in records(tmp_path)] == [130]
    with pytest.raises(ProcessLookupError):
        os.kill(json.loads((tmp_path / "seen9.json").read_text())["pid"], 0)
    assert (tmp_path / "stderr").read_text().count("interrupted: ") == 1
    assert "failed" not in (tmp_path / "stderr").read_text()


def test_the_users_own_full_error_reaches_the_jobs() -> None:
    assert child_environment({"HYDRA_FULL_ERROR": "1"}) == {"HYDRA_FULL_ERROR": "1"}
    assert child_environment({"HYDRA_FULL_ERROR": "1", "ASSEMBLE_SET_HYDRA_FULL_ERROR": "1", "A": "b"}) == {"A": "b"}


def test_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = [
        {"job": 1, "overrides": ["+tricks=[bold]", "seed=0"], "run_directory": None, "exit_code": 2, "seconds": 1.0},
        {"job": 0, "overrides": ["+tricks=[]", "seed=0"], "run_directory": "runs/a", "exit_code": 130, "seconds": 2.0},
    ]
    noted = tmp_path / "journal"
    noted.write_text("\n".join(json.dumps(job) for job in jobs))
    assert summarise(noted) == 1
    table = capsys.readouterr().out
    assert "+tricks=[bold]" in table  # not taken for a style
    assert "seed=0" not in table  # the same in all jobs
    assert table.index("interrupted") < table.index("failed (2)")
    noted.write_text("")
    assert summarise(noted) == 0
