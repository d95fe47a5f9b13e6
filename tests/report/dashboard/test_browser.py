"""Dashboard and report in a real browser: every panel is drawn, and no script complains."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rlx2_ray.report.dashboard.app import make_dashboard
from rlx2_ray.report.figures.panels import PANELS
from rlx2_ray.report.page.page import write_report
from rlx2_ray.report.record.directory import read_directory
from tests.support import chromium
from tests.support.chromium import Visited, layout_problems, visit
from tests.support.dashboards import serving
from tests.support.sweeps import Made, compression, sweep, write_directory, write_store

pytestmark = [pytest.mark.slow, pytest.mark.skipif(chromium.BROWSER is None, reason=chromium.NEEDED)]

# A class that plotly.js gives to what a panel is there to show.
MARKS = {
    "ratio": "errorbar",
    "frontier": "points",
    "threshold": "hm",
    "keys": "points",
    "parallel": "js-line",
    "scores": "points",
    "curves": "js-line",
    "replay": "js-line",
    "topology": "bars",
}
OF_COMPRESSION = set(PANELS) - {"keys", "parallel"}
OF_SWEEP = set(PANELS) - {"ratio", "frontier", "threshold"}


@pytest.fixture(params=["running", "finished", "sweep"])
def made(request: pytest.FixtureRequest) -> tuple[dict[str, object], list[Made], set[str]]:
    if request.param == "sweep":
        return *sweep(), OF_SWEEP
    return *compression(running=request.param == "running"), OF_COMPRESSION


@pytest.fixture
def served(made: tuple[dict[str, object], list[Made], set[str]], tmp_path: Path) -> Iterator[str]:
    record, trials, _ = made
    dashboard = make_dashboard(write_store(tmp_path, record, trials), None, mlflow_ui="http://localhost:5000")
    with serving(dashboard) as address:
        yield address


def check_drawn(page: Visited, panels: set[str]) -> None:
    assert page.console == []
    for name in panels:
        classes = page.ids[f"figure-{name}"]
        assert "main-svg" in classes, name
        assert MARKS[name] in classes, name


def test_dashboard_draws_every_panel_without_complaint(
    served: str, made: tuple[dict[str, object], list[Made], set[str]], tmp_path: Path
) -> None:
    page = visit(served, tmp_path / "profile")
    check_drawn(page, made[2])
    assert page.ids["trials"].count("badge") == len(made[1])
    assert "Hopper-v5 with TD3" in page.text


def test_report_draws_every_panel_from_the_file_alone(
    made: tuple[dict[str, object], list[Made], set[str]], tmp_path: Path
) -> None:
    record, trials, panels = made
    file = write_report(read_directory(write_directory(tmp_path / "sweep", record, trials)), tmp_path / "report.html")
    page = visit(file.as_uri(), tmp_path / "profile")
    check_drawn(page, panels)
    assert {f"figure-{name}" for name in PANELS if name not in panels}.isdisjoint(page.ids)


@pytest.mark.parametrize("width", [390, 1400])
def test_nothing_in_a_report_is_cut_or_overlaps(
    made: tuple[dict[str, object], list[Made], set[str]], width: int, tmp_path: Path
) -> None:
    record, trials, _ = made
    file = write_report(read_directory(write_directory(tmp_path / "sweep", record, trials)), tmp_path / "report.html")
    assert layout_problems(file, tmp_path / "frame", width) == []
