"""Throughput of E0 to E11 and of single tricks over timm's networks, in one run, networks taking turns.

    python benchmarks/inference.py [--batch-size 8] [--rounds 5] [--dtype float32] [--threads N]

Each of ours is held against timm's network of the same kind at equal multiply-adds: seconds per multiply-add, ours over
timm's, round by round. Then E11 over E0 beside the published 312 / 536 (a Tesla P40, batch 64), and what folding and
packing bring to E11 at 256 pixels.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from assemble.paired import conditions, interleave, ratios, spread, verdict  # noqa: E402
from assemble.programs.benchmark import Dtype, Options, compare, networks, table  # noqa: E402

COUNTERPARTS = {
    "": "resnet50",
    "resnet_d": "resnet50d",
    "se": "seresnet50",
    "sk": "skresnet50",
    "anti_alias": "resnetblur50",
}
OTHERS = ("efficientnet_b0", "efficientnet_b4")


def against_timm(options: Options) -> None:
    """The table, and a verdict for each pair."""
    from rich.console import Console

    recipes = networks(["recipe=" + ",".join(f"assemble_e{i:02d}" for i in range(12))], [], None)
    ours = networks(["model=resnet50", "tricks=" + ",".join(f"[{trick}]" for trick in COUNTERPARTS)], [], None)
    theirs = networks([], [f"timm:{name}" for name in (*COUNTERPARTS.values(), *OTHERS)], None)
    rows = {row.name: row for row in compare([*recipes, *ours, *theirs], options)}
    Console(width=160).print(table(list(rows.values()), options))
    for network, name in zip(ours, COUNTERPARTS.values(), strict=True):
        a, b = rows[network.name], rows[f"timm:{name}"]
        assert a.macs
        assert b.macs
        costs = [(y * b.macs) / (x * a.macs) for x, y in zip(a.throughputs, b.throughputs, strict=True)]
        print(f"{network.name} ({a.macs / 1e9:.2f} G) over timm's {name} ({b.macs / 1e9:.2f} G): {spread(costs)}")
        verdict("seconds per multiply-add over timm's", statistics.median(costs), 1.05)
    e11, e00 = rows["assemble_e11"], rows["assemble_e00"]
    print(f"E11 over E0: {spread(ratios(e11.throughputs, e00.throughputs))}; published 312 / 536 = {312 / 536:.3f}")


def what_it_brings(rounds: int, batch_size: int) -> None:
    """E11 as it was trained, folded, and as `for_inference` makes it, in each precision that the processor has."""
    from assemble.models.fold import Inference, fold, for_inference
    from assemble.models.throughput import timed
    from assemble.processor import emulates_bfloat16

    build = networks(["recipe=assemble_e11"], [], None)[0].build
    assert build
    torch.manual_seed(0)
    network = build().eval()
    images = torch.randn(batch_size, 3, 256, 256).to(memory_format=torch.channels_last)
    clocks = {}
    for dtype in (torch.float32,) if emulates_bfloat16() else (torch.float32, torch.bfloat16):
        forms = {
            "unfolded": Inference(copy.deepcopy(network), dtype),
            "folded": Inference(fold(network), dtype),
            "for_inference": for_inference(network, dtype, 256),
        }
        for name, form in forms.items():
            clocks[f"{name} {dtype}"] = timed(lambda form=form: form(images), torch.device("cpu"))
    seconds = interleave(clocks, rounds)
    first = seconds["unfolded torch.float32"]
    for name, times in seconds.items():
        own = seconds[f"unfolded {name.rpartition(' ')[2]}"]
        print(
            f"{name:30} {spread([batch_size / s for s in times], 2):28} images/s, over unfolded "
            f"{spread(ratios(own, times))}, over unfolded float32 {spread(ratios(first, times), 2)}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dtype", choices=[dtype.value for dtype in Dtype], default="float32")
    parser.add_argument("--threads", type=int, help="PyTorch's threads; 1 on a busy machine: processor time is counted")
    parser.add_argument("--only", choices=["timm", "folding"])
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    print(f"{conditions()}, {torch.get_num_threads()} threads")
    if arguments.only != "folding":
        against_timm(Options(arguments.batch_size, dtype=Dtype(arguments.dtype), rounds=arguments.rounds, device="cpu"))
    if arguments.only != "timm":
        what_it_brings(arguments.rounds, arguments.batch_size)
    print(conditions())


if __name__ == "__main__":
    main()
