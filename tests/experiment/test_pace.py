"""Rates, by hand."""

from __future__ import annotations

import pytest

from rlx2_ray.experiment.pace import WINDOW_S, Pace, rate_of


def paced(*heard: tuple[float, int]) -> Pace:
    pace = Pace()
    for moment, env_steps in heard:
        pace.hear(env_steps, moment)
    return pace


@pytest.mark.parametrize(
    ("heard", "rate"),
    [
        ([], None),
        ([(0.0, 1000)], None),
        ([(0.0, 1000), (10.0, 2000)], 100.0),
        ([(0.0, 0), (10.0, 0)], 0.0),
        ([(0.0, 0), (10.0, 2000), (20.0, 500), (30.0, 600)], 10.0),  # back to its checkpoint
        ([(0.0, 0), (WINDOW_S, 300), (2 * WINDOW_S, 1200)], 900 / WINDOW_S),  # as it is now
    ],
)
def test_rate_is_what_was_done_since_the_beginning_of_the_window(
    heard: list[tuple[float, int]], rate: float | None
) -> None:
    assert paced(*heard).rate == (rate if rate is None else pytest.approx(rate))


def test_runs_beside_each_other_add_up_and_a_new_one_is_as_fast_as_they_are() -> None:
    fast, slow, new = paced((0.0, 0), (10.0, 3000)), paced((0.0, 0), (10.0, 1000)), paced((10.0, 0))
    assert rate_of([fast, slow]) == pytest.approx(400.0)
    assert rate_of([fast, slow, new]) == pytest.approx(600.0)
    assert rate_of([new]) is None
    assert rate_of([]) is None
