"""What random actions score is known where it can be, and without it no part of a dense return is stated."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.environments import ENVIRONMENTS, measured
from rlx2_ray.config import resolve, unflatten
from rlx2_ray.envs.make import probe_spaces
from rlx2_ray.report.analysis.arms import dense_arm
from rlx2_ray.report.analysis.environments import known
from rlx2_ray.report.analysis.outcomes import no_reference, outcomes
from rlx2_ray.report.analysis.random_scores import random_score_of
from rlx2_ray.report.archive.report import report_html, report_markdown
from rlx2_ray.report.archive.tables import ARM_HEADINGS, arm_table
from rlx2_ray.report.archive.tasks import Archive, read_archive
from rlx2_ray.report.record.record import Record
from rlx2_ray.report.record.trial import Trial
from rlx2_ray.search.statistics import statistic_of
from rlx2_ray.sweep.description.queue import parse_queue
from rlx2_ray.sweep.sweeping import Sweep
from tests.support.archives import made_runs, write_archive


@pytest.mark.parametrize("env_id", ["InvertedPendulum-v5", "Pendulum-v1"])
def test_table_has_what_is_measured(env_id: str) -> None:
    assert known()[env_id] == pytest.approx(measured(env_id), rel=1e-6)
    assert set(known()) == set(ENVIRONMENTS)


@pytest.mark.parametrize(
    ("changes", "score"),
    [
        ({}, known()["Hopper-v5"].random_score),
        ({"env.kwargs": {"healthy_reward": 5.0}}, None),
        ({"evaluation.max_episode_steps": 10}, None),
        ({"env.id": "my_env:Mine-v0"}, None),
    ],
)
def test_it_is_that_of_the_environment_as_it_was_made(changes: dict[str, object], score: float | None) -> None:
    config, record = resolve(unflatten({"env.id": "Hopper-v5", **changes})), Record("sweep", "a", "finished")
    assert random_score_of(record, config) == score
    assert random_score_of(replace(record, random_of={config.task: 7.0}), config) == 7.0


def trial(**changes: object) -> Trial:
    config = resolve(unflatten({"env.id": "Hopper-v5", **changes}))
    return Trial(f"{config.method}-{config.hash}", "finished", "trial", config, {}, {}, 100.0, False)


def test_each_task_of_an_environment_has_its_own() -> None:
    tasks = [{}, {"env.action_repeat": 2}, {"env.time_limit": 50}, {"env.kwargs": {"healthy_reward": 5.0}}]
    trials = [trial(**task) for task in [*tasks, {"evaluation.max_episode_steps": 10}]]
    random_of = {each.config.task: float(number) for number, each in enumerate(trials)}
    assert len(random_of) == len(trials), "no two share one"
    assert next(iter(random_of)) == "Hopper-v5", "as earlier versions kept it"
    record = Record("sweep", "a", "finished", trials=tuple(trials), random_of=random_of)
    assert [random_score_of(record, each.config) for each in trials] == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_what_an_earlier_version_kept_by_the_id_holds_where_there_is_one_task() -> None:
    one, other = trial(**{"env.action_repeat": 2}), trial(**{"env.action_repeat": 4})
    record = Record("sweep", "a", "finished", trials=(one,), random_of={"Hopper-v5": 7.0})
    assert random_score_of(record, one.config) == 7.0
    assert random_score_of(replace(record, trials=(one, other)), one.config) is None


def test_no_gain_is_stated_across_tasks() -> None:
    both = [trial(method=method, **{"env.action_repeat": times}) for method in ("dense", "rigl") for times in (1, 2)]
    record = Record("sweep", "a", "finished", trials=tuple(both), random_of={"Hopper-v5": 7.0})
    assert outcomes(record) == []
    assert str(no_reference(record)).startswith("No part of dense's gain is stated: these runs of Hopper-v5 differ in")
    assert no_reference(replace(record, trials=(both[0], both[2]))) is None


def test_sweep_plays_random_actions_in_each_task_that_has_a_dense_run() -> None:
    methods = {"grid": [["dense", 0.0], ["static", 0.5]]}
    space = {"method, sparsity.policy": methods, "env.action_repeat": {"grid": [1, 2]}}
    swept = Sweep(parse_queue({"env": {"id": "Pendulum-v1"}, "steps": 1000, "param_space": space}))
    swept.check(probe_spaces(swept.examples[0].env))
    assert sorted(config.env.action_repeat for config in swept.compared.values()) == [1, 2]
    assert set(swept.spaces_of) == set(swept.compared)
    assert not swept.has_several_environments


@pytest.fixture
def archive(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    folder = tmp_path_factory.mktemp("archive")
    write_archive(folder, made_runs(["dense", "rlx2"], env__kwargs=request.param))
    return read_archive(folder)


@pytest.mark.parametrize("archive", [{}], indirect=True)
def test_archive_measures_gains_over_random_actions(archive: Archive) -> None:
    (record,) = archive.records
    dense, (found,), zero = dense_arm(record), outcomes(record), known()["Hopper-v5"].random_score
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
