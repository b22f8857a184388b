"""Print a command block of README.md, or of another page: the fenced block after the marker ``<!-- ci: NAME -->``."""

import re
import sys
from pathlib import Path

name, page = sys.argv[1], (sys.argv[2:] or ["README.md"])[0]
text = (Path(__file__).resolve().parent.parent / page).read_text(encoding="utf-8")
found = re.search(rf"<!-- ci: {re.escape(name)} -->\s*```\w*\n(.*?)```", text, re.DOTALL)
if not found:
    sys.exit(f"{page} has no block marked {name}")
print(found[1], end="")
