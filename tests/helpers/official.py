"""Reference numbers of the official TensorFlow code (tests/reference/README.md) and the variables they belong to."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

REFERENCE = Path(__file__).parents[1] / "reference"
NORM = ("gamma", "beta", "moving_mean", "moving_variance")
TRICKS: dict[str, tuple[str, ...]] = {
    "r50": (),
    "r50_d": ("resnet_d",),
    "r50_se": ("se",),
    "r50_sk": ("sk",),
    "r50_aa": ("anti_alias",),
    "r50_bl": ("big_little",),
    "r50_bl_sk_aa": ("big_little", "sk", "anti_alias"),
}
"""Our tricks for each case."""


def load(name: str) -> dict[str, Any]:
    """One file of tests/reference."""
    return json.loads((REFERENCE / f"{name}.json").read_text())


def values() -> dict[str, Tensor]:
    """values.npz, as tensors; NHWC still."""
    return {name: torch.from_numpy(np.asarray(value)) for name, value in np.load(REFERENCE / "values.npz").items()}


def nchw(x: Tensor) -> Tensor:
    """(B, H, W, C) -> (B, C, H, W)."""
    return x.permute(0, 3, 1, 2)


def variables(case: str) -> dict[str, np.ndarray]:
    """The TensorFlow variables of a case in creation order, filled by the rule of the reference."""
    shapes: list[tuple[str, tuple[int, ...]]] = []
    for layer, *shape in load(f"model_{case}")["layers"]:
        if len(shape) == 1:
            shapes += [(f"{layer}/{part}", tuple(shape)) for part in NORM]
        else:
            shapes.append((f"{layer}/kernel", tuple(shape)))
        if len(shape) == 2:
            shapes.append((f"{layer}/bias", (shape[1],)))
    return {f"resnet_model/{name}": _fill(i, name, shape) for i, (name, shape) in enumerate(shapes)}


def _fill(i: int, name: str, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng([37071, i])
    match name.rpartition("/")[2]:
        case "gamma":
            array = rng.uniform(0.3, 0.9, shape)
        case "moving_variance":
            array = rng.uniform(0.5, 1.5, shape)
        case "kernel":
            array = rng.normal(0, np.sqrt(1 / np.prod(shape[:-1])), shape)
        case _:
            array = rng.normal(0, 0.1, shape)
    return array.astype(np.float32)


def images(size: int) -> Tensor:
    """The images of the reference's forward passes, (2, 3, size, size)."""
    values = np.random.default_rng(1).normal(0, 1, (2, size, size, 3)).astype(np.float32)
    return nchw(torch.from_numpy(values))


def relative_error(ours: Tensor, reference: Tensor) -> float:
    """Largest difference, relative to the largest number of the reference."""
    return float((ours - reference).abs().max() / reference.abs().max())
