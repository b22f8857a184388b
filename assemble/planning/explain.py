"""What would be built, and who decided what: the table of ``explain=true``."""

from __future__ import annotations

from enum import Enum
from functools import partial
from typing import Any

from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table

from assemble.data.verify import left_out
from assemble.devices import device_beside
from assemble.errors import UserError
from assemble.models.cost import Cost, cost_of
from assemble.planning.network import initial_weights
from assemble.planning.plan import Plan
from assemble.plugins import called
from assemble.processor import SLOW, emulates_bfloat16
from assemble.schema import ModelConfig, TrainerConfig
from assemble.wording import amount, count
from lit_modules.optim import optimizer_arguments
from tricks.base import BatchTrick, CallbackTrick, DataTrick, LossTrick, OptimTrick, Trick

KINDS: tuple[tuple[type[Trick], str, str], ...] = (
    (DataTrick, "image", ""),
    (BatchTrick, "batch", "as it is"),
    (LossTrick, "loss", "cross-entropy with one-hot targets"),
    (OptimTrick, "optimizer", ""),
    (CallbackTrick, "run", ""),
)
"""What tricks fill beside the network's places, and what is there without one (nothing worth a line, if empty)."""
EMPTY = {
    "norm": "batch norm",
    "pool": "none",
    "stage": "row of blocks",
    "operator": "3x3 conv, batch norm, ReLU",
    "downsample": "stride of the 3x3 conv",
    "global_pool": "mean",
    "head": "linear layer",
}


def describe(value: Any) -> str:
    """Put a place's filling into words: function or class name with the parameters bound to it."""
    if isinstance(value, partial):
        return f"{describe(value.func)}({', '.join(f'{k}={describe(v)}' for k, v in value.keywords.items())})"
    if isinstance(value, Enum):
        return str(value.value)
    owner = getattr(value, "__self__", None)
    if isinstance(owner, Trick):
        return str(owner)
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return getattr(value, "__name__", str(value))


def places(plan: Plan) -> list[tuple[str, str, str]]:
    """Return (place, what fills it, who put it there) for the network, the pipeline and the loss."""
    spec, recipe = plan.recipe.spec, plan.recipe
    owner = {place: step.trick for step in recipe.steps for place in step.places}
    rows = []
    for place, value in spec.places.items():
        filling = EMPTY.get(place, "none") if value is None else describe(value)
        if place == "shortcut" and not spec.residual:
            filling = "none (plain network)"
        rows.append((place, filling, owner.get(place, spec.name)))
    if plan.data:
        rows.append(("crop and flip", describe(plan.data.source.train_crop), called(vars(plan.cfg.data))))
    for kind, place, empty in KINDS:
        tricks = recipe.of(kind)
        rows += [(place, str(trick), trick.name) for trick in tricks]
        if not tricks and empty:
            rows.append((place, empty, called(vars(plan.cfg.data))))
    return rows


def costs(plan: Plan) -> list[tuple[str, Cost, Cost]]:
    """Return (trick, cost with it, what it added) for the base network and each model trick in order."""
    size = plan.cfg.data.scored_size
    before = cost_of(plan.recipe.base, size)
    rows = [(plan.recipe.base.name, before, before)]
    for step in plan.recipe.steps:
        after = cost_of(step.spec, size) if step.places else before
        rows.append((step.trick, after, Cost(after.params - before.params, after.macs - before.macs)))
        before = after
    return rows


def explain(plan: Plan) -> Group:
    """Build the tables, ready to print."""
    what = Table(title=f"{plan.recipe.spec.name}: places", title_justify="left")
    for column in ("place", "filled by", "put there by"):
        what.add_column(column, overflow="fold")
    for row in places(plan):
        what.add_row(*row)
    size = plan.cfg.data.scored_size
    cost = Table(title=f"cost at {size}x{size}, {plan.num_classes} classes", title_justify="left")
    for column in ("", "parameters", "added", "multiply-adds", "added"):
        cost.add_column(column, justify="right" if column else "left")
    for name, total, added in costs(plan):
        cost.add_row(name, f"{total.params:,}", f"{added.params:+,}", amount(total.macs), amount(added.macs, more=True))
    notes = [f"{step.trick} {step.reason}." for step in plan.recipe.steps if step.reason]
    return Group(what, cost, *notes, summary(plan))


def training_sizes(plan: Plan) -> str:
    """Return the sides of the training images, in the order in which the epochs have them."""
    assert plan.data is not None
    sizes = [str(plan.data.train_set.size_at(epoch)) for epoch in range(plan.cfg.trainer.max_epochs)]
    different = list(dict.fromkeys(sizes))
    return ", ".join(different) if len(different) <= 6 else f"{different[0]} to {different[-1]}"


def summary(plan: Plan) -> Table:
    """Summarise the run in a few lines, and spell out what users of other projects trip over."""
    cfg, optim = plan.cfg, plan.optim
    arguments = [f"{name} {value}" for name, value in optimizer_arguments(optim).items()]
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    rows = {
        "model": str(plan.recipe.spec),
        "weights": beginning(cfg.model),
        "tricks": ", ".join(plan.recipe.names) or "none",
        "data": called(vars(cfg.data))
        + (
            f", {plan.data.train_size:,} training images of {training_sizes(plan)} pixels"
            + (f", {cfg.data.train_share:g} of each class" if cfg.data.train_share < 1 else "")
            + (f", fold {cfg.data.fold} of {cfg.data.folds} held out" if cfg.data.folds else "")
            if plan.data
            else " (not found, so only the network is shown)"
        ),
        "batch": str(plan.batch)
        + (f" ({plan.batch.images_per_target} drawn for each)" if plan.batch.images_per_target > 1 else ""),
        "optimizer": f"{', '.join([optim.name, *arguments])}, weight decay {optim.weight_decay:g} "
        f"({optim.decay_rule.value} rule)"
        + (f", learning rate x {optim.layer_decay:g} a layer" if optim.layer_decay else ""),
        "learning rate": f"{optim.lr:g} at its peak for the batch of {plan.batch.total} (never rescaled), "
        f"{optim.warmup_epochs:g} warm-up epoch{'s' * (optim.warmup_epochs != 1)}, then {optim.schedule}",
        "length": length(plan),
        "precision": cfg.trainer.precision
        + (f", loss scale {cfg.trainer.loss_scale:g}" if cfg.trainer.loss_scale else "")
        + (f" ({SLOW})" if slow_precision(cfg.trainer) else ""),
    }
    for key, value in rows.items():
        table.add_row(f"[bold]{key}[/bold]", value)
    for line in left_out(plan.data.source.folders) if plan.data else []:
        table.add_row("[bold]left out[/bold]", escape(line))
    return table


def length(plan: Plan) -> str:
    """Return how long the training is, and where an epoch has fewer steps than were asked for."""
    trainer, steps = plan.cfg.trainer, plan.steps_per_epoch
    if not steps:
        return count(trainer.max_epochs, "epoch") if trainer.max_steps is None else count(trainer.max_steps, "step")
    key = "limit_train_batches" if trainer.overfit_batches is None else "overfit_batches"
    limit = getattr(trainer, key)
    few = f" (an epoch has no more: trainer.{key}={limit})" if isinstance(limit, int) and limit > steps else ""
    each = f"{count(steps, 'step')}{few}"
    if trainer.max_steps is not None:
        return f"{count(trainer.max_steps, 'step')}, {trainer.max_steps / steps:.3g} epochs of {each}"
    return f"{count(trainer.max_epochs, 'epoch')} x {each}"


def slow_precision(cfg: TrainerConfig) -> bool:
    """Return True where the training will be in bfloat16 on a CPU that has it not."""
    if not cfg.precision.startswith("bf16") or not emulates_bfloat16():
        return False
    try:
        return device_beside(cfg.accelerator).type == "cpu"
    except UserError:  # it is trained elsewhere
        return False


def beginning(cfg: ModelConfig) -> str:
    """Describe the weights that training starts from."""
    parts = [initial_weights(cfg) or ("of model.checkpoint, not given yet" if cfg.new_head else "random")]
    if cfg.new_head:
        parts.append("a new classifier")
    if not cfg.restore_statistics:
        parts.append("batch norm's statistics anew")
    if cfg.freeze is not None:
        stages = f" and {cfg.freeze} stage{'s' * (cfg.freeze > 1)}" if cfg.freeze else ""
        parts.append(f"the stem{stages} frozen")
    return ", ".join(parts)


def print_explanation(plan: Plan, run: str) -> None:
    """Print the explanation to the terminal; wide enough for a file or a pipe.

    Args:
        run: a line about the run that it would be.
    """
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    console.print(explain(plan))
    unnamed = "" if plan.data else " (by another name once its data is found, which is part of it)"
    console.print(f"[bold]run[/bold]            {escape(run)}{unnamed}", soft_wrap=True, highlight=False)
