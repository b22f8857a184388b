"""What is freed stays with the process."""

import platform
import subprocess
import sys

import pytest

from assemble.memory import SAID, keep_freed
from assemble.paths import ROOT

GNU = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="GNU's C library")


@pytest.mark.parametrize("name", SAID)
def test_what_the_user_has_said_holds(name: str) -> None:
    said = {name: "1"}
    assert not keep_freed(said)
    assert said == {name: "1"}


COUNT = """
import resource, sys
from assemble.memory import keep_freed
assert not sys.argv[1:] or keep_freed()
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(2):
    before = faults()
    for _ in range(20):
        first, second = (bytearray(b"1") * 10_000_000 for _ in range(2))
        del first, second
print(faults() - before)
"""


@GNU
@pytest.mark.process
def test_the_kernel_is_not_asked_again_for_what_was_freed() -> None:
    """Twenty megabytes are twenty times made and freed: 5,000 pages each time where they are given back."""

    def faults(*arguments: str) -> int:
        command = [sys.executable, "-c", COUNT, *arguments]
        environment = {"PATH": "", "PYTHONPATH": str(ROOT)}
        return int(subprocess.check_output(command, cwd=ROOT, env=environment, text=True))

    assert faults("kept") < 1_000 < 20_000 < faults()
