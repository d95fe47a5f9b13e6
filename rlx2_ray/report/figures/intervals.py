"""Intervals as plotly draws them: by how far they reach above and below each value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlx2_ray.search.statistics import Interval


def error_bars(
    values: Sequence[float], intervals: Sequence[Interval | None], scale: float = 1.0, width: int = 5, **look: Any
) -> dict[str, Any]:
    """Returns an `error_y`; a value without an interval has no bar. `scale`: of the axis, 100 for percents."""
    spans = [interval or (value, value) for value, interval in zip(values, intervals, strict=True)]
    return {
        "type": "data",
        "symmetric": False,
        "array": [scale * max(0.0, high - value) for value, (_, high) in zip(values, spans, strict=True)],
        "arrayminus": [scale * max(0.0, value - low) for value, (low, _) in zip(values, spans, strict=True)],
        "width": width,
        **look,
    }
