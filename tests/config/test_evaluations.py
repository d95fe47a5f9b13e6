"""Which env steps are evaluated, which evaluations are scored, and that neither changed for runs of before."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlx2_ray.config import ExperimentConfig, evaluated_steps, resolve, resolve_stored
from rlx2_ray.config.evaluations import first_scored
from rlx2_ray.types import BadInput


def configure(steps: int, interval: int, **evaluation: Any) -> ExperimentConfig:
    return resolve({"steps": steps, "evaluation": {"interval": interval, **evaluation}})


@pytest.mark.parametrize(
    ("steps", "interval", "window"),
    [
        (3_000_000, 5_000, 30),  # the paper's: the last twentieth
        (600_000, 5_000, 30),  # exactly a quarter of 120
        (595_000, 5_000, 29),  # of 119
        (200_000, 2_000, 25),
        (30_000, 250, 30),
        (1_000, 100, 2),
        (1_050, 100, 2),  # 11 evaluations, with the one at the end
        (700, 100, 1),
        (50, 100, 1),
    ],
)
def test_the_score_is_of_the_last_thirty_or_of_the_last_quarter(steps: int, interval: int, window: int) -> None:
    assert configure(steps, interval).evaluation.score_window == window


@pytest.mark.parametrize(
    ("steps", "evaluation", "due", "scored"),
    [
        (100, {}, [10, 20, 30, 40, 50, 60, 70, 80, 90, 100], 90),
        (100, {"early_interval": 40}, [40, 80, 90, 100], 90),
        (100, {"early_interval": 30, "score_window": 3}, [30, 60, 80, 90, 100], 80),
        (95, {"early_interval": 30, "score_window": 3}, [30, 60, 80, 90, 95], 80),
        (95, {"early_interval": 1000, "score_window": 2}, [90, 95], 90),
        (100, {"early_interval": 50, "score_window": 1}, [50, 100], 100),
        (30, {"early_interval": 20, "score_window": 30}, [10, 20, 30], 10),  # all are scored
        (7, {"early_interval": 20}, [7], 7),
    ],
)
def test_evaluations_are_rarer_before_the_first_that_is_scored(
    steps: int, evaluation: dict[str, int], due: list[int], scored: int
) -> None:
    config = configure(steps, 10, **evaluation)
    assert list(evaluated_steps(config)) == due
    assert first_scored(config) == scored


@given(st.integers(1, 50), st.integers(2, 400), st.integers(1, 8), st.integers(1, 40))
def test_rare_evaluations_are_some_of_all_and_the_scored_ones_are_the_same(
    interval: int, steps: int, factor: int, window: int
) -> None:
    every = list(evaluated_steps(configure(steps, interval, score_window=window)))
    rare = list(evaluated_steps(configure(steps, interval, score_window=window, early_interval=factor * interval)))
    assert every == [*range(interval, steps, interval), steps]
    assert set(rare) <= set(every)
    assert rare[-window:] == every[-window:] if len(every) >= window else rare == every
    assert len(rare) <= len(every[-window:]) + len(every[:-window]) // factor


def test_an_early_interval_is_a_multiple_of_the_interval() -> None:
    with pytest.raises(BadInput, match=r"^evaluation.early_interval is 150, no multiple .* 100: give a multiple\.$"):
        configure(1_000, 100, early_interval=150)


def stored_before(config: ExperimentConfig) -> dict[str, Any]:
    """The file of an earlier version, which had neither key."""
    tree = config.model_dump(mode="json")
    del tree["evaluation"]["early_interval"], tree["evaluation"]["score_window"]
    return tree


def test_a_run_of_before_has_the_schedule_and_the_score_that_it_had() -> None:
    stored = resolve_stored(stored_before(configure(200_000, 2_000)))
    assert (stored.evaluation.score_window, stored.evaluation.early_interval) == (30, 2_000)


@pytest.mark.parametrize(
    ("steps", "interval", "digest"),
    [(3_000_000, 5_000, "12e648796e7cecb0")],  # as the commit before these keys had it
)
def test_a_configuration_whose_score_did_not_change_has_the_digest_it_had(
    steps: int, interval: int, digest: str
) -> None:
    config = configure(steps, interval)
    assert config.hash == digest == resolve_stored(stored_before(config)).hash


def test_a_configuration_whose_score_changed_has_another_digest() -> None:
    config = configure(200_000, 2_000)
    assert config.hash != resolve_stored(stored_before(config)).hash


def test_other_evaluations_have_another_digest() -> None:
    keys: list[dict[str, int]] = [{}, {"early_interval": 20_000}, {"score_window": 20}]
    assert len({configure(3_000_000, 5_000, **each).hash for each in keys}) == len(keys)
