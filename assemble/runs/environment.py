"""What a run was made with: hardware, versions, the project's commit."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from assemble.runs.code import Code, read_code


def describe_environment(code: Code | None = None) -> dict[str, Any]:
    """Return the part of result.json which says what the run was made with: hardware, versions, git_commit.

    Args:
        code: as it was read when the run began; None: as it is now.
    """
    packages = {"torch": "torch", "pytorch_lightning": "pytorch-lightning", "timm": "timm", "hydra": "hydra-core"}
    return {
        "hardware": hardware(),
        "versions": {"python": platform.python_version(), **{k: _version(v) for k, v in packages.items()}},
        "git_commit": (code or read_code()).commit,
    }


def hardware() -> dict[str, Any]:
    """Return the processors that this process may use."""
    hardware: dict[str, Any] = {"cpu": _cpu_name(), "cpu_count": os.cpu_count(), "gpu": None, "gpu_count": 0}
    if hasattr(os, "sched_getaffinity"):
        hardware["cpu_count"] = len(os.sched_getaffinity(0))
    torch = sys.modules.get("torch")  # not imported for this alone
    if torch is not None and torch.cuda.is_available():
        hardware |= {"gpu": torch.cuda.get_device_name(), "gpu_count": torch.cuda.device_count()}
    return hardware


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
