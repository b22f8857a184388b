"""A trained network as files for others: ``python export.py --help`` says how."""

from assemble.programs.export import main

if __name__ == "__main__":
    main()
