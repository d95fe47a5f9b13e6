"""The score of a run, from its evaluations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SCORE_WINDOW = 30


def score(return_means: Sequence[float]) -> float:
    """The mean of the last 30 evaluations (RLx2's protocol), or of all where there are fewer.

    NaN where there is none.
    """
    return float(np.mean(return_means[-SCORE_WINDOW:])) if return_means else float("nan")
