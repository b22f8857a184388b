"""Every corruption at its five severities, and the fifteen of mCE together: milliseconds of one image on one core.

    python benchmarks/corruptions.py [--rounds 15] [--side 224]

Frost is made of the installed textures where there are any, else of drawn ones, which takes as long.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.datasets import load_sample_image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from assemble.paired import conditions, interleave, spread, verdict  # noqa: E402
from assemble.robustness.corruptions import CORRUPTIONS, EXTRA, SEVERITIES, corrupt, corruption_rng  # noqa: E402


def once(image: np.ndarray, names: tuple[str, ...]) -> float:
    """Milliseconds of processor time for ``names`` at all severities, whatever else runs."""
    start = time.process_time()
    for name in names:
        for severity in SEVERITIES:
            corrupt(image, name, severity, corruption_rng(0, 0, name, severity))
    return (time.process_time() - start) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--side", type=int, default=224)
    arguments = parser.parse_args()
    photograph = load_sample_image("china.jpg")
    image = np.ascontiguousarray(photograph[: arguments.side, : arguments.side])
    cases = {name: partial(once, image, (name,)) for name in CORRUPTIONS + EXTRA}
    cases["the 15, together"] = partial(once, image, CORRUPTIONS)
    side = f"{image.shape[1]}x{image.shape[0]}"
    print(f"{conditions()}; {side} pixels, ms for 5 severities, median (min-max)")
    interleave(cases, 1)
    times = interleave(cases, arguments.rounds)
    for name, values in times.items():
        print(f"  {name:20} {spread(values, 1)}")
    verdict("the 15 at 5 severities", statistics.median(times["the 15, together"]), 600, " ms")
    print(conditions())


if __name__ == "__main__":
    main()
