"""Why a trial failed, from the text of its traceback: Tune keeps the exception too, but as a pickle, which is code."""

from __future__ import annotations

import re

_EXPECTED = re.compile(r"^rlx2_ray\.(?:\w+\.)+[A-Z]\w*: (.+)", re.MULTILINE)  # each of its exceptions has a sentence
_CAUSE = "The above exception was the direct cause of the following exception:"
_CONTEXT = "During handling of the above exception, another exception occurred:"
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def reason_in(text: str) -> str:
    """The sentence that this program ended with; of any other exception its name and first line."""
    text = _COLOURS.sub("", text)
    expected = _EXPECTED.findall(text)
    if expected:
        return str(expected[-1])
    outermost = text.rpartition(_CONTEXT)[2]
    return _exception_of(outermost.partition(_CAUSE)[0].strip()) or "unknown"


def _exception_of(text: str) -> str:
    """The first line that belongs to no call, which are indented below the name of the actor's method."""
    lines = text.splitlines()
    plain = [line for line in lines if line[:1].strip() and not line.startswith(("ray::", "Traceback "))]
    name, colon, message = plain[0].partition(": ") if plain else ("", "", "")
    is_traceback = len(plain) < len(lines) and lines[0].startswith(("ray::", "Traceback "))
    return f"{name.rpartition('.')[2] if is_traceback else name}{colon}{message}".strip()
