"""The tables of docs/ are what the files say."""

import pytest

from assemble.config.groups import recipe_names
from assemble.paths import RECIPES, ROOT
from docs.tables import DOCS, PAGES, header, part, write
from tricks import trick_names


@pytest.mark.parametrize(("page", "name"), [("tricks.md", "tricks"), ("recipes.md", "recipes")])
def test_a_table_is_what_the_files_say(page, name):
    """Else run python -m docs.tables. That of networks and tricks has a test of its own."""
    assert part(page, name) == PAGES[page][name]()


def test_every_trick_and_recipe_is_there():
    for page, names in (("tricks.md", trick_names()), ("recipes.md", recipe_names())):
        text = (DOCS / page).read_text(encoding="utf-8")
        assert [name for name in names if text.count(f"[`{name}`]") != 1] == []


def test_writing_a_page_again_changes_nothing(tmp_path, monkeypatch):
    text = (DOCS / "recipes.md").read_text(encoding="utf-8")
    (tmp_path / "recipes.md").write_text(text.replace("| [`sk_c3`]", "| [`sk_c`]"), encoding="utf-8")
    monkeypatch.setattr("docs.tables.DOCS", tmp_path)
    assert write("recipes.md").read_text(encoding="utf-8") == text


def test_a_header_has_its_parts():
    parts = header(RECIPES / "assemble_e06.yaml")
    assert parts[""].startswith("E6: ")
    assert parts["Cost"] == "38.8 M parameters, 6.18 G multiply-adds at 224 pixels"


def test_the_readme_is_short_and_counts_them_right():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"[{len(trick_names())} in all](docs/tricks.md)" in text
    assert f"[{len(recipe_names())} published recipes](docs/recipes.md)" in text
    assert len(text.splitlines()) <= 150
