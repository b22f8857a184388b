"""Compose training tricks, train, evaluate. ``python train.py --help`` lists what can be named."""

from assemble.programs.train import main

if __name__ == "__main__":
    main()
