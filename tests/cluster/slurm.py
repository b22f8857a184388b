"""A SLURM of one node in a folder: its own daemons, keys and ports, for tests on a machine that has none running.

Needs root and ``apt-get install slurm-wlm munge``.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "scancel")
CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=1
JobRequeue=1
KillWait=30
ReturnToService=2
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str | None:
    """Return why there can be no SLURM here, None where there can."""
    if os.name != "posix" or os.geteuid() != 0:
        return "the daemons are started as root"
    absent = [name for name in PROGRAMS if not shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")]
    return f"no {', '.join(absent)}: apt-get install slurm-wlm munge" if absent else None


class Slurm:
    """The daemons, from `start` to `stop`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SLURM")},
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": f"{os.environ['PATH']}:/usr/sbin",
            "OMP_NUM_THREADS": "1",
        }

    def start(self) -> None:
        folder = self.folder
        for name in ("state", "spool"):
            (folder / name).mkdir(parents=True)
        key = folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        self("munged", "--force", *(f"--{kind}={folder}/munge.{end}" for kind, end in MUNGE.items()))
        host, ports = socket.gethostname().partition(".")[0], (free_port(), free_port())
        (folder / "slurm.conf").write_text(CONFIGURATION.format(host=host, folder=folder, ports=ports))
        self("slurmctld")
        self("slurmd")
        wait_for(lambda: "idle" in self("sinfo", "-h", "-o", "%t"), 30, "a node")

    def stop(self) -> None:
        """End all jobs and the daemons."""
        self("scancel", "--signal=KILL", "--user=root", check=False)
        for name in ("slurmd", "slurmctld", "munge"):
            try:
                os.kill(int((self.folder / f"{name}.pid").read_text()), signal.SIGTERM)
            except (OSError, ValueError):
                continue

    def __call__(self, *command: str, check: bool = True) -> str:
        """Run a command with this SLURM and return what it prints."""
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=60, check=False, cwd=self.folder
        )
        assert done.returncode == 0 or not check, (command, done.stdout, done.stderr)
        return done.stdout.strip()

    def submit(self, folder: Path, script: str, *options: str) -> str:
        """Submit a batch script that works in ``folder`` and says everything to ``said`` there; return its number."""
        file = folder / "job.sh"
        file.write_text(f"#!/bin/bash\n{script}\n")
        said = ("--output", str(folder / "said"), "--open-mode=append", "--chdir", str(folder))
        return self("sbatch", "--parsable", *said, *options, str(file))

    def state(self, job: str) -> dict[str, str]:
        """Return what SLURM says of a job."""
        words = self("scontrol", "-o", "show", "job", job).split()
        return dict(word.partition("=")[::2] for word in words)

    def end_of(self, job: str, seconds: float = 240) -> dict[str, str]:
        """Wait until a job has ended for good and return its state."""
        busy = {"PENDING", "RUNNING", "COMPLETING", "REQUEUED", "SUSPENDED"}
        wait_for(lambda: self.hurried(job)["JobState"] not in busy, seconds, f"job {job}")
        return self.state(job)

    def hurried(self, job: str) -> dict[str, str]:
        """Return the state of a job, which is not to wait for minutes after it was requeued."""
        state = self.state(job)
        if state["JobState"] == "PENDING":
            self("scontrol", "update", f"JobId={job}", "StartTime=now", check=False)
        return state


MUNGE = {
    "key-file": "key",
    "socket": "socket",
    "pid-file": "pid",
    "log-file": "log",
    "seed-file": "seed",
}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def wait_for(done: object, seconds: float, what: str) -> None:
    """Wait until ``done()`` is true.

    Raises:
        AssertionError: it is not within the time.
    """
    assert callable(done)
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, f"{what} did not come within {seconds} s"
        time.sleep(0.3)
