"""The table of tricks by family in docs/tricks.md is what the code does."""

from docs.families import FAMILIES, refusal, rows, table
from docs.tables import part
from tricks import trick_names
from tricks.base import TRICKS, ModelTrick


def test_the_page_has_the_table():
    assert part("tricks.md", "families") == table()


def test_every_trick_that_is_not_in_the_table_goes_with_every_network():
    told = {name.strip("`") for name, *_ in rows()}
    assert told == {name for name in trick_names() if issubclass(TRICKS[name], ModelTrick)}
    others = set(trick_names()) - told
    assert len(others) > 10
    for model in FAMILIES.values():
        assert [refusal(trick, model) for trick in others] == [None] * len(others)
