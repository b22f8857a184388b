"""Where what was found in data sets is kept between runs, and how much room there is for it."""

from __future__ import annotations

import os
from pathlib import Path

from assemble.paths import user_cache
from assemble.schema import DataConfig


def cache_folder(cfg: DataConfig) -> Path:
    """Return the folder that keeps indices of archives, decoded images, and what was fetched."""
    return Path(cfg.cache_dir).expanduser() if cfg.cache_dir else user_cache()


def free_memory() -> int:
    """Return the bytes of the machine's memory that programs may still take; what only the disk's cache uses counts."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):  # no Linux
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
