"""``--help`` of train.py and evaluate.py: how to call them, and all that can be named. Imports nothing heavy."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from string import digits

from assemble.command_line.layout import paragraph, table
from assemble.command_line.topics import section, topics
from assemble.config.groups import group_names
from assemble.errors import UserError
from assemble.suggest import suggest

USAGE = """\
Train an image classifier composed of training tricks.

  python train.py                                     a plain network on built-in images
  python train.py +tricks=[a,b]                       with tricks
  python train.py recipe=NAME                         a published recipe
  python train.py recipe=NAME +tricks=[a] drop=[b]    ... with a trick added and one left out
  python train.py recipe=NAME tricks.a.parameter=4    ... with a parameter changed
  python train.py -m '+tricks=[],[a],[a,b]' seed=0,1  every combination, one run after another
  python train.py -m hydra/sweeper=ablation recipe=NAME
                                                      the recipe's tricks, added one at a time
  python train.py recipe=NAME explain=true            what would be built, without training
  python train.py recipe=NAME debug=one_batch         one step of everything: does it run through?
  python train.py recipe=NAME prepare=true            what training needs computed first, without training
  python train.py --help NAME                         all about a trick, recipe, network, sweeper, key or group
  python train.py --cfg job [...]                     the whole configuration that would be run

The same command again goes on from the last checkpoint; a finished run is not run twice.
--hydra-help has Hydra's flags."""

EVALUATE_USAGE = """\
Score a trained network.

  python evaluate.py checkpoint=runs/.../best.ckpt            on the test images of its run
  python evaluate.py checkpoint=... data=imagefolder data.root=DIR   on others, DIR/val/<class>/*.jpg
  python evaluate.py checkpoint=... data.eval_size=288 eval.flip=true eval.averaged=false
  python evaluate.py model=timm:NAME data=imagenet data.root=DIR     a model of timm's, its weights downloaded
  python evaluate.py model=timm:NAME@WEIGHTS ...              ... or from a file
  python evaluate.py model=efficientnet_lite0 eval.predict=[cat.jpg,FOLDER] eval.cam=true
                                                              name what is in images, and draw where it is seen
  python evaluate.py checkpoint=... eval.corruptions=on_the_fly      robustness, on images corrupted here, or of
  python evaluate.py checkpoint=... eval.corruptions=imagenet_c eval.corruptions_root=DIR     a published set

The network wants its images as its run scored them (data.*), until something else is said here.
The same command again goes on where it was stopped; what is finished is not computed twice."""


def help_text(names: list[str]) -> str:
    """Return the help of train.py, or all about the named tricks, recipes, networks, sweepers, keys or groups."""
    from assemble.schema import Config

    if names:
        known = topics()
        whole = {f"{group}/{name}": name for group, options in group_names().items() for name in options}
        names = [whole.get(name, name) for name in names]
        for name in names:
            if name not in known:
                raise UserError(suggest("name", name, known, group=""))
        return "\n\n\n".join(text() for name in names for text in known[name])
    known = dict(group_names())
    sections = [
        section("tricks", known.pop("tricks")),
        section("recipe", families(known.pop("recipe")), more="; --help recipe lists each"),
        *(section(group, known.pop(group)) for group in ("model", "data")),
        *(section(group, options) for group, options in known.items()),
    ]
    return "\n\n".join([usage(USAGE), *sections, _sweeps(), _keys(Config)])


def evaluate_help() -> str:
    """Return the help of evaluate.py."""
    from assemble.schema import EvaluateConfig

    data = group_names()["data"]
    return "\n\n".join([usage(EVALUATE_USAGE), section("data", data), _keys(EvaluateConfig)])


def families(recipes: Mapping[str, str]) -> dict[str, str]:
    """Return a line for each family of recipes: its range, and its first one.

    The family is what comes before the first ``_`` of a name, without digits at the end.
    """
    names: dict[str, list[str]] = {}
    for name in recipes:
        names.setdefault(name.partition("_")[0].rstrip(digits), []).append(name)
    return {
        " .. ".join(dict.fromkeys((some[0], some[-1]))): f"({len(some)}) {recipes[some[0]]}" for some in names.values()
    }


def usage(text: str) -> str:
    """Return a text of commands, each with what it does behind two blanks, for the width of the terminal."""
    parts: list[str] = []
    for block in text.split("\n\n"):
        if block.startswith("  "):
            rows: list[tuple[str, str]] = []
            for line in block.splitlines():
                command, _, about = line.strip().partition("  ")
                if line.startswith("   ") and rows:  # what the command before it does
                    rows[-1] = (rows[-1][0], f"{rows[-1][1]} {line.strip()}".strip())
                else:
                    rows.append((command, about.strip()))
            parts.append(table(rows))
        else:
            parts.append("\n".join(map(paragraph, block.splitlines())))
    return "\n\n".join(parts)


def _sweeps() -> str:
    """Return the section on which jobs a sweep has, and where they run."""
    from assemble.config.launchers import PACKAGES
    from assemble.sweeper_options import SWEEPERS, GridConfig, Mode

    shared = {field.name for field in dataclasses.fields(GridConfig)}

    def keys(sweeper: type[GridConfig]) -> str:
        own = [f.name for f in dataclasses.fields(sweeper) if sweeper is GridConfig or f.name not in shared]
        return " ".join(name for name in own if not name.startswith("_"))

    rows = {
        **{f"hydra/sweeper={name}": f"hydra.sweeper. {keys(sweeper)}" for name, sweeper in SWEEPERS.items()},
        "hydra.sweeper.mode=..": " ".join(mode.value for mode in Mode),
        "hydra/launcher=..": " ".join(["local", *PACKAGES]),
    }
    return f"sweeps (-m)\n{table(rows.items())}"


def _keys(schema: type) -> str:
    """List the keys below each group, from the schema."""
    rows = []
    for field in dataclasses.fields(schema):
        if isinstance(field.type, type) and dataclasses.is_dataclass(field.type):
            rows.append((f"{field.name}.", " ".join(inner.name for inner in dataclasses.fields(field.type))))
    alone = [f.name for f in dataclasses.fields(schema) if f.type in (int, bool, str) or f.name == "drop"]
    return f"keys (key=value)\n{table([*rows, ('', ' '.join(alone))])}"
