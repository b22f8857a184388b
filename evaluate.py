"""Score a trained network: accuracy, calibration, robustness. ``python evaluate.py --help`` says how."""

from assemble.programs.evaluate import main

if __name__ == "__main__":
    main()
