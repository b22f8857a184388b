"""Stored logits: the rows of the right images, resumable, whole, and refused where they are of something else."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from assemble.data.logit_store import LogitStore
from assemble.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
ABOUT = {"images": "abc", "teacher": "t 1"}
pytestmark = pytest.mark.filterwarnings("ignore::tqdm.TqdmWarning")


def rows(positions: range) -> np.ndarray:
    """Row i is i, i + 0.5, -i."""
    i = np.array(positions, dtype=np.float16)[:, None]
    return i * np.array([[1, 1, -1]], np.float16) + np.array([[0, 0.5, 0]], np.float16)


def in_parts(positions: range):
    for start in range(0, len(positions), 2):
        yield rows(positions[start : start + 2])


def test_every_row_is_its_images(tmp_path):
    store = LogitStore.begin(tmp_path / "a" / "b", 10, ABOUT, shard=4)
    assert [list(store.positions(n)) for n in (0, 2)] == [[0, 1, 2, 3], [8, 9]]
    assert store.missing == [0, 1, 2]
    store.fill(in_parts)
    found = store.read()
    assert found.classes == 3
    asked = [9, 0, 4, 4, 3]
    assert found[asked].dtype == np.float16
    assert np.array_equal(found[asked], np.concatenate([rows(range(i, i + 1)) for i in asked]))
    assert all(isinstance(shard, np.memmap) for shard in found.shards)


def test_opened_again_it_is_the_same(tmp_path):
    LogitStore.begin(tmp_path, 10, ABOUT, shard=4).fill(in_parts)
    again = LogitStore.open(tmp_path)
    assert again == LogitStore(tmp_path, 10, 4, ABOUT)
    assert again.missing == []
    again.check(10, ABOUT)
    again.check(10, {"images": "abc"})


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, "tests/lit_modules")
from tests.data.test_logit_store import ABOUT, LogitStore, in_parts

begun = 0
def dying(positions):
    global begun
    begun += 1
    for i, part in enumerate(in_parts(positions)):
        if begun == 3 and i == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        yield part

LogitStore.begin(Path(sys.argv[1]), 20, ABOUT, shard=4).fill(dying)
"""


@pytest.mark.process
def test_goes_on_after_kill_9(tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    store = LogitStore.open(tmp_path)
    assert store
    assert len(store.missing) == 3
    with pytest.raises(UserError, match="lacks 3 shards"):
        store.read()
    computed = []

    def noting(positions):
        computed.extend(positions)
        return in_parts(positions)

    expected = [i for number in store.missing for i in store.positions(number)]
    store.fill(noting)
    assert sorted(computed) == expected
    assert np.array_equal(store.read()[range(20)], rows(range(20)))


def test_a_shard_that_another_process_has_written_meanwhile_is_left_to_it(tmp_path):
    store = LogitStore.begin(tmp_path, 12, ABOUT, shard=4)
    computed = []

    def overtaken(positions):
        computed.append(positions.start // 4)
        for number in set(store.missing) - {computed[-1]}:
            store.write(number, rows(store.positions(number)))
        return in_parts(positions)

    store.fill(overtaken)
    assert len(computed) == 1
    assert np.array_equal(store.read()[range(12)], rows(range(12)))


@pytest.mark.parametrize(
    ("count", "about", "named"),
    [
        (11, ABOUT, "rows 10 there, 11 here"),
        (10, {**ABOUT, "images": "abd"}, "images abc there, abd here"),
        (10, {**ABOUT, "teacher": "t 2"}, "teacher t 1 there, t 2 here"),
        (10, {**ABOUT, "view": "v"}, "view None there"),
    ],
)
def test_logits_of_something_else_are_refused(tmp_path, count, about, named):
    store = LogitStore.begin(tmp_path, 10, ABOUT)
    with pytest.raises(UserError, match=named):
        store.check(count, about)


def test_folders_of_other_things_and_damage(tmp_path):
    assert LogitStore.open(tmp_path / "none") is None
    assert LogitStore.open(tmp_path) is None
    (tmp_path / "x.jpg").touch()
    with pytest.raises(UserError, match="something other than logits"):
        LogitStore.open(tmp_path)
    (tmp_path / "about.json").write_text("{")
    with pytest.raises(UserError, match=r"about\.json is damaged"):
        LogitStore.open(tmp_path)
    store = LogitStore.begin(tmp_path / "s", 10, ABOUT, shard=4)
    store.fill(in_parts)
    path = tmp_path / "s" / "logits-00001.npy"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"logits-00001\.npy is damaged: remove it"):
        store.read()
    np.save(path, rows(range(3)))
    with pytest.raises(UserError, match="damaged"):
        store.read()


def test_half_a_shard_is_none(tmp_path, monkeypatch):
    def full_disk(file, logits):
        file.write(b"\x93NUMPY")
        raise OSError(28, "No space left on device")

    store = LogitStore.begin(tmp_path, 4, ABOUT)
    monkeypatch.setattr(np, "save", full_disk)
    with pytest.raises(OSError, match="No space left"):
        store.write(0, rows(range(4)))
    assert store.missing == [0]
    assert [path.name for path in tmp_path.iterdir()] == ["about.json"]


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e6])
def test_what_float16_cannot_hold_is_refused(tmp_path, value):
    with np.errstate(over="ignore"):
        logits = np.array([[0.0, value]]).astype(np.float16)
    store = LogitStore.begin(tmp_path, 1, ABOUT)
    with pytest.raises(UserError, match="not finite in float16"):
        store.write(0, logits)
    assert store.missing == [0]
