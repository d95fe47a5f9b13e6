"""A slot's replay as the buffer of an ordinary run, of which snapshots are written, and back."""

from __future__ import annotations

import numpy as np

from rlx2_ray.agents.population.replay import Counters, Rows
from rlx2_ray.kernels.windows import BOUNDARY
from rlx2_ray.replay.buffer import ReplayBuffer
from rlx2_ray.replay.columns import Columns, read_rows, write_rows
from rlx2_ray.replay.lane import INITIAL_ROWS, LaneCounters


def to_buffer(rows: Rows, counters: Counters, capacity: int, generator: np.random.Generator) -> ReplayBuffer:
    buffer = ReplayBuffer(rows.observation.shape[1], rows.action.shape[1], [0], capacity, generator)
    lane, count = buffer.lanes[0], len(rows.flag)
    lane.restore(
        LaneCounters(
            rows=max(INITIAL_ROWS, count),
            tail=counters.tail,
            head=counters.head,
            size=counters.size,
            is_open=counters.is_open,
            next_time=counters.inserted,
            episode=counters.episode,
            next_step=counters.next_step,
            inserted=counters.inserted,
        )
    )
    is_transition = rows.flag != BOUNDARY
    time = np.zeros(count, np.int64)
    time[is_transition] = np.arange(counters.inserted - counters.size, counters.inserted)
    ids = np.arange(counters.tail, counters.tail + count)
    write_rows(
        lane.columns, ids, Columns(rows.observation, rows.action, rows.policy_action, rows.reward, rows.flag, time)
    )
    return buffer


def from_buffer(buffer: ReplayBuffer) -> tuple[Rows, Counters]:
    """Raises ValueError where its transitions are not numbered by their times, as those of one environment are."""
    lane = buffer.lanes[0]
    columns = read_rows(lane.columns, np.arange(lane.tail, lane.head + lane.is_open))
    times = columns.time[columns.flag != BOUNDARY]
    if not np.array_equal(times, np.arange(lane.inserted - lane.size, lane.inserted)):
        raise ValueError("the replay has transitions of other times than a run of one environment")
    rows = Rows(columns.observation, columns.action, columns.policy_action, columns.reward, columns.flag)
    return rows, Counters(lane.tail, lane.head, lane.size, lane.is_open, lane.episode, lane.next_step, lane.inserted)
