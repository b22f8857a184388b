"""What all tests share: one thread, one store of configurations, no search through libraries for garbage, an order."""

import gc
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hydra.core.config_store import ConfigStore

# On tiny networks two threads gain nothing, and spin for seconds where the cores are shared.
torch.set_num_threads(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", type=int, default=3, help="interrupted runs of each kind in tests/faults (slow)")


@pytest.fixture
def soak(request: pytest.FixtureRequest) -> int:
    return request.config.getoption("--soak")


LONG = ("recipes/test_recipes.py", "programs/test_train.py", "tricks/test_pairs.py", "programs/test_ddp.py")
"""Files that take half a minute begin first, so that no worker is left with one of them at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not str(item.path).endswith(LONG))


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Leave the million objects that the libraries have made out of every later search for garbage."""
    gc.collect()
    gc.freeze()


def _itself(self: ConfigStore, memo: Any) -> ConfigStore:
    """Hydra copies the whole store whenever it composes; what it takes from there it copies once more."""
    return self


ConfigStore.__deepcopy__ = _itself  # type: ignore[attr-defined]


@pytest.fixture
def browser() -> Iterator[Any]:
    """Chromium, without a window; skipped where there is none."""
    file = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
    if file is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=file, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()
