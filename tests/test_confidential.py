"""Secrets stay out of what is written."""

from typing import Any

import pytest
from omegaconf import OmegaConf

from assemble.confidential import redacted, without_secrets

HIDDEN = "***"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_PLACE", "https://host/hidden-place")
    monkeypatch.setenv("STORE_TOKEN", "hidden-token")
    monkeypatch.setenv("DATA", "/images")


def kept(config: dict[str, Any]) -> dict[str, Any]:
    cfg = OmegaConf.create(config)
    resolved: Any = OmegaConf.to_container(cfg, resolve=True)
    return without_secrets(resolved, cfg)


def test_what_a_logger_takes_from_the_environment_stays_as_it_was_written() -> None:
    written = {"logger": {"mlflow": {"tracking_uri": "${oc.env:MLFLOW_PLACE}", "tags": ["${oc.env:DATA}"]}}}
    assert kept(written) == written


def test_elsewhere_only_secrets_do() -> None:
    written = {"data": {"root": "${oc.env:DATA}", "args": {"auth": "${oc.env:STORE_TOKEN}"}}}
    assert kept(written) == {"data": {"root": "/images", "args": {"auth": "${oc.env:STORE_TOKEN}"}}}


def test_what_is_typed_is_hidden() -> None:
    written = {"logger": {"x": {"api_key": "abc", "uri": "https://me:pass@host/a", "steps": 3}}, "seed": 0}
    assert kept(written) == {"logger": {"x": {"api_key": HIDDEN, "uri": "https://***@host/a", "steps": 3}}, "seed": 0}


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("optim.lr=0.1", "optim.lr=0.1"),
        ("+tricks=[sk,mixup]", "+tricks=[sk,mixup]"),
        ("data.crop_scale=[0.7,1]", "data.crop_scale=[0.7,1]"),
        ("+logger.wandb.api_key=abc", "+logger.wandb.api_key=***"),
        ("logger.mlflow.tracking_uri=http://me:pass@host", "logger.mlflow.tracking_uri=http://***@host"),
        ("logger.wandb.api_key=${oc.env:KEY}", "logger.wandb.api_key=${oc.env:KEY}"),
    ],
)
def test_arguments(argument: str, expected: str) -> None:
    assert redacted(argument) == expected
