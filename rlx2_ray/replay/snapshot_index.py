"""A snapshot's index.json: what its segments mean, guarded by a checksum of its own."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

INDEX_FILE = "index.json"


def write_index(directory: Path, content: dict[str, Any]) -> None:
    """Write the JSON-ready `content` as the index of the snapshot in `directory`."""
    text = json.dumps({"sha256": _checksum(content), "content": content}, indent=1)
    (directory / INDEX_FILE).write_text(text, encoding="utf-8")


def read_index(directory: Path) -> dict[str, Any]:
    """Returns the content that was written. Raises ValueError if it is missing or differs."""
    path = directory / INDEX_FILE
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        content: dict[str, Any] = index["content"]
        is_intact = index["sha256"] == _checksum(content)
    except (FileNotFoundError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"the replay index {path} is missing or damaged: {error!r}") from None
    if not is_intact:
        raise ValueError(f"the replay index {path} is damaged: its checksum is not the recorded one")
    return content


def _checksum(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
