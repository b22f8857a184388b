"""Trained networks as files for others: formats, each verified, and a model card."""
