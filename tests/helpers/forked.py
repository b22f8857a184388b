"""Our programs in processes that imported the libraries before they began: forks of one that has.

Three of the five seconds of a short run are imports. Such a process is real in its arguments, directory, environment,
exit code and what it prints. Its start alone is not the user's: that is tested by real commands, for the main job, for
kill -9 and Ctrl-C, and for several devices (test_train.py).
"""

from __future__ import annotations

import os
import sys
from multiprocessing import get_context
from pathlib import Path
from subprocess import CompletedProcess
from tempfile import TemporaryDirectory

from assemble.paths import ROOT

FORKS = get_context("forkserver")
# Third-party modules alone, so that of the project's own the child imports what it asks for, when it asks for it.
FORKS.set_forkserver_preload(
    ["torch", "torch._dynamo", "torchvision", "torchmetrics", "pytorch_lightning", "hydra", "rich.console", "cv2"]
)


def train(cwd: Path, *arguments: str) -> CompletedProcess[str]:
    """``python train.py ARGUMENTS`` in the folder ``cwd``."""
    return run("train.py", cwd, *arguments)


def run(program: str, cwd: Path, *arguments: str, timeout: float = 240) -> CompletedProcess[str]:
    """``python PROGRAM ARGUMENTS`` in the folder ``cwd``."""
    with TemporaryDirectory() as folder:
        out, err = Path(folder, "stdout"), Path(folder, "stderr")
        process = FORKS.Process(target=_run, args=(program, str(cwd), arguments, dict(os.environ), str(out), str(err)))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise AssertionError(f"{program} did not end: {out.read_text()}\n{err.read_text()}")
        code = process.exitcode
        process.close()
        return CompletedProcess([program, *arguments], code, out.read_text(), err.read_text())


def _run(program: str, cwd: str, arguments: tuple[str, ...], environment: dict[str, str], out: str, err: str) -> None:
    """In the child: what Python does with a script that is named on its command line."""
    import runpy
    import signal

    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(cwd)
    os.environ.clear()  # of the first test that forked
    os.environ.update({name: value for name, value in environment.items() if name != "HYDRA_FULL_ERROR"})
    for stream, path in ((sys.stdout, out), (sys.stderr, err)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, stream.fileno())
        os.close(file)
    script = str(ROOT / program)
    sys.argv = [script, *arguments]
    sys.path = [str(ROOT), *(entry for entry in sys.path if entry not in ("", str(ROOT)))]
    runpy.run_path(script, run_name="__main__")
