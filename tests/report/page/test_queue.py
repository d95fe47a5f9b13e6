"""What is reported of a queue: each task by itself, its arms by what varies in their member."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rlx2_ray.config import resolve
from rlx2_ray.report.analysis.arms import arms_of, by_task
from rlx2_ray.report.page.answer import answer
from rlx2_ray.report.page.page import report_html, write_figures
from rlx2_ray.report.page.summary import details, protocol_of
from rlx2_ray.report.page.tables import cost_table, score_table
from rlx2_ray.report.record.directory import read_directory
from rlx2_ray.report.record.record import Record
from rlx2_ray.sparse.costs import relative_costs
from rlx2_ray.sparse.plan import plan_agent
from tests.support.sweeps import compression, queue, sweep, write_directory


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    return read_directory(write_directory(tmp_path_factory.mktemp("queue") / "sweep", *queue()))


def test_arms_are_named_by_their_member_and_what_varies_in_it(record: Record) -> None:
    assert [trial.name[:12] for trial in record.trials[::4]] == ["hopper-00000", "ant-00004-se"], "the queue's order"
    assert [arm.label for arm in arms_of(record)] == [
        "hopper, method rlx2",
        "ant, method rlx2, tau 0.02",
        "hopper, method dense",
        "ant, method dense, tau 0.01",
    ]
    assert [row[:2] for row in score_table(record).rows] == [(arm.label, "2") for arm in arms_of(record)]
    assert protocol_of(record)["queue"] == "hopper, ant"


def test_each_task_is_compared_with_its_own_dense_arm(record: Record) -> None:
    rows = cost_table(record).rows
    assert [row[1] for row in rows] == ["Hopper-v5"] * 2 + ["Ant-v5"] * 2
    kept = [float(row[8]) for row in rows]
    assert kept[0] == kept[2] == 100
    assert 90 < kept[1] < 130, "plateaus of 1.1 and 1"
    assert 40 < kept[3] < 60, "plateaus of 1 and 2"


def test_sizes_are_those_of_the_environment(record: Record) -> None:
    config = resolve({"sparsity": {"policy": 0.9, "critic": 0.8}})
    ratios = [relative_costs(config, plan_agent(config, *sizes)).size_ratio for sizes in ((11, 3), (105, 8))]
    rows = cost_table(record).rows
    assert [rows[1][4], rows[3][4]] == [f"{ratio:.3f}" for ratio in ratios]


def test_headline_has_a_sentence_for_each_task(record: Record) -> None:
    hopper, ant = answer(record).split(" Ant-v5")
    assert hopper.startswith("Hopper-v5 with TD3: the best of 2 arms is hopper, method rlx2, with score")
    assert ant.startswith(" with TD3: the best of 2 arms is ant, method dense, tau 0.01, with score")
    assert [line.partition(". ")[0] for line in details(record)] == ["Hopper-v5 with TD3", "Ant-v5 with TD3"]


def test_every_task_has_its_figures(record: Record, tmp_path: Path) -> None:
    page = report_html(record)
    for place, env in enumerate(("Hopper-v5", "Ant-v5")):
        assert f'id="figure-curves-{place}"' in page
        assert f"{env} with TD3: Learning curves" in page
    write_figures(record, tmp_path / "figures")
    figures = {path.name: path.read_text() for path in (tmp_path / "figures").iterdir()}
    assert {"curves-0.html", "curves-1.html", "plotly.min.js"} <= set(figures)
    pages = [text for name, text in figures.items() if name.endswith(".html")]
    assert {source for text in pages for source in re.findall('src="([^"]*)"', text)} == {"plotly.min.js"}


@pytest.mark.parametrize("make", [compression, sweep])
def test_of_one_task_there_is_one_part(make: object, tmp_path: Path) -> None:
    assert callable(make)
    one = read_directory(write_directory(tmp_path / "sweep", *make()))
    assert by_task(one) == [one]
