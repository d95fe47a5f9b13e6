"""Arms beside each other in the report, in Markdown and in the terminal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rlx2_ray.cli.sweep import show
from rlx2_ray.report.analysis.standings import standings
from rlx2_ray.report.page.arm_tables import above_cell, letter, pair_tables, standing_table, terminal_tables
from rlx2_ray.report.page.page import report_html, report_markdown
from rlx2_ray.report.record.record import Record
from rlx2_ray.search.improvement import Improvement


def test_every_page_of_a_sweep_without_dense_has_them(grid: Record) -> None:
    table, (pairs,) = standing_table(grid), pair_tables(grid)
    assert [row[0] for row in table.rows] == list("ABCDEF")
    assert len(pairs.rows) == len(pairs.headings) - 2 == 6
    best, last = table.rows[0], table.rows[-1]
    assert float(best[3]) > float(last[3])
    assert pairs.rows[0][-1] == "1.00 (.39 to 1.00)"  # of two seeds each, which do not overlap
    for text in (report_html(grid), report_markdown(grid)):
        assert "Arms beside each other" in text
        assert best[1] in text
        assert "1.00 (.39 to 1.00)" in text


def test_probabilities_of_both_orders_are_one(search: Record) -> None:
    (pairs,) = pair_tables(search)
    cells = [[float(cell.partition(" ")[0] or "nan") for cell in row[2:]] for row in pairs.rows]
    for row in range(len(cells)):
        for column in range(row):
            assert cells[row][column] + cells[column][row] == pytest.approx(1, abs=0.011)


def test_best_is_the_lowest_where_that_is_asked_for(grid: Record) -> None:
    lowest = replace(grid, mode="min")
    assert [each.arm for each in standings(lowest)] == [each.arm for each in standings(grid)][::-1]


def test_terminal_tables_fit_80_columns(grid: Record, search: Record) -> None:
    for record in (grid, search):
        for title, table in terminal_tables(record):
            assert len(title) <= 80
            widths = [max(map(len, column)) for column in zip(table.headings, *table.rows, strict=True)]
            assert sum(widths) + 3 * len(widths) + 1 <= 80


def test_sweeps_end_with_them_in_the_terminal(grid: Record, capsys: pytest.CaptureFixture[str]) -> None:
    result = {"trials": [], "best": None, "metric": "score", "directory": grid.source, "report": "report.html"}
    show(result, as_json=False)
    output = capsys.readouterr().out
    assert "P(row above column)" in output
    assert "A policy 50 %, n_step 3" in output


def test_cells_are_short() -> None:
    assert above_cell(Improvement(0.934, (0.6, 0.991))) == ".93 (.60 to .99)"
    assert above_cell(Improvement(1.0, None)) == "1.00"
    assert [letter(place) for place in (0, 25, 26, 27)] == ["A", "Z", "AA", "AB"]
