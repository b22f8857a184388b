"""What is shown of a training: a bar where somebody looks, and a line for each epoch that stays."""

import io
import re

import pytest

from assemble.progress_bar import fitted
from lit_modules.callbacks import Ending, History
from lit_modules.progress import Progress
from tests.helpers.small_run import small_config, small_plan, train

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers",
    "ignore:.*LeafSpec",
    "ignore:.*logging interval",
    "ignore:.*exists and is not",
)

LINE = r"epoch [12]/2  lr [\d.e-]+  train \d+\.\d\d  val \d+\.\d\d  best \d+\.\d\d  \d+ s"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_elsewhere_than_on_a_terminal_there_is_a_line_an_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    train(small_plan(), callbacks=[Progress()])
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert all(re.fullmatch(LINE, line) for line in said)


def test_the_best_is_that_of_a_run_that_went_on(capsys: pytest.CaptureFixture[str]) -> None:
    history = History()
    history.scores.append({"top1": 99.0})
    train(small_plan(cfg=small_config(epochs=1)), callbacks=[history, Progress()])
    assert "best 99.00" in capsys.readouterr().err


def test_an_epoch_that_is_not_validated_has_no_scores_of_one(capsys: pytest.CaptureFixture[str]) -> None:
    cfg = small_config(epochs=3)
    cfg.trainer.val_every_epochs = 2
    train(small_plan(cfg=cfg), callbacks=[Progress(), Ending()])
    assert ["val" in line for line in capsys.readouterr().err.splitlines()] == [False, True, True]


@pytest.mark.parametrize("width", [60, 80])
def test_nothing_wraps_on_a_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("LINES", "24")
    train(small_plan(), callbacks=[Progress()])
    shown = re.split(r"[\r\n]", terminal.getvalue())
    assert max(map(len, shown)) <= width
    lines = [line for line in shown if "train" in line]
    assert len(lines) == 2
    assert all("val" in line and "best" in line for line in lines)
    assert any(re.match(r"epoch 2/2 \|.*\| 6/6, loss \d.\d{3}, 00:\d\d left", line) for line in shown)


def test_what_weighs_least_goes_first() -> None:
    parts = [("epoch 1/2", 9), ("lr 0.1", 1), ("val 50.00", 8), ("3 s", 2)]
    assert fitted(parts, None) == fitted(parts, 33) == "epoch 1/2  lr 0.1  val 50.00  3 s"
    assert fitted(parts, 32) == "epoch 1/2  val 50.00  3 s"
    assert fitted(parts, 10) == "epoch 1/2"
    assert fitted(parts, 5) == "epoch"
