"""Score a trained network: accuracy, calibration, robustness. ``python evaluate.py --help`` says how.

Imports are late on purpose: a typo or ``--help`` is answered without importing torch, and Ctrl-C at once.
"""

from __future__ import annotations

import sys

from assemble.command_line.one_line_errors import one_line_errors
from assemble.process import settle_process


def main() -> None:
    """Run the command line."""
    settle_process()
    with one_line_errors("interrupted: the same command goes on after what is finished"):
        from assemble.command_line.evaluate_options import read

        values = read(sys.argv[1:])
        from assemble.scoring.evaluation import evaluate

        evaluate(values)
