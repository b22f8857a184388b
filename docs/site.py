"""The pages of the site: the repository's Markdown, a card for each trick, and what they link to, as pages with code.

The repository has no public address, so that a link from a page to a file outside of docs/ (``../recipes/x.yaml``)
leads, on the site, to that file's text. Links remain as GitHub wants them in the repository.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from posixpath import dirname, join, normpath, relpath

from docs import cards, interface
from docs.card_figures import grid
from docs.tables import DOCS
from tricks import create, trick_names

ROOT = DOCS.parent
EXTRA = ("README.md", "CONTRIBUTING.md", "LOG.md")
"""Pages at the top of the repository."""
LANGUAGES = {".py": "python", ".yaml": "yaml", ".toml": "toml", ".sh": "bash", ".md": "markdown", ".ipynb": "json"}
LINK = re.compile(r"(\]\()([^)\s]+)(\))")
Pages = dict[str, str | bytes]
"""Place in the site's sources -> content."""


def pages() -> Pages:
    """Return every page that is not as it lies in docs/, and every file that one of them links to."""
    made: Pages = {}
    inside = (path.relative_to(ROOT).as_posix() for path in sorted(DOCS.rglob("*.md")))
    waiting = [*EXTRA, *(path for path in inside if not _hidden(path))]
    written = {
        "docs/cards/index.md": cards.index(),
        "docs/cards/python.md": interface.page(),
        "docs/notebook.md": notebook(DOCS / "notebook.ipynb"),
        **{f"docs/cards/{name}.md": cards.card(name) for name in trick_names()},
    }
    waiting += written
    done = set[str]()
    while waiting:
        path = waiting.pop()
        if path in done:
            continue
        done.add(path)
        if path.endswith(".html"):
            made[place_of(path)] = (ROOT / path).read_bytes()
            continue
        text = written.get(path)
        text = text if text is not None else page_of(path)
        made[place_of(path)], targets = linked(text, path)
        waiting += [target for target in targets if _is_made(target)]
    for name in trick_names():
        drawn = grid(*create([name]))
        if drawn:
            made[f"cards/{name}.jpg"] = drawn[0]
    return made


def _hidden(path: str) -> bool:
    """Is it beside the pages in docs/ and, like all outside of docs/, seen only where a page links to it?"""
    beside = ("docs/results/", "docs/evaluations/", "docs/plugin_template/")
    return not path.startswith("docs/") or path.startswith(beside)


def _is_made(path: str) -> bool:
    """Is it put into the site here? mkdocs copies the rest of docs/ (images) by itself."""
    return _hidden(path) or path.endswith((".md", ".html")) or (ROOT / path).is_dir()


def place_of(path: str) -> str:
    """Return where the site's sources have a file or folder of the repository."""
    if path == "README.md":
        return "index.md"
    if (ROOT / path).is_dir():
        return f"repository/{path}/index.md"
    if _hidden(path):
        return f"repository/{path}" if path.endswith(".md") else f"repository/{path}.md"
    place = path.removeprefix("docs/")
    return f"reports/{place}" if place.endswith(".html") else place  # cifar10.md becomes cifar10.html


def linked(text: str, path: str) -> tuple[str, list[str]]:
    """Turn the links of a page at ``path`` of the repository into links of the site.

    A trick's file is its card, but for the card's own link to it, and those of the pages that show code.

    Returns:
        the text, and the repository's files it links to.
    """
    here, targets = place_of(path), list[str]()
    shows_card = path.startswith("docs/") and not path.startswith("docs/cards/")

    def site_link(link: re.Match[str]) -> str:
        address, hash_, anchor = link[2].partition("#")
        if not address or re.match(r"[a-z]+:", address):
            return link[0]
        target = normpath(join(dirname(path), address))
        trick = re.fullmatch(r"tricks/([a-z]\w*)\.py", target)
        if shows_card and trick and trick[1] in trick_names():
            target = f"docs/cards/{trick[1]}.md"
        elif shows_card and target == "tricks":
            target = "docs/cards/index.md"
        elif (ROOT / target / "README.md").is_file():
            target = f"{target}/README.md"
        if not target.startswith("docs/cards/"):
            if not (ROOT / target).exists():
                return link[0]  # the strict build names it
            targets.append(target)
        return f"{link[1]}{relpath(place_of(target), dirname(here))}{hash_}{anchor}{link[3]}"

    parts = re.split(r"(^ *```.*?^ *```$|`[^`\n]*`)", text, flags=re.MULTILINE | re.DOTALL)
    parts[::2] = [LINK.sub(site_link, part) for part in parts[::2]]
    return "".join(parts), targets


def page_of(path: str) -> str:
    """Return a file or folder of the repository as Markdown."""
    file = ROOT / path
    if file.is_dir():
        inner = sorted(p.name for p in file.iterdir() if p.is_file() and not p.name.startswith("."))
        return f"# {path}\n\n" + "\n".join(f"* [{name}]({file.name}/{name})" for name in inner) + "\n"
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".md":
        return text
    language = LANGUAGES.get(file.suffix, "text")
    return f"---\nsearch:\n  exclude: true\n---\n\n# {path}\n\n``````{language}\n{text.rstrip()}\n``````\n"


def notebook(file: Path) -> str:
    """Return a notebook as Markdown, without outputs."""
    shown = list[str]()
    for cell in json.loads(file.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        shown.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
    return "\n\n".join([shown[0], "[The notebook itself](notebook.ipynb) is executed by a test.", *shown[1:]]) + "\n"
