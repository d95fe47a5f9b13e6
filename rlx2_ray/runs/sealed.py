"""JSON files that tell by themselves whether they are as they were written: a digest of all else stands in them.

A flipped bit may leave JSON that is readable and says something else. Files of earlier versions have no digest.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from rlx2_ray import json_text

DIGEST = "sha256"  # key


def to_text(content: dict[str, Any], indent: int | None = None) -> str:
    """The text of a file with this content."""
    return json.dumps({**content, DIGEST: digest(content)}, indent=indent) + "\n"


def parse(text: bytes) -> dict[str, Any]:
    """The content of a file. Raises ValueError where it is no mapping, or not as it was written."""
    content = json_text.parse_object(text)
    if content.pop(DIGEST, None) not in (None, digest(content)):
        raise ValueError("not as it was written")
    return content


def digest(content: object) -> str:
    """SHA-256, in hexadecimal, of plain values."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
