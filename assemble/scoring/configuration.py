"""The configuration of an evaluation: defaults, what the run had, what the network wants, what the user says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from assemble.config.selection import check_data_keys
from assemble.errors import UserError
from assemble.paths import CONF
from assemble.schema import EvaluateConfig

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from assemble.scoring.trained import Trained


def configure(values: Mapping[str, Any], trained: Trained | None = None) -> DictConfig:
    """Merge defaults, what the run had, ``data=NAME``, what the network wants, and the user's values.

    Raises:
        UserError: the run's configuration is of another version of this project.
    """
    import yaml
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    cfg: Any = OmegaConf.structured(EvaluateConfig)
    try:
        if trained and trained.config:
            cfg.data.update({key: value for key, value in trained.config["data"].items() if key in cfg.data})
        if values.get("data") and values["data"] != (trained and trained.config and trained.config["data"]["name"]):
            file = CONF / "data" / f"{values['data']}.yaml"
            cfg.data = OmegaConf.structured(EvaluateConfig).data
            own = file.is_file()  # a plug-in's has a name and no more
            cfg.data.update(yaml.safe_load(file.read_text(encoding="utf-8")) if own else {"name": values["data"]})
        if trained:
            cfg.data.update(trained.view)
    except OmegaConfBaseException as error:
        reason = " ".join(str(error).split())
        raise UserError(f"the configuration is of another version of this project ({reason})") from error
    for key, value in values.items():
        if key != "data":
            OmegaConf.update(cfg, key, value)
    return cfg


def check_data(values: Mapping[str, Any], cfg: DictConfig) -> None:
    """Refuse keys of ``data`` that the chosen images do not read; somebody must have chosen some."""
    if not any(map(values.get, ("checkpoint", "data", "data.name", "data._target_"))):
        raise UserError(
            "name the images: data=imagefolder data.root=DIR, or eval.predict=[FILE,..] to see what is in some"
        )
    if cfg.data._target_ is None:
        check_data_keys(cfg.data.name, values)
