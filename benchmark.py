"""What networks cost, side by side: ``python benchmark.py --help`` says how."""

from assemble.programs.benchmark import main

if __name__ == "__main__":
    main()
