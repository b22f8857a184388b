"""How long the command line takes to answer, and ``python train.py`` to reach its first training step.

    python benchmarks/startup.py [--rounds 7] [--names]

Every time is that of a whole process, from its start. The yardstick is a minimal Hydra + Lightning script (below): the
same network size, images and batch, CSVLogger, default progress bar. It takes the digits from scikit-learn, whose
import we avoid; the case "without sklearn" is the same script on random numbers. ``--names`` asks for
``--help NAME`` of everything that can be named, once, then for the slowest ten in turns, and measures nothing else.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

MINIMAL = """
import os, time
import hydra
import torch
import torch.nn.functional as F
from omegaconf import DictConfig
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.loggers import CSVLogger
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Net(LightningModule):
    def __init__(self, lr):
        super().__init__()
        self.lr = lr
        layers = [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()]
        for a, b in ((8, 16), (16, 32)):
            layers += [nn.Conv2d(a, b, 3, 2, padding=1), nn.BatchNorm2d(b), nn.ReLU()]
        self.net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10))

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("loss", loss)
        return loss

    def on_train_batch_end(self, outputs, batch, batch_idx):
        print(f"MARK {time.time()}", flush=True)
        os._exit(0)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), self.lr, momentum=0.9)


@hydra.main(version_base="1.3", config_path=".", config_name="minimal")
def main(cfg: DictConfig):
    x, y = load_digits(return_X_y=True)
    x = torch.tensor(x, dtype=torch.float32).view(-1, 1, 8, 8) / 16
    x = F.interpolate(x, size=32, mode="bilinear").expand(-1, 3, -1, -1)
    loader = DataLoader(TensorDataset(x, torch.tensor(y)), batch_size=cfg.batch_size, shuffle=True, drop_last=True)
    trainer = Trainer(max_epochs=cfg.max_epochs, logger=CSVLogger(cfg.output_dir), default_root_dir=cfg.output_dir)
    trainer.fit(Net(cfg.lr), loader)


main()
"""
SETTINGS = """
lr: 0.1
batch_size: 64
max_epochs: 15
output_dir: out
hydra: {output_subdir: null, run: {dir: .}, job_logging: {root: {handlers: []}}}
"""

QUICK = {
    "--help": ["--help"],
    "misspelt trick": ["+tricks=[mixpu]"],
    "misspelt recipe": ["recipe=asemble_e06"],
    "misspelt group": ["modle=resnet50"],
    "misspelt key": ["optim.learning_rate=1"],
}

FULL = ["big_little", "sk", "anti_alias", "dropblock", "mixup", "label_smoothing", "stochastic_depth", "zero_gamma"]

COMPOSE = """
import gc, sys, time
sys.path.insert(0, {root!r})
from assemble.config.register import register
from assemble.config.selection import selected_tricks
register()
import hydra, rich.console
from omegaconf import OmegaConf
from assemble.planning.explain import explain
from assemble.planning.plan import make_plan
import lit_modules.datamodule, assemble.models.resnet, torch.utils._python_dispatch
gc.freeze()  # as train.py does: a collection in between goes through all of torch, 0.3 s
hydra.initialize_config_dir({root!r} + "/conf", version_base="1.3")
for overrides in {cases!r}:
    cfg = hydra.compose("config", overrides)
    start = time.perf_counter()
    plan = make_plan(OmegaConf.to_object(cfg), list(selected_tricks(cfg).values()), need_data=False)
    text = explain(plan)
    rich.console.Console(width=160, file=open("/dev/null", "w")).print(text)
    print("SECONDS", time.perf_counter() - start)
"""


def mark(**_: Any) -> Any:
    """A logger for train.py that tells the time at the first step, and ends the process there."""
    from pytorch_lightning.loggers.logger import DummyLogger

    class Mark(DummyLogger):
        def log_metrics(self, *args: Any, **kwargs: Any) -> None:
            print(f"MARK {time.time()}", flush=True)
            os._exit(0)

    return Mark()


def processor() -> float:
    """Seconds of processor time of all processes started so far."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def until_mark(command: list[str], folder: str, used: list[float]) -> float:
    """Seconds from starting a process to the mark it prints; notes its processor time in ``used``."""
    start, before = time.time(), processor()
    done = subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        if line.startswith("MARK "):
            used.append(processor() - before)
            return float(line.split()[1]) - start
    raise SystemExit(f"{command} never reached its first step:\n{done.stdout}{done.stderr}")


def answer(arguments: list[str], code: int) -> float:
    """Seconds of a whole command that ends by itself."""
    start = time.time()
    command = [sys.executable, str(ROOT / "train.py"), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != code:
        raise SystemExit(f"{arguments}: exit code {done.returncode}\n{done.stderr}")
    return time.time() - start


def help_of_names(rounds: int) -> None:
    """Print the seconds of ``--help NAME``, of all names, and of those that took longest.

    One process on one core that waits for nothing: its processor time is the clock's where nobody else works.
    """
    from assemble.command_line.topics import topics
    from assemble.paired import interleave, spread, verdict

    clock: dict[str, list[float]] = {name: [] for name in topics()}

    def used(name: str) -> float:
        before = processor()
        clock[name].append(answer(["--help", name], 0))
        return processor() - before

    used("data")  # files into the page cache
    once = {name: used(name) for name in clock}
    print(f"\nseconds to --help NAME, {len(once)} names once each: {spread(list(once.values()), 2)} of processor time")
    print(f"  by the clock {spread([times[-1] for times in clock.values()], 2)}")
    slowest = sorted(once, key=lambda name: once[name])[-10:]
    for name, times in interleave({name: partial(used, name) for name in slowest}, rounds).items():
        print(f"  {name:20} {spread(times, 2)}, by the clock {spread(clock[name][-rounds:], 2)}")
    verdict("--help NAME, processor time of the slowest", max(once.values()), 1.0, " s")


def fullest_recipe() -> str:
    """The recipe with the most tricks."""
    from assemble.config.groups import recipe_names
    from assemble.config.recipes import flatten

    return max(recipe_names(), key=lambda name: len(flatten(name).tricks))


def compose(cases: list[list[str]]) -> list[float]:
    """Seconds to resolve, build on the meta device and explain each case, in one fresh process, after its imports."""
    code = COMPOSE.format(root=str(ROOT), cases=cases)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return [float(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("SECONDS ")]


def main() -> None:
    sys.path.insert(0, str(ROOT))
    from assemble.paired import conditions, interleave, ratios, spread, verdict

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--names", action="store_true")
    args = parser.parse_args()
    rounds = args.rounds
    print(conditions())
    if args.names:
        help_of_names(rounds)
        print(conditions())
        return
    median = statistics.median

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "minimal.py").write_text(MINIMAL, encoding="utf-8")
        bare = MINIMAL.replace("from sklearn.datasets import load_digits\n", "").replace(
            "load_digits(return_X_y=True)", "torch.rand(1797, 64).tolist(), [0] * 1797"
        )
        (Path(folder) / "without.py").write_text(bare, encoding="utf-8")
        (Path(folder) / "minimal.yaml").write_text(SETTINGS, encoding="utf-8")
        ours = [
            str(ROOT / "train.py"),
            "trainer.accelerator=cpu",
            "trainer.log_every_n_steps=1",
            "+logger.mark._target_=benchmarks.startup.mark",
            f"output_dir={folder}/runs",
        ]
        commands = {
            "minimal script": ["minimal.py"],
            "without sklearn": ["without.py", "--config-name", "minimal"],
            "train.py": ours,
            "train.py, 3 tricks": [*ours, "+tricks=[resnet_d,sk,mixup]"],
        }
        used: dict[str, list[float]] = {name: [] for name in commands}
        first = {name: partial(until_mark, command, folder, used[name]) for name, command in commands.items()}
        interleave(first, 1)  # files into the page cache, byte code compiled
        for times in used.values():
            times.clear()
        taken = interleave(first, rounds)
    print("\nseconds to the end of the first training step: median (min-max)")
    for name, times in taken.items():
        ratio = spread(ratios(times, taken["minimal script"]))
        print(f"  {name:20} {spread(times, 2)}, over the minimal script {ratio}")
        ratio = spread(ratios(used[name], used["minimal script"]))
        print(f"  {'':20} {spread(used[name], 2)} of processor time, {ratio}")
    for name in list(commands)[2:]:
        verdict(f"{name} over the minimal script", median(ratios(taken[name], taken["minimal script"])), 1.3)

    print("\nseconds to an answer")
    quick = {name: partial(answer, arguments, 0 if name == "--help" else 2) for name, arguments in QUICK.items()}
    for name, times in interleave(quick, rounds).items():
        print(f"  {name:20} {spread(times, 2)}")
        verdict(name, median(times), 1.0, " s")

    print("\nseconds to resolve, build on the meta device and explain, after imports")
    recipe = fullest_recipe()
    cases = {
        f"recipe={recipe}": [f"recipe={recipe}"],
        "resnet50 with " + ",".join(FULL): [
            "model=resnet50",
            "data=imagenet",
            "data.image_size=224",
            f"+tricks=[{','.join(FULL)}]",
        ],
    }
    for name in cases:
        times = [compose([cases[name]])[0] for _ in range(max(3, rounds // 2))]
        print(f"  {name}: {spread(times, 2)}")
        verdict(name, median(times), 1.0, " s")
    print(conditions())


if __name__ == "__main__":
    main()
