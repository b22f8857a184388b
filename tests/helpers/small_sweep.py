"""A real sweep around jobs that train nothing: what train.py does under -m, without torch."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from assemble.paths import ROOT

PROGRAM = """
import sys
sys.path.insert(0, {root!r})
from pathlib import Path
import hydra
from hydra.core.config_store import ConfigStore
from assemble.schema import Config
from assemble.sweeper_options import SWEEPERS
from assemble.sweeps import job
from assemble.config.launchers import register_launchers
from assemble.command_line.one_line_errors import one_line_errors
from assemble.complaints import GOES_ON, raise_through_hydra
from assemble.sweeps.summary import summarised

def task(cfg):
    job.PROGRAM = ({job!r},)
    print("returned", job.run_job(cfg))

if __name__ == "__main__":
    store = ConfigStore.instance()
    store.store(name="schema", node=Config)
    for name, node in SWEEPERS.items():
        store.store(group="hydra/sweeper", name=name, node=node)
    defaults = ["schema", *({{f"override hydra/{{key}}": value}} for key, value in [
        ("job_logging", "none"), ("hydra_logging", "none"), ("sweeper", "grid")
    ]), "_self_"]
    callback = {{"_target_": "assemble.sweeps.summary.SweepDirectory"}}
    settings = {{"output_subdir": None, "callbacks": {{"sweep": callback}}}}
    store.store(name="config", node={{"defaults": defaults, "hydra": settings}})
    with one_line_errors(GOES_ON):
        register_launchers()
        raise_through_hydra()
        with summarised():
            hydra.main(version_base="1.3", config_path=None, config_name="config")(task)()
"""

# By its seed: 3 fails, 4 is killed, 5 is refused once it may go, 9 waits to be stopped, others have a result.
JOB = """
import json, os, signal, sys, time
from pathlib import Path
out = Path({out!r})
seed = next(a for a in sys.argv if a.startswith("seed="))[5:]
seen = {{"argv": sys.argv[1:], "env": dict(os.environ), "pid": os.getpid(), "cwd": os.getcwd()}}
(out / f"seen{{seed}}.json").write_text(json.dumps(seen))
if seed == "3":
    sys.exit(2)
if seed == "4":
    os.kill(os.getpid(), signal.SIGKILL)
if seed == "5":
    while not (out / "go").exists():
        time.sleep(0.02)
    sys.exit(2)
if seed == "9":
    def stopped(*_):
        (out / "stopped").write_text("gracefully")
        print("interrupted: says the job", file=sys.stderr)
        sys.exit(130)
    signal.signal(signal.SIGINT, stopped)
    (out / "waiting").write_text("")
    time.sleep(60)
"""


def small_sweep(folder: Path) -> list[str]:
    """The command of a sweep in ``folder``: its files are in ``sweep/``, its runs in ``runs/``."""
    job = folder / "job.py"
    job.write_text(JOB.format(out=str(folder)))
    program = folder / "sweep.py"
    program.write_text(PROGRAM.format(root=str(ROOT), job=str(job)))
    return [sys.executable, str(program), "-m", f"output_dir={folder}/runs", f"hydra.sweep.dir={folder}/sweep"]


def finish(directory: Path, top1: float = 81.25) -> None:
    """Make it the directory of a finished run."""
    directory.mkdir(parents=True, exist_ok=True)
    of_run = {"run_id": directory.name, "config_hash": directory.name, "seed": 0, "tricks": []}
    result = {**of_run, "metrics": {"top1": top1}}
    (directory / "result.json").write_text(json.dumps(result))


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait for another process."""
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come")
