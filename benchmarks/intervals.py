"""How often a 95 % interval of a mean of few differences holds the truth: ``python benchmarks/intervals.py``.

Why `assemble.reporting.statistics` lets Student's t decide, and not the bootstrap that it shows beside it. Simulated
differences of a normal and of a skewed (exponential) distribution, one for each seed.
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy import stats

SEEDS = (2, 3, 5, 10, 20, 30)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=4000)
    repeats = parser.parse_args().repeats
    rng = np.random.default_rng(0)
    print("share of intervals that hold the true mean, in %")
    print("differences  seeds  bootstrap percentile  bootstrap BCa  Student's t")
    for name, draw in (("normal", rng.normal), ("skewed", lambda size: rng.exponential(size=size) - 1)):
        for n in SEEDS:
            differences = draw(size=(repeats, n))
            found = [_bootstrap(differences, method, rng) for method in ("percentile", "BCa")]
            found.append(stats.t.interval(0.95, n - 1, differences.mean(1), stats.sem(differences, axis=1)))
            shares = [100 * np.mean((low <= 0) & (high >= 0)) for low, high in found]
            print(f"{name:11}  {n:5}  {shares[0]:20.1f}  {shares[1]:13.1f}  {shares[2]:11.1f}")


def _bootstrap(differences: np.ndarray, method: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    found = stats.bootstrap((differences,), np.mean, axis=-1, method=method, n_resamples=2000, batch=50, rng=rng)
    return found.confidence_interval.low, found.confidence_interval.high


if __name__ == "__main__":
    main()
