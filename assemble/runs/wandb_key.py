"""Whether W&B can be reached as somebody: without a key it is used offline."""

from __future__ import annotations

import netrc
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlparse


def wandb_key() -> bool:
    """Return True where the user is logged in to W&B."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    names = [os.environ["NETRC"]] if "NETRC" in os.environ else ["~/.netrc", "~/_netrc"]
    for file in (Path(name).expanduser() for name in names):
        try:
            if netrc.netrc(file).authenticators(host):
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False


def offline() -> dict[str, Any]:
    """Return what else to tell ``wandb.init``: not to ask for a key, unless the user has said how it should go."""
    return {} if "WANDB_MODE" in os.environ or wandb_key() else {"mode": "offline"}
