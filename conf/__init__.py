"""Hydra config groups (YAML) and their typed schema."""
