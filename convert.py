"""Published weights in the form that the other programs take: ``python convert.py --help`` says how."""

from assemble.programs.convert import main

if __name__ == "__main__":
    main()
