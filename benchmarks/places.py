"""Where the repository is, whose folders the benchmarks write to."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
