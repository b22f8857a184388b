"""``--help NAME``: all about one trick, recipe, network, sweeper, key or group of keys, without importing torch."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from itertools import takewhile
from pathlib import Path

from assemble.command_line.layout import paragraph, table
from assemble.config.groups import config_dir_files, group_names, recipe_file, recipe_names
from assemble.config.parameters import Parameter, parameters
from assemble.config.recipes import flatten
from assemble.dotted import flat
from assemble.paths import CONF, PACKAGE, RECIPES
from assemble.schema import Config
from assemble.yaml_files import read_yaml
from tricks import trick_file, trick_names

SCHEMA, SWEEPING = PACKAGE / "schema.py", PACKAGE / "sweeper_options.py"
KEYS = {
    field.name: field.type.__name__
    for field in fields(Config)
    if isinstance(field.type, type) and is_dataclass(field.type)
}
"""Group of keys -> its dataclass in the schema."""
OF_CLASSES = ("logger", "callbacks")
"""Groups whose options are classes, each with keys of its own."""


def topics() -> dict[str, list[Callable[[], str]]]:
    """Return all that can be asked for by name, each with its texts: one name may be a trick's and a recipe's."""
    from assemble.sweeper_options import SWEEPERS

    groups = {group: options for group, options in group_names().items() if group not in {"tricks", "recipe"}}
    named = [
        *((group, partial(of_group, group)) for group in group_names()),
        *((name, partial(of_trick, name)) for name in trick_names()),
        *((name, partial(of_recipe, name)) for name in recipe_names()),
        *((file.stem, partial(of_file, file)) for file in config_dir_files()),
        *(("sweeper", partial(of_sweeper, name)) for name in SWEEPERS),
        *((name, partial(of_sweeper, name)) for name in SWEEPERS),
        *(
            (name, partial(of_option, group, name, about))
            for group, options in groups.items()
            for name, about in options.items()
        ),
    ]
    found: dict[str, list[Callable[[], str]]] = {}
    for name, text in named:
        found.setdefault(name, []).append(text)
    keys: dict[str, list[Callable[[], str]]] = {}
    for prefix, kind in {"": Config.__name__, **{f"{group}.": kind for group, kind in KEYS.items()}}.items():
        for parameter in parameters(SCHEMA, kind):
            for name in dict.fromkeys((prefix + parameter.name, parameter.name)):
                keys.setdefault(name, []).append(partial(of_key, prefix, parameter))
    return keys | found


def section(group: str, options: Mapping[str, str], more: str = "") -> str:
    """Return the options of a group below a line that says how one is chosen, and ``more``."""
    how = "+tricks=[..], '+' adds to a recipe's" if group == "tricks" else f"{group}=.."
    return f"{paragraph(f'{group} ({how}{more})')}\n{table(options.items())}"


def of_group(group: str) -> str:
    """Return the options of a group, and the keys below it."""
    parts = [section(group, group_names()[group])]
    if group in KEYS:
        rows = [_row(f"{group}.", parameter) for parameter in parameters(SCHEMA, KEYS[group])]
        parts.append(f"{group}.KEY=VALUE\n{table(rows)}")
    if group in OF_CLASSES:
        parts += [keys for name in group_names()[group] if (keys := _keys(group, name))]
    return "\n\n".join(parts)


def of_key(prefix: str, parameter: Parameter) -> str:
    """Return the line about one key."""
    return table([_row(prefix, parameter)])


def of_trick(name: str) -> str:
    """Return what a trick's file says of it, and its parameters."""
    file = trick_file(name)
    own = parameters(file)
    example = next((f" tricks.{name}.{p.name}={p.example}" for p in own if p.example != p.default), "")
    parts = [
        _prose(ast.get_docstring(ast.parse(file.read_bytes())) or ""),
        table(_row(f"tricks.{name}.", parameter) for parameter in own) if own else "It has no parameters.",
        _commands(f"python train.py '+tricks=[{name}]'{example}", f"python train.py recipe=NAME 'drop=[{name}]'"),
    ]
    return "\n\n".join(parts)


def of_recipe(name: str) -> str:
    """Return the comment at the top of a recipe, its tricks, and every key that it sets."""
    file = recipe_file(name) or RECIPES / f"{name}.yaml"
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if "@package" not in line]
    comment = "\n".join(line[1:].removeprefix(" ") for line in takewhile(lambda line: line.startswith("#"), lines))
    whole = flatten(name)
    rows = [(key.removeprefix("override ").lstrip("/"), option) for key, option in whole.others.items()]
    rows += [("tricks", ", ".join(whole.tricks) or "none")]
    rows += [(key, _value(value)) for key, value in flat(whole.body).items() if not key.startswith("reported.")]
    return "\n\n".join(
        [
            _prose(comment),
            f"What it sets, with all that it inherits\n{table(rows)}",
            _commands(f"python train.py{'' if file.parent == RECIPES else _where(file)} recipe={name} explain=true"),
        ]
    )


def of_file(file: Path) -> str:
    """Return what a file of ``--config-dir`` says: Hydra composes it as it is. Of a recipe, all that it sets."""
    group, name = file.parent.name, file.stem
    if group == "recipe":
        return of_recipe(name)
    command = f"python train.py{_where(file)} {group}={name}"
    return "\n\n".join([f"{file}\n\n{file.read_text('utf-8', 'replace').strip()}", _commands(command)])


def _where(file: Path) -> str:
    """Return the option by which Hydra finds a file of the user's."""
    return f" --config-dir={file.parent.parent}"


def of_sweeper(name: str) -> str:
    """Return what a sweeper does, and its keys."""
    from assemble.sweeper_options import SWEEPERS

    kind = SWEEPERS[name]
    rows = [_row("hydra.sweeper.", parameter) for parameter in parameters(SWEEPING, kind.__name__)]
    return f"{paragraph(' '.join((kind.__doc__ or '').replace('`', '').split()))}\n{table(rows)}"


def of_option(group: str, name: str, about: str) -> str:
    """Return a line about one option of a group: a network, a data set, an optimizer, a logger."""
    command = f"python train.py {f'{chr(39)}{group}=[{name}]{chr(39)}' if group == 'logger' else f'{group}={name}'}"
    more = f"What else can be set: python train.py --help {group}" if group in KEYS else _keys(group, name)
    return "\n\n".join(filter(None, [paragraph(f"{group}={name}: {about}"), _commands(command), more]))


def _keys(group: str, name: str) -> str:
    """Return the keys of a logger or a callback, each with the comment behind it; empty for other groups' options."""
    file = CONF / group / f"{name}.yaml"
    text = file.read_text(encoding="utf-8") if group in OF_CLASSES and file.is_file() else ""
    found = re.findall(r"^([a-z]\w*): (.*?)(?: +# (.*))?$", text, re.MULTILINE)
    if not found:
        return ""
    rows = [(f"{group}.{name}.{key}={value}", about) for key, value, about in found]
    more = f"any other argument of {read_yaml(file)['_target_']}"
    return table([*rows, (f"+{group}.{name}.KEY=VALUE", more)])


def _row(prefix: str, parameter: Parameter) -> tuple[str, str]:
    """Return key=default, and all about it."""
    choices = ", ".join(parameter.choices)
    kind = f"{parameter.kind} {choices}".strip() + (f", {parameter.limits}" if parameter.limits else "")
    key, about = prefix + parameter.name, parameter.about.replace("`", "")
    example = f" Example: {key}={parameter.example}" if parameter.example != parameter.default else ""
    return f"{key}={parameter.default}", f"{about} ({kind}){example}".strip()


def _value(value: object) -> str:
    """Return a value as it is written in YAML."""
    words = {None: "null", True: "true", False: "false"}
    return words[value] if isinstance(value, bool | None) else str(value)


def _prose(text: str) -> str:
    """Return a docstring or comment with its lines broken for the terminal; those that stand apart stay apart."""
    lines: list[str] = []
    for line in text.replace("`", "").splitlines():
        label = line.partition(":")[0]
        goes_on = line.startswith(8 * " ")  # under a label of a recipe's
        begins = not goes_on and (line.startswith((" ", "-", "*")) or (label.istitle() and ":" in line))
        begins |= not line.strip()
        if begins or not lines or not lines[-1].strip():
            lines.append(line)
        else:
            lines[-1] += f" {line.strip()}"
    return "\n".join(paragraph(line) if line.strip() else "" for line in lines)


def _commands(*commands: str) -> str:
    return "\n".join(paragraph(command, "  ") for command in commands)
