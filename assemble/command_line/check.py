"""The command line checked before Hydra sees it, so that a typo is answered at once and by name.

Nothing here imports torch. Hydra alone would answer a misspelt trick with "Could not load", drop one of ``tricks=`` and
``+tricks=``, and take ``+trick=[..]`` for a new key.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

from assemble.complaints import quoted
from assemble.config.groups import group_names, recipe_names, set_config_dir, use_plugins
from assemble.config.selection import refuse_unselected
from assemble.errors import UserError
from assemble.suggest import available, suggest, unknown_key
from tricks import trick_names

if TYPE_CHECKING:
    from argparse import Namespace

    from hydra.core.override_parser.types import Override


LISTS = {"tricks", "logger", "callbacks", "drop", "plugins"}
"""Keys that take several names at once."""


def check_arguments(argv: Sequence[str]) -> bool:
    """Check the arguments (without the program's name), and return whether they ask for a sweep.

    Prints the help and exits where that was asked for.

    Raises:
        UserError: anything misspelt, unknown or contradictory.
    """
    arguments = _arguments(argv)
    set_config_dir(arguments.config_dir)
    if arguments.help:
        from assemble.command_line.help import help_text

        asked = [argument for argument in arguments.overrides if not argument.startswith("plugins=")]
        use_plugins(parse([argument for argument in arguments.overrides if argument not in asked]))
        print(help_text(asked), flush=True)
        raise SystemExit(0)
    if arguments.hydra_help or arguments.shell_completion:
        return False
    overrides = parse(arguments.overrides)
    use_plugins(overrides)
    sweep = arguments.multirun or any(o.key_or_group == "hydra.mode" and "MULTI" in str(o.value()) for o in overrides)
    if sweep and any(name in os.environ for name in ("RANK", "LOCAL_RANK")):
        raise UserError(
            "-m cannot be started by torchrun or on several ranks: start it once; each job has its own ranks"
        )
    shown = bool(arguments.cfg or arguments.info)
    _check_hydra(overrides, sweep or shown)
    ours = [o for o in overrides if o.key_or_group != "hydra" and not o.is_hydra_override()]
    _use_plugins_of_recipes(overrides)
    options = {group: list(names) for group, names in group_names().items()}
    values = [(o, _values(o, options)) for o in ours]
    _check_once(ours)
    _check_length(ours)
    for override, elements in values:
        _check_key(override, options)
        _check_sweep(override, sweep)
        _check_elements(override, elements, options)
    _check_selection(values)
    return sweep and not shown


def _arguments(argv: Sequence[str]) -> Namespace:
    """Return what Hydra's own parser makes of the arguments."""
    from hydra._internal.utils import get_args_parser

    def refuse(message: str) -> NoReturn:
        hint = ". Put options such as -m before the key=value arguments" if "=" in message else ""
        raise UserError(f"{message}{hint}. See --help")

    parser = get_args_parser()
    parser.error = refuse
    return parser.parse_args(list(argv))


def parse(overrides: list[str]) -> list[Override]:
    """Return the arguments as Hydra's grammar reads them. Raises `UserError` for one that is no key=value."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parser = OverridesParser.create()
    for text in overrides:
        if "=" not in text and not text.startswith("~"):
            raise UserError(f"cannot read the argument '{text}': write key=value. See --help")
    return parser.parse_overrides(overrides)


def _check_hydra(overrides: Sequence[Override], sweep: bool) -> None:
    """Check the sweeper, its keys, and the launcher."""
    from omegaconf import OmegaConf

    from assemble.config.launchers import check_launcher
    from assemble.sweeper_options import SWEEPERS

    for o in overrides:
        if o.key_or_group in {"hydra.sweeper", "hydra.launcher"}:
            raise UserError(f"{o.input_line}: write {str(o.input_line).replace('.', '/', 1)}")
    chosen = {o.key_or_group: o.value() for o in overrides if o.key_or_group in {"hydra/sweeper", "hydra/launcher"}}
    keys = [o for o in overrides if o.key_or_group.startswith("hydra.sweeper.")]
    if not sweep and (chosen or keys):
        raise UserError(f"{' '.join([*chosen, *(o.key_or_group for o in keys)])}: for a sweep, so put -m first")
    check_launcher(str(chosen.get("hydra/launcher")))
    sweeper = SWEEPERS.get(str(chosen.get("hydra/sweeper", "grid")))
    if sweeper is None:
        return  # of another package, or Hydra says that there is none
    typed = OmegaConf.create({"hydra": {"sweeper": OmegaConf.structured(sweeper)}})
    OmegaConf.set_struct(typed, True)
    for override in keys:
        field = override.key_or_group.split(".")[2]
        owners = [name for name, other in SWEEPERS.items() if field in other.__dataclass_fields__]
        if owners and field not in sweeper.__dataclass_fields__:
            raise UserError(f"{override.key_or_group} is for hydra/sweeper={owners[0]}: add that")
        OmegaConf.update(typed, override.key_or_group, override.value(), force_add=override.is_add())


def _use_plugins_of_recipes(overrides: Iterable[Override]) -> None:
    """Read the recipes that are named, for their ``plugins``."""
    for name in (name for name in recipe_names() if any(name in str(o.input_line) for o in overrides)):
        with suppress(UserError):  # told of where it is chosen
            _tricks_of(name)


def _values(override: Override, options: Mapping[str, list[str]]) -> list[Any]:
    """Return what the key is set to: one value, or one for each job of a sweep. Empty for ranges of numbers."""
    from hydra.core.override_parser.types import ChoiceSweep, Glob, RangeSweep

    if override.is_delete():
        return []
    value = override._value
    if isinstance(value, Glob):
        found = value.filter(options.get(override.key_or_group, []))
        if not found:
            group = override.key_or_group
            raise UserError(f"{override.input_line} matches nothing. {available(options.get(group, []), group)}")
        return list(found)
    if isinstance(value, RangeSweep) and not any(True for _ in value.range()):
        raise UserError(f"{override.input_line} is an empty range, so there is no job: end it above its beginning")
    elements: list[Any] = [value]
    if override.is_sweep_override():
        elements = value.list if isinstance(value, ChoiceSweep) else []
    return [override._convert_value(element) for element in elements]


def _names(element: Any) -> list[str]:
    """Return a group's value as a list of option names."""
    return [str(name) for name in element] if isinstance(element, list) else [str(element)]


def _kind(group: str) -> str:
    return "trick" if group == "tricks" else group


def _check_once(overrides: Sequence[Override]) -> None:
    """Refuse a key that stands there twice: Hydra would take the last without a word."""
    first: dict[str, Override] = {}
    for override in overrides:
        key = override.key_or_group
        other = first.setdefault(key, override)
        if other is not override and key != "tricks":  # of which `_check_selection` says more
            raise UserError(f"{other.input_line} and {override.input_line}: give {key} once")


def _check_length(overrides: Sequence[Override]) -> None:
    """Refuse two lengths of the training. One on the command line takes the place of a recipe's."""
    keys = {"trainer.max_epochs", "trainer.max_steps"}
    lengths = [str(override.input_line) for override in overrides if override.key_or_group in keys]
    if len(lengths) > 1:
        raise UserError(
            f"{' and '.join(lengths)} are two lengths of one training: give one of them, and leave the other out"
        )


def _check_key(override: Override, options: Mapping[str, list[str]]) -> None:
    """Check that the group or the key exists."""
    key = override.key_or_group
    if key in options:
        return
    if "/" in key:
        raise UserError(suggest("group", key, options))
    parts = key.split(".")
    if parts[0] == "tricks" and parts[1] not in trick_names():
        raise UserError(suggest("trick", parts[1], trick_names()))
    if (
        parts[0] in {"logger", "callbacks"}
        and parts[1] not in options[parts[0]]
        and not (override.is_add() or override.is_force_add())
    ):
        raise UserError(suggest(parts[0].removesuffix("s"), parts[1], options[parts[0]]))
    from assemble.schema import Config

    check_schema(parts, Config, options)


def check_schema(parts: list[str], root: type, groups: Iterable[str] = ()) -> None:
    """Walk down the typed configuration ``root`` along the key; ``groups`` are named beside its own keys."""
    node: Any = root
    for depth, part in enumerate(parts):
        if not (isinstance(node, type) and dataclasses.is_dataclass(node)):
            return
        types = {field.name: field.type for field in dataclasses.fields(node)}
        if part not in types:
            raise UserError(unknown_key(".".join(parts[: depth + 1]), node, () if depth else groups))
        node = types[part]


def _check_sweep(override: Override, sweep: bool) -> None:
    """Refuse several values without -m.

    A list of names without brackets, or a comma in a path, is the usual cause.
    """
    if override.is_sweep_override() and not sweep:
        key, _, value = str(override.input_line).partition("=")
        hint = f" For one value with a comma in it write {quoted(str(override.input_line))}"
        if override.key_or_group in LISTS:
            hint = f" For one run with all of them write '{key}=[{value}]'"
        raise UserError(f"{override.input_line} is a sweep over several runs: put -m before it.{hint}")


def _check_elements(override: Override, elements: list[Any], options: Mapping[str, list[str]]) -> None:
    """Check that every value has the form that its key takes, and that every named option exists."""
    key, line = override.key_or_group, override.input_line
    group = "tricks" if key == "drop" else key
    head, _, name = key.partition(".")
    whole = head in {"tricks", "logger", "callbacks"} and name and "." not in name  # tricks.<name>
    if override.is_delete() and not whole:
        raise UserError(
            f"{line}: only a trick, a logger or a callback can be taken away, as ~tricks.NAME. Set others to a value"
        )
    own = head == "callbacks" and override.is_add() and all(isinstance(element, dict) for element in elements)
    if whole and not override.is_delete() and not own:
        raise UserError(f"{line}: {key} has parameters, but is no value: set {key}.<parameter>=...")
    for element in elements:
        if key in LISTS and not isinstance(element, str | list):
            raise UserError(f"{line}: write {key}=[..], with names between the brackets, or none")
        if group in options and key not in LISTS and (element is None or isinstance(element, list | dict)):
            raise UserError(f"{line}: choose one {key}, or leave it out. {available(options[group], group)}")
        if group not in options and element == "":
            raise UserError(f"{line} is empty: write {key}=VALUE, or leave it out")
        for name in _names(element) if group in options else []:
            if name not in options[group] and "${" not in name:
                raise UserError(suggest(_kind(group), name, options[group], group=group))


def _check_selection(values: list[tuple[Override, list[Any]]]) -> None:
    """Check that what is said about tricks agrees with which tricks are selected."""
    of_tricks = [(o, elements) for o, elements in values if o.key_or_group == "tricks"]
    added = [[_names(e) for e in elements] for o, elements in of_tricks if o.is_add()]
    replaced = [[_names(e) for e in elements] for o, elements in of_tricks if not o.is_add() and not o.is_delete()]
    if added and replaced:
        raise UserError("tricks=[..] and +tricks=[..] together: tricks= replaces the tricks, +tricks= adds. Use one")
    if len(of_tricks) > 1:
        raise UserError(f"{of_tricks[0][0].input_line} and {of_tricks[1][0].input_line}: put all tricks into one list")
    recipes = [n for o, elements in values if o.key_or_group == "recipe" for e in elements for n in _names(e)]
    if any(name not in recipe_names() for name in recipes):
        return  # of --config-dir: composed by Hydra, judged by `active_tricks`
    contents = {name: _tricks_of(name) for name in recipes}
    for name in recipes if any(o.key_or_group == "optim" for o, _ in values) else ():
        _check_optimizer(name)
    for recipe, content in contents.items():
        for name in (name for elements in added for element in elements for name in element):
            if name in content:
                raise UserError(
                    f"recipe {recipe} already has {name}, and adding it again would reset its parameters: "
                    f"change it with tricks.{name}.<parameter>=..."
                )
    lists = replaced or [list(contents.values()) or [[]]]
    dropped = [[_names(e) for e in elements] for o, elements in values if o.key_or_group == "drop"]
    always = _union(map(_common, [*lists, *added])) - _union(map(_common, dropped))
    ever = _union(_union(elements) for elements in [*lists, *added])
    for override, _ in values:
        head, _, rest = override.key_or_group.partition(".")
        name = rest.partition(".")[0]
        if head == "tricks" and name and not override.is_delete() and name not in always:
            refuse_unselected(
                name, override.key_or_group, in_some=name in ever and name not in _union(map(_union, dropped))
            )


def _check_optimizer(recipe: str) -> None:
    """Refuse ``optim=..`` beside a recipe that sets keys of ``optim``.

    A recipe's values win over those of a group, so half of each optimizer's settings would be taken.
    """
    from assemble.config.recipes import flatten

    keys = flatten(recipe).body.get("optim")
    if keys:
        raise UserError(
            f"recipe {recipe} sets optim.{', optim.'.join(keys)}, which optim=.. would leave as they are: "
            "give the values that you want one by one, as in optim.name=lamb optim.lr=5e-3"
        )


def _tricks_of(recipe: str) -> list[str]:
    from assemble.config.recipes import flatten

    return flatten(recipe).tricks


def _union(lists: Iterable[Iterable[str]]) -> set[str]:
    return {name for names in lists for name in names}


def _common(lists: list[list[str]]) -> set[str]:
    """Return what all the lists have."""
    return set.intersection(*map(set, lists)) if lists else set()
