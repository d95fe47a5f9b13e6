"""Returns that are negative, equal or worse than random: every page, figure and table is there and says what is so."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rlx2_ray.report.analysis.outcomes import no_reference, outcomes
from rlx2_ray.report.dashboard.page import trial_table
from rlx2_ray.report.figures.panels import PANELS
from rlx2_ray.report.page.page import report_html, report_markdown, write_figures
from rlx2_ray.report.page.summary import details
from rlx2_ray.report.record.directory import read_directory
from rlx2_ray.report.record.record import Record
from tests.support.sweeps import Made, queue, write_directory

HOPPER = "hopper"


def altered(tmp_path: Path, change: Callable[[Made, float], float]) -> Record:
    """The finished sweep of method rlx2 and dense on Hopper with other returns."""
    made, trials = queue()
    trials = [trial for trial in trials if trial.member == HOPPER]
    changed = [
        trial._replace(
            points=[point | {"return_mean": change(trial, point["return_mean"])} for point in trial.points],
            score=change(trial, trial.score or 0.0),
        )
        for trial in trials
    ]
    del made["spaces_of"]["Ant-v5"], made["members"]["ant"]
    return read_directory(write_directory(tmp_path / "sweep", made, changed))


CASES: dict[str, tuple[Callable[[Made, float], float], str]] = {
    "negative": (lambda _, value: value - 10_000, r"is not above the 17\.552 of random actions"),
    "zero": (lambda _, value: 0.0, "is not above the 17"),
    "equal": (lambda _, value: -7.0, "is not above the 17"),
    "not surely above": (
        lambda made, value: (16.0 if made.config.seed else 22.0) if made.config.is_dense else value,
        r"is not surely above the 17\.552 of random actions: .* Add seeds, or let them train longer\.$",
    ),
    "not learned": (
        lambda made, value: 28.0 + made.config.seed if made.config.is_dense else 90.0,
        r"The dense agents' 28\.5 is no measure for the others, of which one gained 6\.62 times as much",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_no_part_of_dense_is_stated_where_dense_is_no_measure(case: str, tmp_path: Path) -> None:
    change, words = CASES[case]
    record = altered(tmp_path, change)
    assert outcomes(record) == []
    (line,) = [line for line in details(record) if "no part of it is stated" in line]
    assert re.search(words, line), line
    page, text = report_html(record), report_markdown(record)
    for shown in (text, page.partition("<body")[2]):
        assert " nan" not in shown
        assert "% of dense" not in shown
    table = trial_table(record, None)
    columns = [place for place, each in enumerate(table.children[0].children.children) if "% of dense" in each.children]
    assert {row.children[place].children for row in table.children[1].children for place in columns} == {"-"}
    write_figures(record, tmp_path / "figures")


@pytest.mark.parametrize("case", CASES)
def test_every_figure_is_drawn_whatever_the_returns_are(case: str, tmp_path: Path) -> None:
    record = altered(tmp_path, CASES[case][0])
    for panel in PANELS.values():
        panel.draw(record).to_json()


def test_negative_returns_are_measured_from_those_of_random_actions(tmp_path: Path) -> None:
    """The same gains, 10,000 lower: R is what it was."""
    lower = altered(tmp_path / "lower", lambda _, value: value - 10_000)
    same = altered(tmp_path / "same", lambda _, value: value)
    (found,) = outcomes(replace(lower, random_of={"Hopper-v5": 20.0 - 10_000}))
    (wanted,) = outcomes(replace(same, random_of={"Hopper-v5": 20.0}))
    assert found.ratio == pytest.approx(wanted.ratio)
    assert found.interval == pytest.approx(wanted.interval)


def test_ordinary_returns_are_measured_against_dense(tmp_path: Path) -> None:
    record = altered(tmp_path, lambda _, value: value)
    assert no_reference(record) is None
    assert [round(each.ratio, 1) for each in outcomes(record)] == [1.1]
