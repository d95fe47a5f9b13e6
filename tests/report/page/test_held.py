"""What arms hold to the end: by hand, of made-up trials."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rlx2_ray.config import resolve
from rlx2_ray.report.analysis.held import lost_of_best, spread_interval, spread_of
from rlx2_ray.report.figures.held import held_figure
from rlx2_ray.report.page.held import HEADINGS, held_table
from rlx2_ray.report.record.record import Record
from rlx2_ray.report.record.trial import RETURN, Series, Trial

STEPS = tuple(range(5_000, 45_000, 5_000))


def trial(seed: int, *values: float, window: int = 2, **changes: object) -> Trial:
    config = resolve({"steps": 40_000, "seed": seed, "evaluation": {"score_window": window}})
    return Trial(
        name=f"run-{seed}",
        state="finished",
        purpose="trial",
        config=config,
        changes=dict(changes),
        series={RETURN: Series(STEPS[: len(values)], values)},
        score=sum(values[-window:]) / window,
        ended_early=False,
        result={"wall_s": 600.0 + 120 * seed},
        deployed=max(values),
    )


def test_lost_of_the_best_by_hand() -> None:
    # Means of two in a row: 5, 20, 30, 25, 15: the end has half of the best.
    assert lost_of_best(trial(0, 0, 10, 30, 30, 20, 10)) == pytest.approx(0.5)
    assert lost_of_best(trial(0, 0, 10, 20)) == 0
    assert lost_of_best(trial(0, -3, -2, -1)) is None
    assert lost_of_best(trial(0, 1, window=2)) is None


def test_spread_by_hand() -> None:
    assert spread_of([8, 12]) == pytest.approx(8**0.5 / 10)
    low, high = spread_interval([8, 10, 12, 14])
    assert low < spread_of([8, 10, 12, 14]) < high


def test_a_row_an_arm() -> None:
    trials = (trial(0, 0, 20, 40), trial(1, 0, 40, 20), trial(0, 0, 10, 10, average=40), trial(2, 0, 1, window=8))
    waiting = trials[3]._replace(score=None, changes={"average": 7})
    record = replace(Record(kind="sweep", name="x", state="finished", trials=()), trials=(*trials[:3], waiting))
    table = held_table(record)
    assert table.headings == HEADINGS
    first, second = table.rows
    # 30 each; nothing lost; 11 minutes on average
    assert first[:3] == ("rlx2", "2", "30 (30 to 30)")
    assert first[3] == "40 (40 to 40)"
    assert first[4:6] == ("0.0 (0.0 to 0.0)", "0.0 (0.0 to 0.0)")
    assert first[6].startswith("11 min (")
    assert second == ("average 40", "1", "10", "10", "0.0", "-", "10 min")


def test_figure_has_what_the_table_has() -> None:
    trials = (trial(0, 0, 20, 40), trial(1, 0, 40, 10), trial(0, 0, 10, 10, average=40))
    record = Record(kind="sweep", name="x", state="finished", trials=trials)
    final, deployed, lost, spread = held_figure(record).data
    assert (tuple(final.y), tuple(deployed.y)) == ((27.5, 10), (40, 10))
    assert tuple(lost.y) == (0, 0)
    assert spread.y == pytest.approx([spread_of([30, 25])])
    low, high = spread_interval([30, 25])
    assert (spread.error_y.arrayminus, spread.error_y.array) == (
        pytest.approx([spread.y[0] - low]), pytest.approx([high - spread.y[0]])
    )  # fmt: skip
    assert not held_figure(replace(record, trials=())).data
