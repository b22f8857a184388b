"""A page for each trick, made from its file, from what it is refused beside, and from what was measured of it.

Links are written as from ``docs/cards/NAME.md``; `docs.site` turns them into links of the site.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from itertools import combinations

import torch

from assemble.config.groups import recipe_names
from assemble.config.parameters import Parameter, parameters
from assemble.config.recipes import flatten
from assemble.errors import UserError
from assemble.models.cost import cost_of
from assemble.models.families import spec_of
from assemble.planning.explain import EMPTY, describe
from assemble.planning.resolve import resolve
from docs import card_results
from docs.card_figures import curve, grid, shaped
from docs.families import FAMILIES, refusal
from docs.tables import ACTS_ON
from tricks import FOLDER, create, load, trick_names
from tricks.base import BatchTrick, DataTrick, LossTrick, ModelTrick, Trick

MODEL = "resnet50"
"""The network in which tricks are tried beside each other."""


def card(name: str) -> str:
    """Return a trick's page as Markdown."""
    (trick,) = create([name])
    about = trick_names()[name].partition(": ")[2]
    said = docstring(name)
    acts = ", ".join(word for base, word in ACTS_ON.items() if base in {cls.__name__ for cls in type(trick).__mro__})
    parts = [
        f"# {_title(name)}",
        _sentence(about),
        f"`+tricks=[{name}]` · acts on: {acts} · [tricks/{name}.py](../../tricks/{name}.py)",
        *_figures(trick),
        f"## What it changes\n\n{_sentence(said['Changes'])}",
        *_before_and_after(trick),
        f"## Where it is from\n\n{said['Paper']}\n\n**Where code and paper differ:** {said['Differs']}",
        f"## Parameters\n\n{_parameters(name)}",
        f"## Networks\n\n{_networks(trick)}",
        f"## Beside other tricks\n\n{_beside(trick)}",
        f"## Measured here\n\n{_measured(name)}",
        f"## When it does not pay\n\n{_not_paying(name)}",
        f"## Recipes with it\n\n{_recipes(name)}",
        "## Turn it off\n\n"
        f"`drop=[{name}]` leaves it out of a recipe: `python train.py recipe=NAME 'drop=[{name}]'`. To see what it is "
        f"worth, train both: `python train.py -m recipe=NAME 'drop=[],[{name}]' seed=0,1,2`.",
    ]
    return "\n\n".join(parts) + "\n"


def index() -> str:
    """Return the page that leads to all cards."""
    head = "# Cards\n\nA page for each trick: what it changes, its parameters, what it goes with, what it brought here."
    lines = [f"* [`{name}`]({name}.md): {about}" for name, about in trick_names().items()]
    return f"{head}\n\n" + "\n".join(lines) + "\n"


def docstring(name: str) -> dict[str, str]:
    """Return the docstring of a trick's file by its labels (*Paper*, *Changes*, *Differs*), as Markdown."""
    text = ast.get_docstring(ast.parse((FOLDER / f"{name}.py").read_bytes())) or ""
    labels = re.split(r"^(Paper|Changes|Differs):\s+", text, flags=re.MULTILINE)[1:]
    return {label: prose(said.strip()) for label, said in zip(labels[::2], labels[1::2], strict=True)}


def prose(text: str) -> str:
    """Turn a docstring's text into Markdown: code, papers and repositories as such."""
    text = text.replace("``", "`")
    code = re.split(r"(`[^`]*`)", text)
    for i in range(0, len(code), 2):
        plain = code[i].replace("&", "&amp;").replace("<", "&lt;").replace("*", "\\*").replace("|", "\\|")
        plain = re.sub(r"arXiv (\d{4}\.\d{4,5})", r"[arXiv \1](https://arxiv.org/abs/\1)", plain)
        code[i] = re.sub(r"(?<![\w/])(github\.com/[\w./-]*\w)", r"[\1](https://\1)", plain)
    return "".join(code)


def _title(name: str) -> str:
    return trick_names()[name].partition(": ")[0]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _figures(trick: Trick) -> Iterator[str]:
    drawn = grid(trick)
    if drawn:
        rows = 2 if isinstance(trick, BatchTrick) and trick.images_per_target == 2 else 1
        above = "The first two rows are images and their partners" if rows == 2 else "Above images as they are"
        words = f"{above}, below what `{trick.name}` makes of them by its default parameters."
        if trick.name == "dropblock":
            words = "Below, the masks of four channels of a 14x14 map, laid over images to show their size."
        labels = f" Soft labels from left to right: {'; '.join(drawn[1])}." if drawn[1] else ""
        yield f"![Images before and after {trick.name}]({trick.name}.jpg)\n\n{words}{labels}"
    for name, ramp in trick.ramps.items():
        yield f"{curve(name, ramp)}\n\n`tricks.{trick.name}.{name}`: {ramp}."
    if isinstance(trick, LossTrick) and type(trick).targets is not LossTrick.targets:
        before = torch.eye(5)[:1]
        yield f"A target of five classes, `{shaped(before)}`, becomes `{shaped(trick.targets(before))}`."


def _before_and_after(trick: Trick) -> Iterator[str]:
    """Yield a table of the places that the trick fills in `MODEL`, and what that costs."""
    if not isinstance(trick, ModelTrick):
        return
    recipe = resolve([trick], spec_of(MODEL))
    (step,) = recipe.steps
    rows = [f"| place in {MODEL} | before | after |", "| --- | --- | --- |"]
    for place in step.places:
        before, after = (_filling(place, getattr(spec, place)) for spec in (recipe.base, recipe.spec))
        rows.append(f"| `{place}` | {before} | {after} |")
    plain, changed = cost_of(recipe.base, 224), cost_of(recipe.spec, 224)
    yield "\n".join(rows)
    yield (
        f"Parameters {plain.params / 1e6:.2f} M, then {changed.params / 1e6:.2f} M; multiply-adds at 224 pixels "
        f"{plain.macs / 1e9:.2f} G, then {changed.macs / 1e9:.2f} G. `explain=true` shows the same of your run."
    )


def _filling(place: str, value: object) -> str:
    return EMPTY.get(place, "none") if value is None else f"`{describe(value)}`"


def _parameters(name: str) -> str:
    found = parameters(FOLDER / f"{name}.py")
    return "\n\n".join(map(_parameter, found)) if found else "It has none."


def _parameter(parameter: Parameter) -> str:
    kind = f"one of {', '.join(f'`{choice}`' for choice in parameter.choices)}" if parameter.choices else parameter.kind
    limits = f", {parameter.limits}" if parameter.limits else ""
    return f"`{parameter.name}={parameter.default}` ({kind}{limits})\n:   {prose(parameter.about)}"


def _networks(trick: Trick) -> str:
    if not isinstance(trick, ModelTrick):
        sizes = isinstance(trick, DataTrick) and (
            type(trick).size is not DataTrick.size or type(trick).smallest is not DataTrick.smallest
        )
        return "It goes with every network" + (
            ", but for those of one image size such as CoAtNet: it changes the size." if sizes else "."
        )
    refused = {family: refusal(trick.name, model) for family, model in FAMILIES.items()}
    places = [family for family, reason in refused.items() if reason is None]
    lines = [f"By its default parameters it finds its place in {', '.join(places)}."]
    without: dict[str, list[str]] = {}
    for family, reason in refused.items():
        if reason:
            why = re.search(r"\((.*)\): drop it$", reason)
            without.setdefault(why[1] if why else reason, []).append(family)
    lines += ["\n".join(f"* Not in {', '.join(names)}: {prose(why)}." for why, names in without.items())]
    return "\n\n".join(lines)


@cache
def interplays() -> dict[frozenset[str], str]:
    """Return what is said of each pair of tricks that does not simply act together, found by trying every pair."""
    base, found = spec_of(MODEL), dict[frozenset[str], str]()
    for pair in combinations(sorted(load()), 2):
        try:
            steps = resolve(create(list(pair)), base).steps
        except UserError as error:
            found[frozenset(pair)] = str(error)
        else:
            reasons = [f"{step.trick} {step.reason}" for step in steps if step.reason]
            if reasons:
                found[frozenset(pair)] = "; ".join(reasons)
    return found


def _beside(trick: Trick) -> str:
    lines = [f"* needs [`{other}`]({other}.md): {prose(reason)}." for other, reason in trick.needs.items()]
    for pair, said in interplays().items():
        if trick.name in pair:
            (other,) = pair - {trick.name}
            lines.append(f"* [`{other}`]({other}.md): {prose(said)}.")
    if isinstance(trick, BatchTrick):
        others = [name for name, cls in sorted(load().items()) if issubclass(cls, BatchTrick) and name != trick.name]
        lines += [
            f"* [`{other}`]({other}.md): they take turns on the batches, by their shares (`tricks.{trick.name}.share`)."
            for other in others
        ]
    rest = (
        "With the others it acts together, in an order that is fixed." if lines else "It goes with every other trick."
    )
    return "\n".join([*lines, "", rest]).strip()


def _measured(name: str) -> str:
    lines = [f"* {each}." for each in card_results.of(name)]
    parts = ["\n".join(lines)] if lines else []
    if lines:
        parts.append(
            "Mean of the differences paired by seed, with Student's 95 % interval, not corrected for how many tricks "
            "were tried."
        )
    logged = "\n".join(f"* {row}." for row in card_results.logged(name))
    parts += [f"Its rows in the log:\n\n{logged}"] if logged else []
    told = "\n".join(f"* {link}" for link in card_results.entries(name, _title(name)))
    parts += [f"Entries of the log about it:\n\n{told}"] if told else []
    return "\n\n".join(parts) or "There is no stored result with it alone, and no row of its own in the log."


def _not_paying(name: str) -> str:
    """Say where it was measured not to pay; what is not known is said to be so."""
    failing = [each for each in card_results.of(name) if not each.pays]
    lines = [f"* Not told apart from no trick: {each}." for each in failing]
    if any(True for _ in card_results.logged(name)):
        lines.append(
            "* A network that underfits (few parameters, a short training) gained by no trick, and most that "
            "regularise cost it accuracy: [where](../ablations.md#where-a-network-underfits). The log's rows above are "
            "of small networks and short trainings."
        )
    elif any(True for _ in card_results.entries(name, _title(name))):
        lines.append("* What the log's entries above say of it.")
    try_it = (
        "Whether it pays for your network, data and length, "
        f"`python train.py -m hydra/sweeper=ablation hydra.sweeper.mode=one_at_a_time '+tricks=[{name}]' seed=0,1,2` "
        "tells ([ablations](../ablations.md))."
    )
    return "\n".join([*lines, "", try_it] if lines else ["Nothing was measured of that here. " + try_it])


@cache
def _tricks_of(recipe: str) -> tuple[str, ...]:
    return tuple(flatten(recipe).tricks)


def _recipes(name: str) -> str:
    found = [recipe for recipe in recipe_names() if name in _tricks_of(recipe)]
    if not found:
        return "None."
    links = ", ".join(f"[{recipe}](../../recipes/{recipe}.yaml)" for recipe in found)
    return links if len(found) <= 12 else f'??? note "{len(found)} recipes"\n\n    {links}'
