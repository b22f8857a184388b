"""What is settled before torch is imported: how threads wait, and that freed memory is kept."""

from __future__ import annotations

from assemble.memory import keep_freed
from assemble.threads import wait_asleep


def settle_process() -> None:
    """Settle both for this process and those that it starts; what the user has said holds."""
    wait_asleep()
    keep_freed()
