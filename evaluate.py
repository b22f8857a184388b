"""Score a trained network: accuracy, calibration, robustness. ``python evaluate.py --help`` says how.

Imports are late on purpose: a typo or ``--help`` is answered without importing torch, and Ctrl-C at once.
"""

from __future__ import annotations

import sys

from core.main import one_line_errors


def main() -> None:
    """The command line."""
    with one_line_errors("interrupted: the same command goes on after what is finished"):
        from core.evaluate_cli import read

        values = read(sys.argv[1:])
        from core.evaluate import evaluate

        evaluate(values)


if __name__ == "__main__":
    main()
