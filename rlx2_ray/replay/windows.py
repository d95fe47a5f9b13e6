"""n-step windows out of a lane's columns.

A window runs on until the next row is a BOUNDARY. That one test stops it at termination, at truncation and at the
newest stored transition (whose pending observation lies in a row that is flagged BOUNDARY), so it can cross none.
"""

from __future__ import annotations

import numpy as np

from rlx2_ray.replay.columns import BOUNDARY, TERMINATED, Columns
from rlx2_ray.types import Batch, Bools, Indices


def gather_windows(columns: Columns, starts: Indices, n_step: int, every_step: bool) -> Batch:
    """The windows of up to `n_step` steps that begin at the transitions with row ids `starts` (B,).

    `every_step` False: `next_observations` has only the one that the target bootstraps from (K = 1), else K = n_step.
    """
    rows = len(columns.flag)
    places = (starts[:, None] + np.arange(n_step)) % rows
    goes_on = _goes_on(columns, places)
    lengths = 1 + goes_on.sum(axis=1)
    rewards = columns.reward.take(places)
    rewards[:, 1:][~goes_on] = 0.0
    last_offsets = np.minimum(np.arange(1, n_step + 1), lengths[:, None]) if every_step else lengths[:, None]
    return Batch(
        observations=columns.observation.take(places[:, 0], axis=0),
        actions=columns.action.take(places[:, 0], axis=0),
        rewards=rewards,
        next_observations=columns.observation.take((starts[:, None] + last_offsets) % rows, axis=0),
        lengths=lengths,
        terminated=columns.flag.take((starts + lengths - 1) % rows) == TERMINATED,
    )


def _goes_on(columns: Columns, places: Indices) -> Bools:
    """(B, n - 1): does the window really have its step 1, 2, ... n - 1? False once, false for ever after."""
    is_transition = columns.flag.take(places[:, 1:]) != BOUNDARY
    return np.logical_and.accumulate(is_transition, axis=1)
