"""Altered files: how many of them a test tries."""

from __future__ import annotations

import os


def examples(short: int) -> int:
    """So many, or 50 times as many where RLX2_LONG_FUZZ is set."""
    return 50 * short if os.environ.get("RLX2_LONG_FUZZ") else short
