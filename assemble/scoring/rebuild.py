"""The network of an earlier run and its images, from the configuration that its checkpoint carries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from assemble.errors import UserError
from assemble.planning.data import data_settings
from assemble.planning.network import base_spec
from assemble.planning.resolve import resolve
from assemble.plugins import use
from assemble.schema import Config, DataConfig

if TYPE_CHECKING:
    from torch import nn


def rebuild(config: Mapping[str, Any], num_classes: int) -> nn.Module:
    """Build the network, tricks included, of a resolved configuration (plain values); its weights are random.

    Raises:
        UserError: the configuration is of another version of this project.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from tricks import create

    use(config.get("plugins") or ())
    try:
        # No more than the network depends on: an old checkpoint should not fail for a renamed logger option.
        needed = {"model": config["model"], "data": {"image_size": config["data"]["image_size"]}}
        cfg: Any = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), needed))
        tricks = create(config["tricks"])
    except (KeyError, TypeError, OmegaConfBaseException) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"its configuration is of another version of this project ({reason})") from error
    return resolve(tricks, base_spec(cfg, num_classes)).spec.build()


def rebuilt_data(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ``data`` part of a resolved configuration (plain values) as the run's tricks changed it."""
    from tricks import create

    use(config.get("plugins") or ())
    data = config["data"]
    asked = {field.name: data[field.name] for field in fields(DataConfig) if field.name in data}
    seen = data_settings(DataConfig(**asked), create(config.get("tricks", {})))
    return {**data, **{key: getattr(seen, key) for key in asked}}
