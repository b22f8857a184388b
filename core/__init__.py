"""Composition: from a command line to a resolved recipe and a run directory."""
