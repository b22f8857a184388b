"""The README's table of tricks by family is what the code does."""

from pathlib import Path

from docs.families import FAMILIES, refusal, rows, table
from tricks import trick_names
from tricks.base import TRICKS, ModelTrick

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_readme_has_the_table():
    assert table() in README.read_text(encoding="utf-8")


def test_every_trick_that_is_not_in_the_table_goes_with_every_network():
    told = {name.strip("`") for name, *_ in rows()}
    assert told == {name for name in trick_names() if issubclass(TRICKS[name], ModelTrick)}
    others = set(trick_names()) - told
    assert len(others) > 10
    for model in FAMILIES.values():
        assert [refusal(trick, model) for trick in others] == [None] * len(others)
