"""What random actions score is known where it can be, and without it no part of a dense return is stated."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.random_scores import ENVIRONMENTS, measured
from rlx2_ray.config import resolve, unflatten
from rlx2_ray.report.analysis.arms import dense_arm
from rlx2_ray.report.analysis.outcomes import no_reference, outcomes
from rlx2_ray.report.analysis.random_scores import known, random_score_of
from rlx2_ray.report.archive.report import report_html, report_markdown
from rlx2_ray.report.archive.tables import ARM_HEADINGS, arm_table
from rlx2_ray.report.archive.tasks import Archive, read_archive
from rlx2_ray.report.record.record import Record
from rlx2_ray.search.statistics import statistic_of
from tests.support.archives import made_runs, write_archive


@pytest.mark.parametrize("env_id", ["InvertedPendulum-v5", "Pendulum-v1"])
def test_table_has_what_is_measured(env_id: str) -> None:
    assert known()[env_id] == pytest.approx(measured(env_id), rel=1e-6)
    assert set(known()) == set(ENVIRONMENTS)


@pytest.mark.parametrize(
    ("changes", "score"),
    [
        ({}, known()["Hopper-v5"]),
        ({"env.kwargs": {"healthy_reward": 5.0}}, None),
        ({"evaluation.max_episode_steps": 10}, None),
        ({"env.id": "my_env:Mine-v0"}, None),
    ],
)
def test_it_is_that_of_the_environment_as_it_was_made(changes: dict[str, object], score: float | None) -> None:
    config, record = resolve(unflatten({"env.id": "Hopper-v5", **changes})), Record("sweep", "a", "finished")
    assert random_score_of(record, config) == score
    assert random_score_of(replace(record, random_of={config.env.id: 7.0}), config) == 7.0


@pytest.fixture
def archive(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    folder = tmp_path_factory.mktemp("archive")
    write_archive(folder, made_runs(["dense", "rlx2"], env__kwargs=request.param))
    return read_archive(folder)


@pytest.mark.parametrize("archive", [{}], indirect=True)
def test_archive_measures_gains_over_random_actions(archive: Archive) -> None:
    (record,) = archive.records
    dense, (found,), zero = dense_arm(record), outcomes(record), known()["Hopper-v5"]
    assert dense is not None
    assert found.ratio == pytest.approx((statistic_of(found.scores) - zero) / (dense.statistic - zero))


@pytest.mark.parametrize("archive", [{"healthy_reward": 5.0}], indirect=True)
def test_archive_without_them_states_scores_and_says_why(archive: Archive) -> None:
    (record,) = archive.records
    assert outcomes(record) == []
    assert "what random actions score, the zero of gains, is not known" in str(no_reference(record))
    for text in (report_markdown(archive), report_html(archive).partition("<body")[2]):
        assert "is not known" in text
        assert " nan" not in text
    column = ARM_HEADINGS.index("% of dense")
    assert {row[column] for row in arm_table(record).rows if row[column] != "not run"} == {"-"}
