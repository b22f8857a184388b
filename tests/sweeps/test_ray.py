"""Ray that is to be started or found; a stand-in for the package, which not every machine has."""

from __future__ import annotations

import socket
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from assemble.errors import UserError
from assemble.sweeps.launching import start_ray
from tests.cluster.slurm import free_port


class StandIn(SimpleNamespace):
    """``ray.init`` as Ray 2 has it, of which a cluster that is there refuses what is said to start one."""

    def init(self, address: str | None = None, **given: Any) -> None:
        assert address  # None would mean a cluster that is there, or a new one
        if address == "auto":
            raise ConnectionError("Could not find any running Ray instance.\nMore.")
        if address != "local" and "object_store_memory" in given:
            raise ValueError("When connecting to an existing cluster, object_store_memory must not be provided.")
        if given.get("num_cpus") == -1:
            raise RuntimeError("Ray cannot start")
        self.given = {"address": address, **given}


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn()
    monkeypatch.setitem(sys.modules, "ray", stand_in)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return stand_in


def test_one_is_started_here_with_the_launchers_memory(ray: StandIn) -> None:
    start_ray({"address": None, "include_dashboard": False})
    assert ray.given == {"address": "local", "include_dashboard": False, "object_store_memory": 78643200}


def test_one_that_is_there_is_asked_for_nothing(ray: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = f"127.0.0.1:{server.getsockname()[1]}"
        for address in (place, f"ray://{place}"):
            start_ray({"address": address})
            assert ray.given == {"address": address}
        monkeypatch.setenv("RAY_ADDRESS", place)
        start_ray({"address": None})
        assert ray.given == {"address": place}


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}", "auto", "bad"])
def test_none_is_there(ray: StandIn, form: str) -> None:
    address = form.format(free_port())
    with pytest.raises(UserError, match=rf"no Ray at {address} \(.*\): name the head .*address=HOST:6379") as error:
        start_ray({"address": address})
    assert "\n" not in str(error.value)
    assert not hasattr(ray, "given")


def test_it_does_not_start(ray: StandIn) -> None:
    with pytest.raises(UserError, match="Ray does not start on this machine: Ray cannot start"):
        start_ray({"num_cpus": -1})
