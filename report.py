"""The ablation table of finished runs: ``python report.py runs``, at any time, also while others train."""

from assemble.programs.report import main

if __name__ == "__main__":
    main()
