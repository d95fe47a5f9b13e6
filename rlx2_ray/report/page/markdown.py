"""Text that Markdown shows and makes nothing of: no HTML, links or pictures, no line or cell of its own."""

from __future__ import annotations

import re


def plain(text: object) -> str:
    """The text in one line, in which marks that would load or link something are none."""
    line = " ".join(str(text).split("\n")).replace("&", "&amp;").replace("<", "&lt;")
    return line.replace("![", "!\\[").replace("](", "]\\(").replace("]:", "]\\:")


def cell(text: object) -> str:
    """The same, within a cell of a table."""
    return plain(text).replace("|", "\\|")


def code(text: object) -> str:
    """The text as a span of code, between more backticks than stand in it beside each other."""
    line = " ".join(str(text).split("\n"))
    longest = max(map(len, re.findall("`+", line)), default=0)
    marks, space = "`" * (longest + 1), " " if longest else ""
    return f"{marks}{space}{line}{space}{marks}"
