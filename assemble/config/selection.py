"""Which tricks a composed configuration selects, and which of its keys nothing would read."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NoReturn

from assemble.errors import UserError
from assemble.plugins import provided, use
from assemble.suggest import suggest
from tricks import trick_names

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from tricks.base import Trick


SHOWN = 3
"""Data sets that a message names."""


def check_used(cfg: DictConfig) -> None:
    """Refuse the user's own ``data`` keys which the chosen data set never reads: they would change nothing."""
    if cfg.data._target_ is None:  # whose keys only it knows
        check_data_keys(cfg.data.name, _command_line_keys() or ())


def check_data_keys(name: str, keys: Iterable[str]) -> None:
    """Refuse those ``data`` keys among the user's which the data set of this name never reads."""
    from assemble.data.sources import OWN_KEYS

    others = provided("data")
    if name in others:
        return
    if name not in OWN_KEYS:
        raise UserError(suggest("data set", name, [*OWN_KEYS, *others]))
    for key in keys:
        group, _, field = key.partition(".")
        users = [other for other, keys in OWN_KEYS.items() if group == "data" and field in keys]
        if users and name not in users:
            more = "" if len(users) <= SHOWN else ", or others (--help data)"
            raise UserError(
                f"data={name} takes no {key}: leave it out, or add data={' or data='.join(users[:SHOWN])}{more}"
            )


def selected_tricks(cfg: DictConfig) -> dict[str, Trick]:
    """Return the chosen tricks as objects, by name, in the order of the config, without those of ``drop``.

    Raises:
        UserError: parameters of a trick that is not selected; ``drop`` of a trick that is not selected.
    """
    from omegaconf import OmegaConf

    names = active_tricks(cfg)
    for name in names:  # +tricks.<name>.<key> adds keys of which the dataclass knows nothing
        kind: Any = OmegaConf.get_type(cfg.tricks, name)
        known = [field.name for field in dataclasses.fields(kind)]
        for key in cfg.tricks[name]:
            if key not in known:
                raise UserError(suggest(f"parameter of trick {name}", key, known))
    objects: Any = {name: OmegaConf.to_object(cfg.tricks[name]) for name in names}
    return objects


def active_tricks(cfg: DictConfig) -> list[str]:
    """Return the names of the chosen tricks in the order of the config, without those of ``drop``.

    A recipe's parameters for a trick which ``tricks=[..]`` took away are still in the config, as a plain mapping where
    a trick is a dataclass: they are passed over. Parameters for a trick that nobody selected are a mistake.
    """
    from omegaconf import OmegaConf

    use(cfg.get("plugins") or ())  # a launcher's worker has not read the command line
    keys = _command_line_keys()
    typed = []
    for name in map(str, cfg.tricks):
        if name not in trick_names():
            raise UserError(suggest("trick", name, trick_names()))
        if dataclasses.is_dataclass(OmegaConf.get_type(cfg.tricks, name)):
            typed.append(name)
            continue
        for key in keys or ():
            if f"{key}.".startswith(f"tricks.{name}."):
                refuse_unselected(name, key)
        if keys is not None and "tricks" not in keys:
            raise UserError(
                f"the recipe has {name} under tricks, but does not select it: add - /tricks/{name} to its defaults"
            )
    for name in cfg.drop:
        if name not in trick_names():
            raise UserError(suggest("trick", name, trick_names()))
        if name not in typed:
            raise UserError(f"drop=[{name}]: trick '{name}' is not selected. Selected: {', '.join(typed) or 'none'}")
    return [name for name in typed if name not in cfg.drop]


def _command_line_keys() -> list[str] | None:
    """Return the keys which the user set; None where no Hydra runs.

    ``+tricks`` keeps its plus: it takes no trick away.
    """
    from hydra.core.hydra_config import HydraConfig

    if not HydraConfig.initialized():
        return None
    keys = [override.partition("=")[0] for override in HydraConfig.get().overrides.task]
    return [key if key == "+tricks" else key.lstrip("+~") for key in keys]


def refuse_unselected(name: str, key: str, in_some: bool = False) -> NoReturn:
    where = " in every job of this sweep" if in_some else ""
    there = " there" if in_some else ""
    raise UserError(f"trick '{name}' is not selected{where}, so {key} changes nothing{there}: add +tricks=[{name}]")
