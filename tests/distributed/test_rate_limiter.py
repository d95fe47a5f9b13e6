"""Flow control: a table worked by hand, and rollouts and learner of any speed."""

from __future__ import annotations

import heapq
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlx2_ray.config import updates_due
from rlx2_ray.distributed.rate_limiter import RateLimiter, make_rate_limiter
from tests.support.runs import small_config

LIMITER = RateLimiter(warmup_steps=100, updates_per_env_step=0.5, tolerance=20)


@pytest.mark.parametrize(
    ("env_steps_done", "learner_steps_begun", "allowed"),
    [
        (0, 0, 0),
        (100, 0, 0),  # the warm-up has just ended
        (101, 0, 0),  # half an update is due
        (102, 0, 1),
        (140, 0, 20),
        (140, 15, 5),
        (140, 20, 0),
        (140, 25, 0),  # ahead, as after a changed ratio: never negative
    ],
)
def test_updates_allowed(env_steps_done: int, learner_steps_begun: int, allowed: int) -> None:
    assert LIMITER.updates_allowed(env_steps_done, learner_steps_begun) == allowed


@pytest.mark.parametrize(
    ("env_steps_begun", "learner_steps_done", "may"),
    [
        (0, 0, True),
        (140, 0, True),  # 20 updates undone: just within the tolerance
        (141, 0, True),
        (142, 0, False),
        (142, 1, True),
        (300, 79, False),
        (300, 80, True),
    ],
)
def test_may_collect(env_steps_begun: int, learner_steps_done: int, may: bool) -> None:
    assert LIMITER.may_collect(env_steps_begun, learner_steps_done) is may


def test_tolerance_is_given_in_env_steps() -> None:
    config = small_config(agent__warmup_steps=10, agent__updates_per_env_step=2.0)
    assert make_rate_limiter(config, env_steps_tolerance=30) == RateLimiter(10, 2.0, 60.0)


@given(
    warmup=st.integers(1, 300),
    ratio=st.floats(0.1, 4),
    rollouts=st.integers(1, 4),
    call_steps=st.integers(1, 64),
    call_updates=st.integers(1, 64),
    tolerance_steps=st.integers(0, 200),
    times=st.randoms(use_true_random=False),
    slowness=st.floats(0.01, 100),
)
def test_rollouts_and_learner_of_any_speed_stay_together_and_finish(
    warmup: int,
    ratio: float,
    rollouts: int,
    call_steps: int,
    call_updates: int,
    tolerance_steps: int,
    times: object,
    slowness: float,
) -> None:
    """Calls take random times, the learner's `slowness` times those of the rollouts; the check is at every moment."""
    steps = warmup + 400
    limiter = RateLimiter(warmup, ratio, tolerance_steps * ratio)
    planned = updates_due(steps, warmup, ratio)
    most_undone = limiter.tolerance + math.ceil(call_steps * ratio)
    env_begun = env_done = updates_begun = updates_done = 0
    now, idle, events, number = 0.0, rollouts, [], 0  # type: ignore[var-annotated]
    while env_done < steps or updates_done < planned:
        while idle and env_begun < steps and limiter.may_collect(env_begun, updates_done):
            call = min(call_steps, steps - env_begun)
            env_begun, idle, number = env_begun + call, idle - 1, number + 1
            heapq.heappush(events, (now + times.random(), number, call, 0))  # type: ignore[attr-defined]
        allowed = min(limiter.updates_allowed(env_done, updates_begun), call_updates)
        if allowed and updates_begun == updates_done:
            updates_begun, number = updates_begun + allowed, number + 1
            heapq.heappush(events, (now + slowness * times.random(), number, 0, allowed))  # type: ignore[attr-defined]
        assert events, "nobody works and nobody may begin"
        now, _, collected, updated = heapq.heappop(events)
        env_done, updates_done, idle = env_done + collected, updates_done + updated, idle + bool(collected)
        assert updates_done <= updates_due(env_done, warmup, ratio), "the learner ran ahead"
        assert updates_due(env_done, warmup, ratio) - updates_done <= most_undone, "the rollouts ran ahead"
    assert (env_done, updates_done) == (steps, planned)
