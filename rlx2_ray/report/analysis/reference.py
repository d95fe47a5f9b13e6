"""Whether the dense arm is one that others can be measured against, as parts of what it gained over random actions."""

from __future__ import annotations

import math
from collections.abc import Iterable

from rlx2_ray.report.record.record import DenseArm

MOST_RATIO = 2.0  # times the dense gain; who has more shows that the dense agents have not learned what can be


def problem_of(dense: DenseArm, ratios: Iterable[float] = ()) -> str | None:
    """Says why no part of the dense return is stated; None where it can be. `ratios` are those of the other arms."""
    who = f"The dense agents' {dense.statistic:.5g}"
    if dense.random is None:
        return (
            f"No part of {who[0].lower()}{who[1:]} is stated: what random actions score, the zero of gains, is not "
            "known, and a ratio of returns is none of gains. A sweep with the dense arm in it measures it."
        )
    zero = f"the {dense.random:.5g} of random actions"
    if not dense.statistic > dense.random:
        return f"{who} is not above {zero}: no part of it is stated. Let them train longer."
    if dense.interval is not None and dense.interval[0] <= dense.random:
        return f"{who} is not surely above {zero}: no part of it is stated. Add seeds, or let them train longer."
    most = max((ratio for ratio in ratios if math.isfinite(ratio)), default=0.0)
    if most > MOST_RATIO:
        return (
            f"{who} is no measure for the others, of which one gained {most:.3g} times as much: no part of it is "
            "stated. Let all train longer."
        )
    return None
