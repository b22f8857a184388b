"""The site is built without a warning, has no broken link, and fetches nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from docs.site import linked, place_of
from docs.tables import DOCS
from tricks import trick_names

SEEN = ("index.html", "tricks.html", "recipes.html", "cards/sk.html", "cards/dropblock.html", "cards/python.html")
WIDE = """() => [...document.querySelectorAll('article, article *')].filter(element => {
    if (element.getBoundingClientRect().right <= innerWidth + 1) return false
    for (let box = element; box !== document.body; box = box.parentElement)
        if (['auto', 'scroll'].includes(getComputedStyle(box).overflowX)) return false
    return true
}).map(element => element.outerHTML.slice(0, 80))"""
"""Elements that reach beyond the window and are in no box that scrolls."""


class Page(HTMLParser):
    """What a page links to, what it loads, and what it can be linked at."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        address = given.get("href") or given.get("src")
        if address and tag == "a":
            self.links.append(address)
        elif address and given.get("rel") not in ("prev", "next", "canonical"):
            self.loads.append(address)


def broken(site: Path) -> list[str]:
    """Name each link or file that a page has and that is not there, or is elsewhere than in the site."""
    pages = {file: Page(file) for file in site.rglob("*.html") if file.name != "404.html"}
    found = [
        f"{file.name} loads {load}" for file, page in pages.items() for load in page.loads if urlsplit(load).scheme
    ]
    for file, page in pages.items():
        for address in {*page.links, *page.loads}:
            parts = urlsplit(address)
            if parts.scheme:
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            anchored = target not in pages or not parts.fragment or unquote(parts.fragment) in pages[target].anchors
            if not target.is_file() or not anchored:
                found.append(f"{file.relative_to(site)} links to {address}")
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=DOCS.parent, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.process
def test_no_link_is_broken_and_nothing_is_fetched(site: Path) -> None:
    assert broken(site) == []
    assert all((site / "cards" / f"{name}.html").is_file() for name in trick_names())
    assert "googleapis" not in (site / "index.html").read_text(encoding="utf-8")


@pytest.mark.process
def test_lists_are_lists(site: Path) -> None:
    """GitHub takes a list without an empty line before it, which the site would show as one paragraph."""
    for file in site.rglob("*.html"):
        for paragraph in re.findall(r"<p>(.*?)</p>", file.read_text(encoding="utf-8"), re.DOTALL):
            assert not re.search(r"^[*-] ", paragraph, re.MULTILINE), (file, paragraph)


@pytest.mark.process
@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_is_wider_than_the_window(site: Path, browser: Any, width: int) -> None:
    """But for what scrolls within itself, as code and tables do."""
    fetched, wide = list[str](), dict[str, list[str]]()
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.on("request", lambda request: fetched.append(request.url))
    for name in SEEN:
        page.goto((site / name).as_uri())
        wide[name] = page.evaluate(WIDE)
    assert wide == {name: [] for name in SEEN}
    assert [url for url in fetched if not url.startswith(("file:", "data:", "blob:"))] == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<p id="x"><a href="b.html#y">b</a><a href="#x">x</a><a href="c.html">c</a>')
    (tmp_path / "b.html").write_text('<p id="z"><script src="https://cdn.example/x.js"></script>')
    assert sorted(broken(tmp_path)) == [
        "a.html links to b.html#y",
        "a.html links to c.html",
        "b.html loads https://cdn.example/x.js",
    ]


def test_links_lead_to_where_the_site_has_the_file() -> None:
    text = (
        "[`mixup`](../tricks/mixup.py), [e](../recipes/resnet50.yaml#x), [l](../LOG.md), [p](cifar10.html), "
        "`[](../x.py)`"
    )
    made, targets = linked(text, "docs/tricks.md")
    assert made == (
        "[`mixup`](cards/mixup.md), [e](repository/recipes/resnet50.yaml.md#x), [l](repository/LOG.md), "
        "[p](reports/cifar10.html), `[](../x.py)`"
    )
    assert targets == ["recipes/resnet50.yaml", "LOG.md", "docs/cifar10.html"]
    assert linked("[s](../../tricks/mixup.py)", "docs/cards/mixup.md")[0] == "[s](../repository/tricks/mixup.py.md)"
    assert linked("[a](docs/start.md)", "README.md")[0] == "[a](start.md)"
    assert linked("[a](nowhere.md)", "docs/start.md") == ("[a](nowhere.md)", [])
    assert place_of("README.md") == "index.md"
