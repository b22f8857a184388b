"""How long the report of many runs takes: ``python benchmarks/report.py [--runs 1000] [--rounds 3]``.

Synthetic finished runs (five seeds of each configuration, 100 epochs of metrics.csv), then ``python report.py FOLDER
--html FILE`` in a process of its own, start-up included.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from assemble.paths import ROOT
from tests.helpers.synthetic_runs import make_run
from tricks import trick_names

SEEDS, EPOCHS, MOST = 5, 100, 10.0


def make(folder: Path, runs: int) -> None:
    """Write the runs: no trick, each trick, each pair, each three, as far as they go."""
    random.seed(0)
    subsets = itertools.chain.from_iterable(itertools.combinations(trick_names(), size) for size in range(4))
    for tricks in itertools.islice(subsets, runs // SEEDS):
        for seed in range(SEEDS):
            curve = [70 + epoch / 10 + random.gauss(0, 1) for epoch in range(EPOCHS)]
            make_run(folder, tricks, seed, curve[-1], curve=curve)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder, page = Path(temporary) / "runs", Path(temporary) / "report.html"
        make(folder, arguments.runs)
        command = [sys.executable, str(ROOT / "report.py"), str(folder), "--html", str(page)]
        print(f"load {os.getloadavg()[0]:.1f}")
        wall, processor = [], []
        for _ in range(arguments.rounds):
            began, used = time.perf_counter(), os.times()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            wall.append(time.perf_counter() - began)
            now = os.times()
            processor.append(now.children_user + now.children_system - used.children_user - used.children_system)
        rows, size = page.read_text(encoding="utf-8").count("<tr data-row"), page.stat().st_size
        print(f"{arguments.runs} runs, {rows} rows, page of {size / 1e6:.1f} MB")
        verdict = "ok" if median(wall) < MOST else "MISS"
        print(f"{verdict:4} {told(wall)}, at most {MOST:.0f} s; processor time {told(processor)}")
        print(f"load {os.getloadavg()[0]:.1f}")


def told(seconds: list[float]) -> str:
    """Median (smallest-largest, n)."""
    return f"{median(seconds):.1f} s ({min(seconds):.1f}-{max(seconds):.1f}, n = {len(seconds)})"


if __name__ == "__main__":
    main()
