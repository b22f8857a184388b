"""What all tests run with: one thread, no search through the libraries for garbage, one store of configurations."""

import gc
from typing import Any

import pytest
import torch
from hydra.core.config_store import ConfigStore

# On tiny networks two threads gain nothing, and spin for seconds where the cores are shared.
torch.set_num_threads(1)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Leave the million objects that the libraries have made out of every later search for garbage."""
    gc.collect()
    gc.freeze()


def _itself(self: ConfigStore, memo: Any) -> ConfigStore:
    """Hydra copies the whole store whenever it composes; what it takes from there it copies once more."""
    return self


ConfigStore.__deepcopy__ = _itself  # type: ignore[attr-defined]
