"""Files that several commands write, each its own section."""

from __future__ import annotations

import re
from pathlib import Path


def write_section(path: Path, name: str, command: str, text: str) -> None:
    """Write one section of a Markdown file that several commands write: in the place that it has, or at the end."""
    begin, end = f"<!-- {name}: written by {command} -->", f"<!-- end of {name} -->"
    section = f"{begin}\n{text.strip()}\n{end}"
    old = path.read_text() if path.exists() else "# Results\n"
    pattern = re.compile(rf"<!-- {name}: .*?{re.escape(end)}", re.DOTALL)
    new = pattern.sub(lambda _: section, old) if pattern.search(old) else f"{old.rstrip()}\n\n{section}\n"
    path.write_text(new)
