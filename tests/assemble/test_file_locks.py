"""Locks that end with their process, on every system."""

import subprocess
import sys
from pathlib import Path

import pytest

from assemble.file_locks import try_lock
from assemble.paths import ROOT

HOLD = """
import sys
from assemble.file_locks import try_lock
file = open(sys.argv[1], "r+")
print(try_lock(file, int(sys.argv[2]), shared="shared" in sys.argv), flush=True)
sys.stdin.read()
"""


def holding(path: Path, byte: int, *how: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLD, str(path), str(byte), *how]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    return process


def test_a_byte_is_one_processs_until_it_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    with holding(path, 3) as other, path.open("r+") as file:
        assert not try_lock(file, 3)
        assert try_lock(file, 4)
        other.kill()
        other.wait()
        assert try_lock(file, 3)


def test_a_shared_lock_is_several_processs(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    with holding(path, 0, "shared") as other, path.open("r+") as file:
        assert try_lock(file, 0, shared=True)
        assert not try_lock(file, 0)
        other.kill()


@pytest.mark.process
def test_nothing_of_one_system_alone_is_imported_at_the_top() -> None:
    """Where Windows lacks a module, the programs still begin."""
    block = "import sys; sys.modules.update(dict.fromkeys(('fcntl', 'resource', 'termios', 'pwd', 'grp')))\n"
    code = (
        "import assemble.file_locks\n"  # which has it on this system
        "import assemble.runs.directory, assemble.sweeps.job, assemble.programs.train, lit_modules.monitors, tricks\n"
    )
    done = subprocess.run([sys.executable, "-c", f"import fcntl; import assemble.file_locks\n{block}{code}"], cwd=ROOT)
    assert done.returncode == 0
