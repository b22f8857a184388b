"""Print a command block of README.md: the fenced block after the marker ``<!-- ci: NAME -->``."""

import re
import sys
from pathlib import Path

text = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")
found = re.search(rf"<!-- ci: {re.escape(sys.argv[1])} -->\s*```\w*\n(.*?)```", text, re.DOTALL)
if not found:
    sys.exit(f"README.md has no block marked {sys.argv[1]}")
print(found[1], end="")
