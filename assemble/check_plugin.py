"""Check all that a plug-in has, as the tests of this project check its own tricks, networks and data sets.

  python -m assemble.check_plugin my_package

Of a trick: its docstring and those of its parameters, that it is a frozen dataclass of its file's name, that it finds
a place in a network and trains some steps there, that the network can be rebuilt, and that beside every other trick it
is composed, or refused by name. Of a network: it trains some steps, all of its parameters have gradients, and it can be
rebuilt. Of a data set: two openings give the same images, and crops are what a network takes. One line each; exit
code 2 at the first that fails.
"""

from __future__ import annotations

import ast
import dataclasses
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from assemble.command_line.one_line_errors import one_line_errors
from assemble.errors import UserError, require

if TYPE_CHECKING:
    from torch import nn

FAMILIES = ("resnet20", "resnet50", "mobilenet_v1", "efficientnet_b0", "timm:convnext_atto")
"""Networks in which a place is looked for, the cheapest first."""


def check_trick(name: str) -> str:
    """Check one trick; returns what it was trained in. Raises `UserError` for what is wrong."""
    from assemble.config.parameters import parameters
    from tricks import class_of, create, trick_file
    from tricks.base import BatchTrick, CallbackTrick, DataTrick, LossTrick, ModelTrick, OptimTrick

    cls: type = class_of(name)
    text = ast.get_docstring(ast.parse(trick_file(name).read_bytes())) or ""
    undocumented = [parameter.name for parameter in parameters(trick_file(name)) if not parameter.about]
    kinds = (ModelTrick, DataTrick, BatchTrick, LossTrick, OptimTrick, CallbackTrick)
    missing = [label for label in ("Paper:", "Changes:", "Differs:") if f"\n{label} " not in text]
    require(
        (text.partition("\n")[0].endswith("."), "the first line of its docstring is no sentence with a full stop"),
        (not missing, f"its docstring has no {' '.join(missing)} (write 'Paper: none' where there is none)"),
        (_is_frozen(cls), "it is no @dataclass(frozen=True)"),
        (issubclass(cls, kinds), "it has none of the base classes of tricks/base.py"),
        (not undocumented, f"no docstring below its parameters {', '.join(undocumented)}"),
    )
    network = _network_for(create([name]))
    _trains(network, [name])
    _check_pairs(name)
    return network


def _is_frozen(cls: Any) -> bool:
    return dataclasses.is_dataclass(cls) and cls.__dataclass_params__.frozen  # type: ignore[attr-defined]


def _network_for(tricks: Sequence[Any]) -> str:
    """Return the first network that has a place for the tricks, of the plug-ins' or ours."""
    from assemble.models.families import spec_of
    from assemble.planning.resolve import resolve
    from assemble.plugins import provided

    reasons = []
    for network in (*FAMILIES, *provided("models")):
        try:
            resolve(tricks, spec_of(network))
        except UserError as error:
            reasons.append(str(error))
            continue
        return network
    raise UserError(f"no network takes it: {reasons[0]}")


def _check_pairs(name: str) -> None:
    """Check that beside every other trick this one is composed, or refused by both names."""
    from assemble.models.families import spec_of
    from assemble.planning.resolve import resolve
    from tricks import create, trick_names

    for other in trick_names():
        if other == name:
            continue
        try:
            resolve(create([name, other]), spec_of(FAMILIES[0]))
        except UserError as error:
            named = name in str(error) or other in str(error)
            require((named, f"beside {other} it is refused by a message that names neither: {error}"))


def _trains(model: str, tricks: Sequence[str] = (), data: str = "digits") -> None:
    """Train some steps on small images, and see that all that has a gradient is finite, and that weights go back in.

    Raises:
        UserError: something is not as it should be.
    """
    import warnings

    import torch

    from assemble.models.catalogue import TIMM
    from assemble.planning.plan import make_plan
    from assemble.runs.build import build_module, build_trainer
    from assemble.schema import Config, Library
    from tricks import create
    from tricks.base import CallbackTrick

    cfg = Config()
    cfg.model.name = model.removeprefix(TIMM)
    cfg.model.library = Library.timm if model.startswith(TIMM) else Library.catalogue
    cfg.data.name, cfg.data.batch_size, cfg.optim.warmup_epochs, cfg.optim.lr = data, 16, 0.0, 0.01
    cfg.trainer.max_epochs, cfg.trainer.accelerator, cfg.trainer.progress_bar = 1, "cpu", False
    plan = make_plan(cfg, create(list(tricks)))
    module = build_module(plan)
    network: nn.Module = module.model
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with warnings.catch_warnings(action="ignore"):
        trainer = build_trainer(
            cfg.trainer,
            max_steps=3,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            limit_val_batches=1,
            callbacks=[c for trick in plan.recipe.of(CallbackTrick) for c in trick.callbacks()],
        )
        trainer.fit(module, datamodule=plan.data)
    state = network.state_dict()
    ill = [key for key, value in state.items() if value.is_floating_point() and not value.isfinite().all()]
    still = [key for key, value in network.named_parameters() if value.requires_grad and value.grad is None]
    require(
        (not ill, f"in {model} it makes weights that are not finite: {', '.join(ill[:3])}"),
        (not still, f"in {model} parameters have no gradient: {', '.join(still[:3])}"),
        (any(not torch.equal(before[key], state[key]) for key in before), f"in {model} training changes nothing"),
    )
    plan.recipe.spec.build().load_state_dict(state)


def check_model(name: str) -> str:
    """Check one network; returns which model tricks find a place in it. Raises `UserError` for what is wrong."""
    from assemble.models.families import spec_of
    from assemble.planning.resolve import resolve
    from tricks import create, load
    from tricks.base import ModelTrick

    _trains(name)
    fitting = []
    for trick in sorted(key for key, cls in load().items() if issubclass(cls, ModelTrick)):
        try:
            resolve(create([trick]), spec_of(name))
        except UserError:
            continue
        fitting.append(trick)
    return f"takes {', '.join(fitting) or 'no model trick'}"


def check_data(name: str) -> str:
    """Check one data set; returns how many images it has. Raises `UserError` for what is wrong."""
    import numpy as np

    from assemble.data.identity import DataIdentity
    from assemble.data.sources import open_whole
    from assemble.schema import DataConfig

    cfg = DataConfig(name=name)
    source, again = open_whole(cfg), open_whole(cfg)
    same = DataIdentity.of(source).digest == DataIdentity.of(again).digest
    require((same, "opened twice, it has other images: draw by seeds of its own"))
    counts = []
    for split in ("train", "val", "test"):
        images = getattr(source, split)
        crop: Callable[[Any], Any] = source.eval_crop
        if split == "train":
            crop = _at_random(source.train_crop, cfg.image_size)
        size = cfg.image_size if split == "train" else cfg.scored_size
        require((len(images.labels) > 0, f"its {split} has no images"))
        image = images.load(0, crop)
        labels = np.asarray(images.labels)
        require(
            (labels.min() >= 0 and labels.max() < len(source.classes), f"labels of its {split} are no positions"),
            (image.shape == (size, size, 3), f"its {split} crop gives {image.shape}, not {(size, size, 3)}"),
        )
        counts.append(f"{len(labels)} {split}")
    _trains("tiny", data=name)
    return ", ".join(counts)


def _at_random(crop: Callable[[Any, Any, int], Any], size: int) -> Callable[[Any], Any]:
    import numpy as np

    return lambda whole: crop(whole, np.random.default_rng(0), size)


CHECKS: dict[str, Callable[[str], str]] = {"tricks": check_trick, "models": check_model, "data": check_data}


def check(package: str) -> list[str]:
    """Check all that a package has; returns a line for each, and prints it.

    Raises:
        UserError: it has nothing, or what is wrong with the first that fails.
    """
    from assemble.config.groups import group_names
    from assemble.plugins import KINDS, provided, use

    use([package])
    group_names()  # names that are taken, docstrings
    items = [item for kind in KINDS for item in provided(kind).values() if item.package == package]
    require((bool(items), f"{package} has no trick, network or data set: mark them by @register (docs/extending.md)"))
    lines = []
    for item in items:
        try:
            said = CHECKS[item.kind](item.name)
        except UserError as error:
            raise UserError(f"{KINDS[item.kind]} {item.name}: {error}") from error
        lines.append(f"{KINDS[item.kind]} {item.name}: {said}")
        print(lines[-1], flush=True)
    return lines


def main() -> None:
    """Run the command line."""
    with one_line_errors():
        if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
            print((__doc__ or "").strip())
            raise SystemExit(0 if {"-h", "--help"} & set(sys.argv) else 2)
        check(sys.argv[1])


if __name__ == "__main__":
    main()
