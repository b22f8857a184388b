# `just NAME`, or copy the lines: each is one for the shell, in the folder of the clone.

export OMP_NUM_THREADS := env("OMP_NUM_THREADS", "1")

# what there is
default:
    @just --list

# an environment with all that tests and linters need
setup:
    python3 -m venv .venv
    .venv/bin/pip install --editable '.[test]'

# tests without recipes, pairs of tricks and whole processes
quick:
    .venv/bin/python -m pytest -n auto -m "not slow and not process" --ignore tests/recipes --ignore tests/tricks/test_pairs.py

# all tests but the slow ones
test:
    .venv/bin/python -m pytest -n auto

# the slow ones
slow:
    .venv/bin/python -m pytest -n auto -m slow

# ruff and pyright
lint:
    .venv/bin/ruff check .
    .venv/bin/ruff format --check .
    .venv/bin/pyright

# the tables of docs/tricks.md and docs/recipes.md, from the files
tables:
    .venv/bin/python -m docs.tables

# the documentation as a site, in site/ (python -m http.server -d site shows it, with its search); --quiet would hide warnings from --strict
docs:
    NO_MKDOCS_2_WARNING=1 .venv/bin/python -m mkdocs build --strict

# what the framework costs: start-up, help and typos, a training step (minutes; the rest is in benchmarks/README.md)
bench:
    .venv/bin/python benchmarks/startup.py
    .venv/bin/python benchmarks/step_overhead.py host --threads 1
