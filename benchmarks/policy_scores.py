"""Top-1 on the validation and the test set of the runs in a folder by policy, and over none, paired by seed."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from assemble.reporting.statistics import paired, spread


def main(folder: Path) -> None:
    """Print a line for each policy and set."""
    scores: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for file in sorted(folder.glob("*/result.json")):
        result = json.loads(file.read_text(encoding="utf-8"))
        tricks = yaml.safe_load(file.with_name("config.yaml").read_text(encoding="utf-8"))["tricks"]
        policy = tricks["autoaugment"]["policy"] if "autoaugment" in tricks else "none"
        for part, found in (("validation", result["validation"]), ("test", result["metrics"])):
            scores[part, policy][result["seed"]] = found["top1"]
    for (part, policy), values in scores.items():
        own, over = spread(list(values.values())), paired(values, scores[part, "none"])
        assert own
        gain = f", over none {over.mean:+.2f}" if over and policy != "none" else ""
        interval = f" [{over.interval[0]:+.2f}, {over.interval[1]:+.2f}]" if over and over.interval else ""
        print(f"{part:10} {policy}: {own.mean:.2f} +- {own.sd or 0:.2f}, n = {own.n}{gain}{interval}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
