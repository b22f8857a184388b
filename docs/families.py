"""Which trick finds its place in which network, found by asking every trick: ``python -m docs.families`` prints it.

``python -m docs.families my_package`` adds the tricks and networks of plug-ins.

A trick that changes nothing in the network goes with all of them, if they take the sizes of images that it makes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from assemble.errors import UserError
from assemble.models.families import spec_of
from assemble.planning.resolve import resolve
from assemble.plugins import provided, use
from tricks import create, load
from tricks.base import ModelTrick

FAMILIES = {
    "ResNet": "resnet50",
    "plain": "plain34",
    "MobileNet-V1": "mobilenet_v1",
    "EfficientNet": "efficientnet_b0",
    "EfficientNetV2": "efficientnetv2_b0",
    "CoAtNet": "coatnet_0",
    "ResNet (timm)": "timm:resnet18",
    "ConvNeXt (timm)": "timm:convnext_atto",
}
"""Family -> one of its networks."""


def refusal(trick: str, model: str) -> str | None:
    """Why the trick, at its default parameters, finds no place in a network; None: it does."""
    try:
        resolve(create([trick]), spec_of(model))
    except UserError as error:
        return str(error)
    return None


def families() -> dict[str, str]:
    """Family -> one of its networks, and those of plug-ins by their own names."""
    return FAMILIES | {name: name for name in provided("models")}


def rows() -> Iterator[tuple[str, ...]]:
    """(trick, yes or no by family) for every trick that changes networks."""
    for name in sorted(name for name, trick in load().items() if issubclass(trick, ModelTrick)):
        yield f"`{name}`", *("no" if refusal(name, model) else "yes" for model in families().values())


def table() -> str:
    """Markdown."""
    lines = [("trick", *families()), ("---",) * (1 + len(families())), *rows()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    use(sys.argv[1:])
    print(table())
