"""Knowledge distillation: a trained teacher's answers are targets beside the labels.

Paper: Hinton et al. 2015 (arXiv 1503.02531), section 2; temperature 1 in arXiv 2001.06268: +0.29 top-1 (Table 7, E7).
Changes: the loss: T^2 * cross-entropy of the student's softmax(logits / T) with the teacher's is added. The teacher's
probabilities are softened first, then mixed with the same lambda as labels and images.
Differs: Hinton et al. weigh the labels' loss lower, Bag of Tricks (arXiv 1812.01187) takes T = 20; here both losses
count 1 and T = 1, as in the official Assemble-ResNet code. That code computes the teacher's logits once, on the central
87.5 % of each image, stretched to a square. ``cache`` stores them too, on our evaluation crop, which keeps the
aspect, and as float16, which moves a probability by at most 0.8 % of itself where logits stay within 16. Without
``cache`` the teacher sees what the student sees, before it is mixed; with ``sees_mixed`` it sees mixed images, as in
the code of Bag of Tricks. For a background class that the data has (data.label_offset) and the teacher has not, its
logit is 0, as official. With mixup's type2 the official code gives half of the labels another partner than the
teacher's answers: a mistake not followed here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from assemble.bounds import bounded
from assemble.data.class_map import positions_of
from assemble.devices import device_beside
from assemble.errors import UserError
from tricks._alone import named
from tricks.base import Companion, LossTrick, PlannedRun, Strength, register, strength

if TYPE_CHECKING:
    from assemble.data.logit_store import LogitStore, StoredLogits
    from assemble.scoring.trained import Trained


class Form(Enum):
    """What measures the distance: cross-entropy, or Kullback-Leibler divergence (same gradient, 0 at its minimum)."""

    ce = "ce"
    kl = "kl"


def soften(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Turn logits (N, K) into probabilities softmax(logits / temperature) (N, K), in float32."""
    return (logits.float() / temperature).softmax(1)


def distillation_loss(logits: Tensor, soft: Tensor, temperature: float = 1.0, form: Form | str = Form.ce) -> Tensor:
    """Return T^2 times the distance from the student's softened logits to ``soft``, mean over the batch.

    T^2 undoes that gradients shrink with 1 / T^2 (Hinton et al., section 2).

    Args:
        logits: the student's (B, K).
        soft: the teacher's probabilities (B, K), softened with the same temperature (`soften`), perhaps mixed.
        temperature: T.
        form: what measures the distance.
    """
    loss = F.cross_entropy(logits.float() / temperature, soft)
    if named(Form, form) is Form.kl:
        loss = loss + torch.xlogy(soft, soft).sum(1).mean()
    return temperature**2 * loss


@register
@dataclass(frozen=True)
class Distillation(LossTrick):
    """Parameters of knowledge distillation."""

    teacher: str | None = None
    """A run's checkpoint, timm:NAME, timm:NAME@WEIGHTS or efficientnet_lite0. May be left out for a complete cache."""
    cache: str | None = field(default=None, metadata={"place": True})
    """Folder of the teacher's logits, once an image on the evaluation crop; computed if not there. null: online."""
    temperature: float = bounded(1.0, above=0)
    """T: the higher, the softer the probabilities of both."""
    weight: Strength = strength(1.0, neutral=0.0, least=0)
    """Factor of the term."""
    label_weight: Strength = strength(1.0, least=0)  # type: ignore[override] - a property of LossTrick
    """Factor of the loss against the labels; 0: the teacher alone."""
    form: Form = Form.ce
    """ce or kl (see above)."""
    size: int | None = bounded(None, least=1)
    """Side in pixels of the images the teacher sees; null: what it was made for."""
    sees_mixed: bool = field(default=False, metadata={"later": True})  # type: ignore[override] - a property of LossTrick
    """Show the teacher the mixed images, in the place of mixing its answers."""

    def check(self) -> None:
        if self.sees_mixed and self.cache:
            raise UserError(
                "tricks.distillation.cache stores answers to images that are not mixed: leave it or sees_mixed=true out"
            )

    def companion(self, run: PlannedRun) -> Companion:
        if not (self.teacher or self.cache):
            from assemble.scoring.trained import SOURCES

            raise UserError(f"distillation needs a teacher: set tricks.distillation.teacher to {SOURCES}")
        teacher = self._open() if self.teacher else None
        order = _order(teacher, run) if teacher else None
        if self.cache:
            source: Online | Stored = Stored(self._stored(run, teacher))
        else:
            assert teacher is not None
            source = Online(teacher, run.cfg.data.mean, run.cfg.data.std)
        return Softened(source, _background(source.classes, run), self.temperature, order)

    def term(self, logits: Tensor, companion: Tensor | None) -> Tensor:
        assert companion is not None
        return self.weight * distillation_loss(logits[0], companion, self.temperature, self.form)

    def _open(self) -> Trained:
        from assemble.scoring.trained import open_trained

        assert self.teacher is not None
        return open_trained(self.teacher, self.size)

    def _stored(self, run: PlannedRun, teacher: Trained | None) -> StoredLogits:
        """Return the rows of ``cache``, of this data and this teacher; what is missing is computed first."""
        from assemble.data.logit_store import LogitStore

        assert run.data is not None
        assert self.cache is not None
        folder, data = Path(self.cache).expanduser(), run.data
        about = {"images": data.source.train.digest(), "view": data.view_as_scored}
        if teacher:
            about |= {"teacher": teacher.digest(), "size": f"{teacher.size} pixels"}
        store = LogitStore.open(folder)
        if store:
            store.check(data.train_size, about)
        if teacher and (store is None or store.missing):
            _background(teacher.classes, run)
            store = store or LogitStore.begin(folder, data.train_size, about)
            fill(store, teacher, run)
        if store is None or store.missing:
            raise UserError(f"{folder} has no complete logits: set tricks.distillation.teacher, and they are computed")
        return store.read()


@dataclass
class Online:
    """Logits (N, K) of a teacher that sees the student's images. Holds the teacher out of reach of the optimizer."""

    teacher: Trained
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __post_init__(self) -> None:
        self.classes = self.teacher.classes
        self.shift, self.scale = (torch.tensor(v).view(1, 3, 1, 1) for v in (self.mean, self.std))

    def __call__(self, images: Tensor, index: Tensor) -> Tensor:
        self.shift, self.scale = self.shift.to(images.device), self.scale.to(images.device)
        return self.teacher(torch.addcmul(self.shift, images, self.scale))


@dataclass
class Stored:
    """Logits (N, K) by position."""

    rows: StoredLogits

    def __post_init__(self) -> None:
        self.classes = self.rows.classes

    def __call__(self, images: Tensor, index: Tensor) -> Tensor:
        found = torch.from_numpy(self.rows[index.tolist()])
        # From pinned memory the copy does not wait for the device either.
        return (found.pin_memory() if images.is_cuda else found).to(images.device, non_blocking=True)


@dataclass
class Softened:
    """A teacher's probabilities (N, K) for the network's K outputs."""

    source: Online | Stored
    background: int
    """Outputs before the teacher's first."""
    temperature: float
    order: list[int] | None = None
    """For each class of the data the teacher's output; None: the same."""

    def __call__(self, images: Tensor, index: Tensor) -> Tensor:
        logits = self.source(images, index)
        logits = logits if self.order is None else logits[:, self.order]
        return soften(F.pad(logits, (self.background, 0)), self.temperature)


def _order(teacher: Trained, run: PlannedRun) -> list[int] | None:
    """Return for each class of the data the output of a teacher that knows the names of its classes.

    None: the same order.

    Raises:
        UserError: the teacher does not know a class.
    """
    assert run.data is not None
    names, classes = list(teacher.class_names or ()), list(run.data.source.classes)
    if not names or names == classes:
        return None
    offset = teacher.classes - len(names)  # of a background class
    order = [int(place) + offset for place in positions_of(classes, names, "the teacher")]
    return [*range(offset if teacher.classes == run.num_classes else 0), *order]


def _background(classes: int, run: PlannedRun) -> int:
    """Count the outputs of the network before those of a teacher with so many classes.

    Raises:
        UserError: the teacher tells other classes apart than the data has.
    """
    assert run.data is not None
    if classes == run.num_classes:
        return 0
    offset = run.cfg.data.label_offset
    if classes == run.data.num_classes == run.num_classes - offset:
        return offset
    raise UserError(
        f"the teacher has {classes} classes and the network {run.num_classes}: take a teacher for {run.cfg.data.name}"
    )


def fill(store: LogitStore, teacher: Trained, run: PlannedRun) -> None:
    """Compute the missing logits of a store, in float32 on this process's device, and store them as float16."""
    assert run.data is not None
    data, size = run.data, run.data.eval_batch
    items = data.train_set_as_scored(teacher.size)
    device = device_beside(run.cfg.trainer.accelerator)

    def rows_of(positions: range) -> Iterator[np.ndarray]:
        for images, _ in data.loader(items, [positions[i : i + size] for i in range(0, len(positions), size)]):
            yield teacher(images.to(device)).cpu().numpy().astype(np.float16)

    store.fill(rows_of)
