"""Arguments and files that nobody would think of end in one line: no traceback, exit code 0 or 2.

Those of the first seeds here; ``-m slow`` takes 300 of each, as does ``python tests/helpers/fuzz.py commands 0 300``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers import forked

pytestmark = pytest.mark.process

FUZZ = "tests/helpers/fuzz.py"


@pytest.mark.parametrize("what", ["commands", "runs"])
def test_a_few(tmp_path: Path, what: str) -> None:
    done = forked.run(FUZZ, tmp_path, what, "0", "12")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("what", ["commands", "runs"])
def test_three_hundred(tmp_path: Path, what: str) -> None:
    done = forked.run(FUZZ, tmp_path, what, "0", "300", timeout=3500)
    assert done.returncode == 0, done.stdout + done.stderr
