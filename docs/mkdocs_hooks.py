"""What mkdocs is told by code: the pages of `docs.site` among the others, and the cards in the navigation."""

from __future__ import annotations

from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from docs.site import pages
from tricks import trick_names


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the cards to the navigation, behind the page that lists them."""
    entries: list[Any] = config.nav or []
    for entry in entries:
        for title, inner in entry.items():
            if title == "Tricks":
                inner.append({"Cards": ["cards/index.md", *(f"cards/{name}.md" for name in trick_names())]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Put what is made in the place of what lies in docs/, or beside it."""
    for place, content in pages().items():
        old = files.get_file_from_path(place)
        if old:
            files.remove(old)
        files.append(File.generated(config, place, content=content))
    return files
