"""How OpenMP's threads wait."""

import os
import subprocess
import sys

import pytest

from assemble.paths import ROOT
from assemble.threads import SAID, wait_asleep


def test_threads_sleep_unless_the_user_has_said_how_they_wait() -> None:
    environment = {"OMP_NUM_THREADS": "4"}
    wait_asleep(environment)
    assert environment == {"OMP_NUM_THREADS": "4", "OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
    for name in SAID:
        said = {name: "1"}
        wait_asleep(said)
        assert said == {name: "1"}


@pytest.mark.process
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="GNU's runtime")
def test_the_runtime_that_torch_brings_has_read_it() -> None:
    """libgomp shows what it goes by when it is loaded."""
    code = "from assemble.threads import wait_asleep; wait_asleep(); import torch; torch.ones(9).sum()"
    environment = {name: value for name, value in os.environ.items() if name not in SAID}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**environment, "OMP_DISPLAY_ENV": "true"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in done.stderr
