"""Who speaks in a distributed job."""

import pytest

from assemble import ranks
from assemble.command_line import one_line_errors as main
from assemble.command_line.one_line_errors import one_line_errors
from assemble.errors import UserError


@pytest.mark.parametrize("error", [UserError("mend it"), ZeroDivisionError("a fault"), KeyboardInterrupt()])
@pytest.mark.parametrize(("rank", "first_ends", "speaks"), [("0", None, True), ("1", True, False), ("1", False, True)])
def test_one_rank_speaks(
    error: BaseException,
    rank: str,
    first_ends: bool | None,
    speaks: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("LOCAL_RANK", rank)
    monkeypatch.setattr(main, "first_rank_ends", lambda: first_ends)
    with pytest.raises(SystemExit) as caught, one_line_errors():
        raise error
    code, text = {
        UserError: (2, "mend it"),
        ZeroDivisionError: (1, "a fault"),
        KeyboardInterrupt: (130, "interrupted"),
    }[type(error)]
    assert caught.value.code == code
    if isinstance(error, KeyboardInterrupt):
        speaks = rank == "0"  # Ctrl-C reaches all of them
    assert (text in capsys.readouterr().err) is speaks


def test_waiting_for_the_first_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "PATIENCE", 0.1)
    assert not ranks.first_rank_ends()
    parents = iter([ranks._PARENT, ranks._PARENT, 0])
    monkeypatch.setattr(ranks, "PATIENCE", 60)
    monkeypatch.setattr("os.getppid", lambda: next(parents))
    assert ranks.first_rank_ends()
