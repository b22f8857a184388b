"""What ends a run before its time: Ctrl-C, a scheduler's SIGTERM, the SIGUSR1 or SIGUSR2 of one that is about to.

One mechanism for all: a training stops after its step, writes its checkpoint, and leaves with 128 + the number of the
signal, so that whoever restarts jobs by their exit code knows that this one may go on (130, 143, 138, 140). Elsewhere
it stops at once. `lit_modules.stopping` is training's part of it.
"""

from __future__ import annotations

# Nothing slow at the top: handlers stand before anything else is imported.
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2") if hasattr(signal, name))
STOPPED = tuple(128 + number for number in SIGNALS)
"""Exit codes of a program that one of them has ended."""


IN_SWEEP = "ASSEMBLE_IN_SWEEP"
"""Set in the environment of a sweep's jobs."""


class Stopped(KeyboardInterrupt):
    """A signal ends this program. Passes as Ctrl-C does where others' code looks for that."""

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.exit_code = 128 + number


class Interrupts:
    """The signals that this process has received."""

    def __init__(self) -> None:
        self.received: int | None = None
        """The first one."""
        self.since = 0.0
        """When it came, by `time.monotonic`."""
        self.patient = False
        """Whether somebody looks at ``received`` soon. A second signal is not waited with."""
        self.told = False
        """Whether the user has been told that this ends the program."""
        self._owner = os.getpid()

    def listen(self) -> None:
        """Take the signals, but for those that this program was told to ignore, as shells do in the background."""
        self._owner = os.getpid()
        for number in SIGNALS:
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                signal.signal(number, self._answer)

    def leave(self) -> None:
        """Hear no more of them: this program is at its end, and one more signal just ends it."""
        for number in SIGNALS:
            if signal.getsignal(number) == self._answer:
                signal.signal(number, signal.SIG_DFL)

    def _answer(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._owner:  # in a loader's worker, whom the first process ends
            if number == signal.SIGTERM:
                os._exit(128 + number)
            return
        again = self.received is not None
        if not again:
            self.received, self.since = number, time.monotonic()
        if again or not self.patient:
            raise Stopped(number)


INTERRUPTS = Interrupts()


@contextmanager
def requeued() -> Iterator[None]:
    """Ask SLURM to requeue a program's job where SIGUSR1 or SIGUSR2 said that its time is nearly over.

    As Lightning does it, for jobs with ``#SBATCH --signal=SIGUSR1@90``. submitit does it by itself, and a job within a
    sweep leaves it to the sweep.
    """
    try:
        yield
    finally:
        asked = INTERRUPTS.received in SIGNALS[2:]
        others = {"SUBMITIT_EXECUTOR", IN_SWEEP} & set(os.environ)
        if asked and os.environ.get("SLURM_PROCID", "0") == "0" and not others:
            _requeue()


def _requeue() -> None:
    job = os.environ.get("SLURM_JOB_ID", "")
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ.get('SLURM_ARRAY_TASK_ID', '')}"
    if not job:
        return
    import subprocess

    try:
        done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True, timeout=30, check=False)
        said = "" if done.returncode == 0 else done.stderr.strip()
    except (OSError, subprocess.TimeoutExpired) as error:
        said = str(error)
    print(f"job {job} is not requeued: {said}" if said else f"job {job} is requeued", file=sys.stderr)
