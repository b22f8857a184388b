"""What our training step costs over a bare PyTorch loop that does the same operations.

    python benchmarks/step_overhead.py host             tiny network: milliseconds a step on the host
    python benchmarks/step_overhead.py resnet50         ResNet-50 at 128x128, batch 16: ratio of step times
    python benchmarks/step_overhead.py monitors         all of trainer.monitors, in a ResNet-20's steps: their share

Ours is what `assemble.runs.build` makes: Classifier, Trainer, CSV logger, progress bar, checkpoint callback and the
callbacks of the tricks. The bare loop calls the tricks' plain functions. Both run in one process on the same images,
which lie in memory, and take turns every block of steps: the loader that Lightning draws from runs the bare loop's
block before it hands out the next batch.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from assemble.paired import conditions, differences, ratios, spread, verdict  # noqa: E402

Batch = tuple[Tensor, Tensor, Tensor]
TRICKS = {"mixup": {"kind": "permutation"}, "cutmix": {}, "label_smoothing": {}, "dropblock": {}}


def images(number: int, size: int, classes: int) -> Batch:
    """A batch as the data module's ``collate`` makes it: uint8, channels last in memory."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (number, size, size, 3), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, classes, (number,), generator=generator)
    return images.permute(0, 3, 1, 2), labels, torch.arange(number)


class TurnTaking:
    """Hands out ``blocks`` blocks of ``steps`` batches; before each, every other loop has a block of as many steps.

    ``times`` has the milliseconds a step of each block, by loop; the consumer's are under ``ours``.
    """

    def __init__(self, batch: Batch, steps: int, blocks: int, others: dict[str, Callable[[Batch, int], None]]) -> None:
        self.batch, self.steps, self.blocks, self.others = batch, steps, blocks, others
        self.times: dict[str, list[float]] = {name: [] for name in ("ours", *others)}

    def __len__(self) -> int:
        return self.steps * (self.blocks + 1) + 1

    def __iter__(self) -> Iterator[Batch]:
        for _ in range(self.steps):  # to warm up; the others have warmed up before
            yield self.batch
        for _ in range(self.blocks):
            for name, run in self.others.items():
                start = time.perf_counter()
                run(self.batch, self.steps)
                self._note(name, start)
            start = time.perf_counter()
            for _ in range(self.steps):
                yield self.batch
            self._note("ours", start)
        yield self.batch  # the last batch of an epoch logs, so it is not timed

    def _note(self, name: str, start: float) -> None:
        self.times[name].append((time.perf_counter() - start) / self.steps * 1000)


def configuration(model: str, size: int, batch: int, classes: int, tricks: dict[str, dict[str, Any]]) -> Any:
    """The plan that ``train.py`` would make for this network and these tricks."""
    from assemble.planning.plan import make_plan
    from assemble.schema import Config
    from tricks import create

    cfg = Config()
    cfg.model.name, cfg.model.num_classes = model, classes
    cfg.data.image_size, cfg.data.batch_size = size, batch
    cfg.trainer.accelerator, cfg.trainer.max_epochs = "cpu", 1
    return make_plan(cfg, create(tricks))


def bare_loop(plan: Any, module: Any) -> Callable[[Batch, int], None]:
    """The same training as plain PyTorch, with a copy of the network."""
    from lit_modules.optim import build_optimizer
    from tricks.cutmix import cutmix, rectangle
    from tricks.dropblock import DropBlock
    from tricks.label_smoothing import smooth
    from tricks.mixup import mixup

    model = deepcopy(module.model).train()
    optimizer = build_optimizer(model, plan.cfg.optim)
    mean, std, classes = module.mean, module.std, plan.num_classes
    kinds = [trick for trick in plan.recipe.names if trick in {"mixup", "cutmix"}]
    chosen = {trick.name: trick for trick in module.batch_tricks + module.loss_tricks}
    layers = [m for m in model.modules() if isinstance(m, DropBlock)]
    schedule, total, peak = plan.schedule, plan.schedule.total_steps, plan.cfg.optim.lr
    rng, done = np.random.default_rng(0), 0

    def run(batch: Batch, steps: int) -> None:
        nonlocal done
        for _ in range(steps):
            images, labels, _ = batch
            for layer in layers:
                layer.keep_prob.fill_(1.0 - 0.1 * min(done / total, 1.0))
            images = images.float().sub_(mean).div_(std)
            targets = F.one_hot(labels, classes).float()
            kind = kinds[rng.integers(len(kinds))] if kinds else None
            if kind == "mixup":
                rows = len(images) // chosen["mixup"].images_per_target
                lam = torch.from_numpy(rng.beta(0.2, 0.2, rows)).to(images)
                order = torch.from_numpy(rng.permutation(rows))
                images, targets = mixup(images, targets, chosen["mixup"].kind, lam, order)
            elif kind == "cutmix":
                height, width = images.shape[-2:]
                box = rectangle(height, width, rng.beta(1.0, 1.0), int(rng.integers(height)), int(rng.integers(width)))
                images, targets = cutmix(images, targets, torch.from_numpy(rng.permutation(len(images))), box)
            if "label_smoothing" in chosen:
                targets = smooth(targets, chosen["label_smoothing"].smoothing)
            loss = F.cross_entropy(model(images), targets)
            optimizer.zero_grad()
            loss.backward()
            for group in optimizer.param_groups:
                group["lr"] = peak * schedule(done)
            optimizer.step()
            done += 1

    return run


def turns(plan: Any, batch: Batch, steps: int, blocks: int) -> dict[str, list[float]]:
    """Train as `assemble.runs.fit.fit` does, in turn with the bare loop: milliseconds a step of each block, by loop."""
    from assemble.runs.build import build_module

    module = build_module(plan)
    bare = bare_loop(plan, module)
    bare(batch, steps)
    loader = TurnTaking(batch, steps, blocks, {"bare": bare})
    fit(plan, module, loader, batch)
    return loader.times


def fit(plan: Any, module: Any, loader: Any, batch: Batch) -> None:
    """Train as `assemble.runs.fit.fit` does, on what the loader hands out."""
    from torch.utils.data import DataLoader

    from assemble.runs.build import build_callbacks, build_trainer
    from assemble.runs.code import Code
    from lit_modules.csv_logger import CsvLogger

    with tempfile.TemporaryDirectory() as folder:
        trainer = build_trainer(
            plan.cfg.trainer,
            logger=[CsvLogger(folder, "", "")],
            callbacks=build_callbacks(plan, Path(folder), {}, Code()),
            enable_progress_bar=plan.cfg.trainer.progress_bar,
            default_root_dir=folder,
        )
        validation = DataLoader([(batch[0][0], batch[1][0])] * 2, batch_size=2)  # type: ignore[arg-type]
        trainer.fit(module, train_dataloaders=loader, val_dataloaders=validation)


def host(steps: int, blocks: int) -> None:
    """Milliseconds a step on the host, with a network so small that little else is left."""
    from assemble.planning.resolve import resolve
    from tricks import create

    plan = configuration("tiny", 8, 8, 10, TRICKS)
    # Two blocks instead of six: a bare step of about 1.4 ms on an idle core.
    plan = replace(plan, recipe=resolve(create(TRICKS), plan.recipe.base.replace(depths=(1, 1))))
    times = turns(plan, images(8, 8, 10), steps, blocks)
    added = differences(times["ours"], times["bare"])
    print(f"tiny network, batch 8, {', '.join(plan.recipe.names)}: {blocks} blocks of {steps} steps")
    print(f"  ms a step: bare loop {spread(times['bare'])}, ours {spread(times['ours'])}, added {spread(added)}")
    verdict("added to a step", statistics.median(added), 1.3, " ms")


def resnet50(steps: int, blocks: int) -> None:
    """Ratio of step times where the network is the work."""
    plan = configuration("resnet50", 128, 16, 1000, TRICKS)
    times = turns(plan, images(16, 128, 1000), steps, blocks)
    ratio = ratios(times["ours"], times["bare"])
    print(f"ResNet-50 at 128x128, batch 16, {', '.join(plan.recipe.names)}: {blocks} blocks of {steps} steps")
    print(f"  ms a step: bare loop {spread(times['bare'], 1)}, ours {spread(times['ours'], 1)}, ratio {spread(ratio)}")
    verdict("ours over the bare loop", statistics.median(ratio), 1.03)


def monitors(steps: int, blocks: int) -> None:
    """The share of a step's time that is spent in the monitors' own hooks, all of them chosen."""
    from assemble.runs import build
    from assemble.runs.build import build_module
    from lit_modules import monitors as watched

    spent = 0.0

    class Timed(watched.Monitors):
        def __getattribute__(self, name: str) -> Any:
            found = super().__getattribute__(name)
            if not name.startswith("on_"):
                return found

            def timed(*arguments: Any) -> None:
                nonlocal spent
                start = time.perf_counter()
                found(*arguments)
                spent += time.perf_counter() - start

            return timed

    class Blocks:
        """A loader of blocks, each as long as a logging interval."""

        shares: list[float] = []  # noqa: RUF012

        def __len__(self) -> int:
            return steps * (blocks + 1) + 1

        def __iter__(self) -> Iterator[Batch]:
            nonlocal spent
            for block in range(blocks + 1):
                start, spent = time.perf_counter(), 0.0
                for _ in range(steps):
                    yield batch
                if block:  # the first one warms up
                    self.shares.append(100 * spent / (time.perf_counter() - start))
            yield batch

    batch = images(64, 32, 10)
    plan = configuration("resnet20", 32, 64, 10, {})
    plan.cfg.trainer.monitors, plan.cfg.trainer.progress_bar = list(watched.MONITORS), False
    plan.cfg.trainer.log_every_n_steps = steps
    build.Monitors = Timed
    fit(plan, build_module(plan), Blocks(), batch)
    print(f"ResNet-20 at 32x32, batch 64, logged every {steps} steps: {blocks} blocks of {steps} steps")
    print(f"  {', '.join(watched.MONITORS)}: {spread(Blocks.shares, 3)} % of a step")
    verdict("monitors' share of a step", statistics.median(Blocks.shares), 1.0, " %")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("host", "resnet50", "monitors"))
    parser.add_argument("--steps", type=int, help="steps of a block (host 200, resnet50 2, monitors 20)")
    parser.add_argument("--blocks", type=int, help="blocks (host 20, resnet50 12, monitors 30)")
    parser.add_argument(
        "--threads", type=int, help="PyTorch's threads (resnet50 all, the others 1; 1 on a busy machine)"
    )
    chosen = parser.parse_args()
    from assemble.runs.fit import quiet

    quiet()
    if chosen.threads or chosen.what != "resnet50":  # there, a second thread saves nothing and makes times vary
        torch.set_num_threads(chosen.threads or 1)
    print(f"{conditions()}, {torch.get_num_threads()} threads")
    if chosen.what == "host":
        host(chosen.steps or 200, chosen.blocks or 20)
    elif chosen.what == "monitors":
        monitors(chosen.steps or 20, chosen.blocks or 30)
    else:
        resnet50(chosen.steps or 2, chosen.blocks or 12)
    print(conditions())


if __name__ == "__main__":
    main()
