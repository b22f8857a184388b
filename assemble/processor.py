"""Precisions that a CPU takes, and has no instructions for."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

SLOW = "this processor has no instructions for bfloat16, which is several times slower on it than float32"
"""What is said of bfloat16 where `emulates_bfloat16`."""
HAS = re.compile(r"^(flags|Features)\s*:.*\b(avx512_bf16|amx_bf16|bf16)\b", re.MULTILINE)
"""Names of such instructions on x86 and on ARM, in Linux's description of the processor."""


@cache
def emulates_bfloat16(described: Path = Path("/proc/cpuinfo")) -> bool:
    """Return True where the CPU is known to have no bfloat16 instructions; only Linux says."""
    try:
        return HAS.search(described.read_text(encoding="utf-8", errors="replace")) is None
    except OSError:
        return False
