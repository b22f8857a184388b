"""What one GPU makes of a training step and of E0 and E11: images a second, settings and networks taking turns.

    python benchmarks/gpu.py [--rounds 5] [--steps 10] [--batch-size 64] [--size 224] [--model resnet50] [--cpu]

A step is forward, cross entropy, backward and SGD with momentum on random images that lie on the device: without a
loader. DDP is a group of one process: what its hooks and buckets cost. Then inference of E0 and E11 over timm's
ResNet-50, beside the published 312 / 536 of E11 over E0 (a Tesla P40). ``--cpu`` runs all of it once, small, to see
that it runs.
"""

from __future__ import annotations

import argparse
import contextlib
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from assemble import create_model
from assemble.paired import conditions, interleave, ratios, spread
from assemble.programs.benchmark import Dtype, Options, compare, networks, table


@dataclass(frozen=True)
class Setting:
    """How a step is run."""

    dtype: torch.dtype = torch.float32
    channels_last: bool = False
    compiled: bool = False
    ddp: bool = False


FP16, BF16 = torch.float16, torch.bfloat16
SETTINGS = {
    "float32": Setting(),
    "AMP float16": Setting(FP16),
    "AMP bfloat16": Setting(BF16),
    "AMP float16, channels-last": Setting(FP16, channels_last=True),
    "AMP bfloat16, channels-last": Setting(BF16, channels_last=True),
    "AMP bfloat16, channels-last, DDP of one": Setting(BF16, channels_last=True, ddp=True),
    "AMP bfloat16, channels-last, compiled": Setting(BF16, channels_last=True, compiled=True),
}


def stepper(setting: Setting, args: argparse.Namespace, device: torch.device) -> Callable[[], float]:
    """Return a function that takes some steps of a setting, and returns the seconds of one."""
    layout = torch.channels_last if setting.channels_last else torch.contiguous_format
    torch.manual_seed(0)
    network: Any = create_model(args.model, num_classes=1000).to(device, memory_format=layout)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9)
    scaler = torch.amp.GradScaler(device.type, enabled=setting.dtype == FP16)
    images = torch.randn(args.batch_size, 3, args.size, args.size, device=device).to(memory_format=layout)
    labels = torch.arange(args.batch_size, device=device) % 1000
    if setting.ddp:
        network = torch.nn.parallel.DistributedDataParallel(network)
    if setting.compiled:
        network = torch.compile(network)

    def step() -> None:
        with torch.autocast(device.type, setting.dtype, enabled=setting.dtype != torch.float32):
            loss = F.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    def seconds() -> float:
        synchronise(device)
        start = time.perf_counter()
        for _ in range(args.steps):
            step()
        synchronise(device)
        return (time.perf_counter() - start) / args.steps

    for _ in range(1 if args.cpu else 5):
        step()
    return seconds


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


@contextlib.contextmanager
def group_of_one(device: torch.device) -> Any:
    """A process group of this process alone."""
    with tempfile.TemporaryDirectory() as folder:
        backend = "nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, init_method=f"file://{folder}/store", rank=0, world_size=1)
        try:
            yield
        finally:
            dist.destroy_process_group()


def training(args: argparse.Namespace, device: torch.device, card: str) -> None:
    """Print the table of training steps."""
    torch.backends.cudnn.benchmark = True
    chosen = {name: setting for name, setting in SETTINGS.items() if not (args.cpu and setting.compiled)}
    with group_of_one(device):
        cases = {name: stepper(setting, args, device) for name, setting in chosen.items()}
        taken = interleave(cases, args.rounds)
    shown = Table(title=f"training steps of {args.model}, batch {args.batch_size}, {args.size} pixels: {card}")
    for column in ("setting", "images/s: median (min-max, n)", "over float32"):
        shown.add_column(column)
    first = taken["float32"]
    for name, times in taken.items():
        rates = spread([args.batch_size / t for t in times], 0)
        shown.add_row(name, rates, spread(ratios(first, times), 2))
    Console(width=140).print(shown)


def inference(args: argparse.Namespace, device: torch.device, card: str) -> None:
    """Print E0 and E11 over timm's ResNet-50."""
    for dtype in (Dtype.float32,) if args.cpu else (Dtype.float32, Dtype.float16, Dtype.bfloat16):
        size = args.size if args.cpu else None
        options = Options(batch_size=args.batch_size, size=size, rounds=args.rounds, dtype=dtype, device=str(device))
        chosen = [*networks(["recipe=assemble_e00,assemble_e11"], [], size), *networks([], ["timm:resnet50"], size)]
        rows = compare(chosen, options)
        named = {row.name: row for row in rows}
        Console(width=160).print(card, table(rows, options))
        e00, e11 = named["assemble_e00"].throughputs, named["assemble_e11"].throughputs
        print(f"{dtype.value}: E11 over E0 {spread(ratios(e11, e00))}; published 312 / 536 = {312 / 536:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in {"rounds": 5, "steps": 10, "batch-size": 64, "size": 224}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--cpu", action="store_true")
    args = parser.parse_args()
    if args.cpu:
        args.rounds, args.steps, args.batch_size, args.size, args.model = 2, 1, 2, 32, "resnet18"
    elif not torch.cuda.is_available():
        raise SystemExit("error: no GPU here: --cpu runs everything once, small")
    device = torch.device("cpu" if args.cpu else "cuda")
    card = platform.machine() + " CPU" if args.cpu else torch.cuda.get_device_name()
    print(f"{card}, torch {torch.__version__}; {conditions()}")
    for part in (training, inference):
        part(args, device, card)
    print(conditions())


if __name__ == "__main__":
    main()
