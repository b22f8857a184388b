"""Packages of plug-ins that are used for one test, and forgotten after it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore

from assemble import plugins
from assemble.config.compose import _register_once
from assemble.config.groups import set_config_dir
from assemble.paths import ROOT
from tricks.base import TRICKS

TEMPLATE = ROOT / "docs" / "plugin_template"


@contextmanager
def fresh(*folders: Path) -> Iterator[None]:
    """Put the folders on sys.path; what is imported, used and registered from then on is forgotten at the end."""
    _register_once()  # what it registers stays
    path, modules, tricks, used = list(sys.path), set(sys.modules), dict(TRICKS), list(plugins._USED)
    store: Any = ConfigStore.instance().repo
    options = {group: set(store.get(group, {})) for group in ("tricks", "model", "data")}
    sys.path[:0] = map(str, folders)
    try:
        yield
    finally:
        sys.path[:] = path
        for name in set(sys.modules) - modules:
            if getattr(sys.modules[name], "__file__", None) and any(
                Path(str(sys.modules[name].__file__)).is_relative_to(folder) for folder in folders
            ):
                del sys.modules[name]
        for name in set(TRICKS) - set(tricks):
            del TRICKS[name]
        plugins._USED[:] = used
        plugins.declared.cache_clear()
        plugins._parsed.cache_clear()
        sys.path_importer_cache.clear()
        set_config_dir(None)
        for group, known in options.items():
            for name in set(store.get(group, {})) - known:
                del store[group][name]


def write(folder: Path, **files: str) -> Path:
    """Write a package ``folder``, each file by its name without the suffix; returns the folder that it lies in."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {"__init__": "", **files}.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    return folder.parent
