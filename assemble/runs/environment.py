"""What a run was made with: hardware, versions, the project's commit."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from assemble.paths import ROOT


def describe_environment() -> dict[str, Any]:
    """Return the part of result.json which says what the run was made with: hardware, versions, git_commit."""
    packages = {"torch": "torch", "pytorch_lightning": "pytorch-lightning", "timm": "timm", "hydra": "hydra-core"}
    return {
        "hardware": hardware(),
        "versions": {"python": platform.python_version(), **{k: _version(v) for k, v in packages.items()}},
        "git_commit": _git_commit(),
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


def _git_commit(root: Path = ROOT) -> str | None:
    """Return the project's commit, with ``-dirty`` where tracked files differ from it; None outside git."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        # Installed into an environment inside somebody's repository, the commit would be theirs.
        if Path(git("rev-parse", "--show-toplevel")).resolve() != root.resolve():
            return None
        return git("rev-parse", "HEAD") + ("-dirty" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None
