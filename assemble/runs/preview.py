"""What a run will do, as images, before it does it: ``plot=DIR`` (with ``explain=true``, without training).

``schedule.png``: the learning rate and every strength that moves. ``batch.png``: images of the first training batch
as the network will see them, with their soft labels; where strengths move, of the last epoch's first batch too.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from assemble.errors import UserError
from assemble.planning.plan import Plan
from assemble.runs.build import build_classifier

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POINTS = 500
"""Of a curve."""
COLUMNS, ROWS = 8, 3
"""Of images."""
SHOWN = 0.01
"""Least share of a target that is written below its image."""


def draw(plan: Plan, directory: str) -> list[Path]:
    """Write the images and return their files.

    Raises:
        UserError: matplotlib is missing, or the directory cannot be written.
    """
    if plan.data is None:
        raise UserError("plot=.. shows a training batch, so it needs the data: set data.root")
    folder = Path(directory).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    files = {"schedule.png": schedule_figure(plan), "batch.png": batch_figure(plan)}
    for name, figure in files.items():
        figure.savefig(folder / name, dpi=110)
    return [folder / name for name in files]


def curves(plan: Plan) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return epochs (n,), and by name the learning rate and each moving strength (n,) there."""
    schedule = plan.schedule
    steps = np.unique(np.linspace(0, max(schedule.total_steps - 1, 0), POINTS).astype(int))
    values = {"optim.lr": np.array([plan.optim.lr * schedule(int(step)) for step in steps])}
    for trick in plan.recipe.tricks:
        for name, ramp in trick.ramps.items():
            progress = steps / schedule.total_steps
            values[f"tricks.{trick.name}.{name}"] = np.array([ramp.at(float(p)) for p in progress])
    return steps / schedule.batches_per_epoch, values


def schedule_figure(plan: Plan) -> Figure:
    """Draw one axis for each curve, one below the other."""
    epochs, values = curves(plan)
    figure = _figure(7, 1 + 1.3 * len(values))
    axes = np.atleast_1d(figure.subplots(len(values), 1, sharex=True))
    for axis, (name, curve) in zip(axes, values.items(), strict=True):
        axis.plot(epochs, curve)
        axis.set_title(name, loc="left", fontsize=9)
        axis.grid(alpha=0.3)
    axes[-1].set_xlabel("epoch")
    return figure


def batch_figure(plan: Plan) -> Figure:
    """Draw images and soft labels of the first batch of one or two epochs."""
    last = plan.cfg.trainer.max_epochs - 1
    epochs = [0, last] if last and any(trick.ramps for trick in plan.recipe.tricks) else [0]
    figure = _figure(1.5 * COLUMNS, 0.4 + 1.8 * ROWS * len(epochs))
    parts = np.atleast_1d(figure.subfigures(len(epochs), 1))
    for part, epoch in zip(parts, epochs, strict=True):
        images, targets = preview(plan, epoch)
        part.suptitle(f"first batch of epoch {epoch + 1}", x=0.01, ha="left", fontsize=10)
        axes = part.subplots(ROWS, COLUMNS).flatten()
        for axis in axes:
            axis.axis("off")
        for axis, image, target in zip(axes, images, targets, strict=False):
            axis.imshow(image.permute(1, 2, 0).numpy())
            axis.set_title(caption(target, plan), fontsize=6)
    return figure


def preview(plan: Plan, epoch: int) -> tuple[Tensor, Tensor]:
    """Return an epoch's first micro-batch as the network sees it: uint8 (B, 3, H, W), targets (B, K)."""
    assert plan.data is not None
    module = build_classifier(plan, nn.Identity(), companions=())
    loader = plan.data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    images, labels, index = next(iter(loader))
    rng = np.random.default_rng([plan.cfg.seed, epoch, 0, 0, 1])
    progress = epoch / plan.cfg.trainer.max_epochs
    with torch.no_grad():
        images, targets, _ = module.inputs(*module.network_scale(images, labels), index, rng, progress)
    pixels = (images * module.std + module.mean).round().clamp(0, 255).byte()
    views = len(images) // len(targets)  # all first views first -> the views of an image side by side
    order = torch.arange(len(images)).view(views, -1).T.flatten()
    return pixels[order], targets.repeat_interleave(views, 0)


def caption(target: Tensor, plan: Plan) -> str:
    """Return the classes of a soft label, the largest share first."""
    assert plan.data is not None
    shares, classes = target.sort(descending=True)
    uniform = float(shares[-1])  # what label smoothing gave to every class is not news
    lines = []
    for share, number in list(zip(shares.tolist(), classes.tolist(), strict=True))[:3]:
        if share - uniform >= SHOWN:
            name = number - plan.cfg.data.label_offset
            lines.append(f"{plan.data.classes[name][:16]} {share:.2f}")
    return "\n".join(lines)


def _figure(width: float, height: float) -> Any:
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise UserError("plot=.. needs matplotlib: pip install -e '.[plot]'") from error
    return Figure(figsize=(width, height), layout="constrained")
