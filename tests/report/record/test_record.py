"""The record: the same from a directory and from an MLflow store, also of what is unfinished, damaged or plain runs."""

from __future__ import annotations

import json
import math
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rlx2_ray.config import nest, resolve
from rlx2_ray.distributed.launch import train
from rlx2_ray.experiment import session
from rlx2_ray.report.analysis.arms import arms_of, dense_arm, ratio_of
from rlx2_ray.report.record.configs import config_of, described, differing_keys, flat
from rlx2_ray.report.record.directory import read_directory, series_of
from rlx2_ray.report.record.file import SILENCE_S, as_seen, parse_record
from rlx2_ray.report.record.record import Record
from rlx2_ray.report.record.store import read_experiment
from rlx2_ray.report.record.trial import EMPTY, Series
from rlx2_ray.runs.directory import RunDirectory
from rlx2_ray.tracking import reader
from rlx2_ray.tracking.params import to_params
from rlx2_ray.tracking.reader import TrackingReader
from rlx2_ray.types import BadInput
from tests.support.runs import database_uri
from tests.support.sweeps import EXPERIMENT, STEPS, STOPPED, compression, queue, sweep, write_directory, write_store

KINDS: dict[str, Callable[[], Any]] = {
    "finished": compression,
    "played": lambda: compression(played=True),
    "running": lambda: compression(running=True),
    "sweep": sweep,
    "queue": queue,
}


@pytest.fixture(scope="module", params=KINDS)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Record, Record]:
    folder = tmp_path_factory.mktemp("record")
    made = KINDS[request.param]()
    uri = write_store(folder, *made)
    return read_directory(write_directory(folder / "sweep", *made)), read_experiment(TrackingReader(uri), EXPERIMENT)


def test_directory_and_store_give_the_same_record(both: tuple[Record, Record]) -> None:
    directory, store = (replace(record, tracking=None, source="", trials=()) for record in both)
    assert directory == store


def test_directory_and_store_give_the_same_trials(both: tuple[Record, Record]) -> None:
    directory, store = ({trial.name: trial for trial in record.trials} for record in both)
    assert directory.keys() == store.keys()
    for name, trial in directory.items():
        series = {metric: trial.series[metric] for metric in store[name].series}
        assert store[name] == trial._replace(run_id=store[name].run_id, series=series)
        assert {"return_mean", "replay/size", "replay/policy_distance"} <= series.keys()


def test_trial_that_runs_has_progress_and_no_score(running: Record) -> None:
    trial = next(trial for trial in running.trials if trial.name == "p0.9800-c0.9500-s1003")
    assert (trial.state, trial.score, trial.purpose, trial.seed) == ("running", None, "confirm", 1003)
    assert (trial.env_steps, trial.planned_steps, trial.progress) == (STEPS // 2, STEPS, 0.5)
    assert trial.score_so_far == pytest.approx(sum(trial.returns.values[-5:]) / 5)


def test_trial_that_was_stopped_early_counts_with_what_it_had_reached(running: Record) -> None:
    trial = next(trial for trial in running.trials if trial.name == STOPPED)
    assert (trial.state, trial.ended_early, trial.env_steps) == ("interrupted", True, 0.7 * STEPS)
    window = trial.config.evaluation.score_window
    assert len(trial.returns.values) == 28 > window == 10  # a quarter of 40
    assert trial.score == pytest.approx(sum(trial.returns.values[-10:]) / 10)


def test_arms_join_seeds_and_end_with_the_dense_one(running: Record) -> None:
    arms = arms_of(running)
    assert [arm.label for arm in arms] == ["93 / 88 %", "96 / 93 %", "98 / 95 %", "99 / 98 %", "dense"]
    assert [len(arm.trials) for arm in arms] == [4, 4, 8, 3, 8]
    assert [len(arm.scores) for arm in arms] == [4, 4, 6, 3, 8]


def test_ratio_counts_from_the_random_score(running: Record) -> None:
    dense = dense_arm(running)
    assert dense is not None
    assert ratio_of(dense, dense.statistic) == 1
    assert ratio_of(dense, dense.random or 0) == 0
    assert math.isnan(ratio_of(replace(dense, statistic=dense.random or 0), 5.0))


def test_sweep_s_trials_are_told_apart_by_the_swept_keys(tmp_path: Path) -> None:
    record = read_directory(write_directory(tmp_path / "sweep", *sweep()))
    assert record.trials[0].changes == {"sparsity.policy": 0.5, "target.n_step": 1}
    assert arms_of(record)[0].label == "policy 50 %, n_step 1"
    assert dense_arm(record) is None


def test_a_single_run_is_a_record_too(tmp_path: Path) -> None:
    path = write_directory(tmp_path / "sweep", *compression()) / "trials" / "p0.9800-c0.9500-s1"
    record = read_directory(path)
    assert (record.kind, record.name, record.state, len(record.trials)) == ("runs", path.name, "finished", 1)
    assert record.trials[0].returns.steps[-1] == STEPS


@pytest.fixture
def trial(tmp_path: Path) -> RunDirectory:
    """One of a sweep in its directory."""
    path = write_directory(tmp_path / "sweep", *sweep())
    return RunDirectory(next(iter(sorted((path / "trials").iterdir()))))


def test_trial_that_went_on_with_other_values_has_these(trial: RunDirectory) -> None:
    trial.change({"runtime": {"address": "auto"}})
    for record in (read_directory(trial.path), read_directory(trial.path.parents[1])):
        assert record.trials[0].config.runtime.address == "auto"


def test_configuration_that_somebody_edited_is_refused_as_resume_does(trial: RunDirectory) -> None:
    trial.config_file.write_text(trial.config_file.read_text().replace("seed: 0", "seed: 1"))
    said = f"{trial.config_file} is not as the run wrote it: restore it from a copy."
    for call in (read_directory, lambda path: session.resume(path, train)):
        with pytest.raises(BadInput) as refusal:
            call(trial.path)
        assert str(refusal.value) == said
    assert read_directory(trial.path.parents[1]).messages[-1] == f"{trial.path.name} is left out: {said}"


def test_reading_leaves_no_trace(tmp_path: Path) -> None:
    path = write_directory(tmp_path / "sweep", *compression(running=True))
    for file in path.rglob("run.lock"):
        file.unlink()
    before = {file: file.stat().st_mtime_ns for file in path.rglob("*")}
    read_directory(path)
    assert {file: file.stat().st_mtime_ns for file in path.rglob("*")} == before


def test_plain_runs_of_an_experiment_are_a_record(tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(uri := database_uri(tmp_path))
    experiment = client.create_experiment("plain", (tmp_path / "artifacts").as_uri())
    for seed, n_step in ((0, 1), (1, 1), (0, 3)):
        run = client.create_run(experiment, tags={"rlx2.config_hash": "x"}, run_name=f"{n_step}-{seed}").info.run_id
        config = resolve({"seed": seed, "target": {"n_step": n_step}, "steps": 1000})
        for key, value in to_params(config.model_dump(mode="json")).items():
            client.log_param(run, key, value)
        client.log_metric(run, "evaluation/return_mean", 10.0 + seed, step=500)
        client.set_terminated(run)
    client.create_run(experiment, run_name="somebody else's")
    record = read_experiment(TrackingReader(uri), "plain")
    assert (record.kind, record.state, [trial.score for trial in record.trials]) == ("runs", "finished", [10, 11, 10])
    assert [arm.label for arm in arms_of(record)] == ["n_step 1", "n_step 3"]


def test_run_of_another_version_is_named_and_left_out(tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    made = compression()
    client = MlflowClient(uri := write_store(tmp_path, *made))
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    parent = client.search_runs([experiment], "tags.`rlx2.kind` = 'compress'")[0].info.run_id
    other = client.create_run(experiment, tags={"mlflow.parentRunId": parent}, run_name="stranger")
    client.log_param(other.info.run_id, "unknown.key", 1)
    client.create_run(experiment, tags={"mlflow.parentRunId": parent}, run_name="silent")  # no defaults stand for it
    record = read_experiment(TrackingReader(uri), EXPERIMENT)
    assert len(record.trials) == len(made[1])
    silent, stranger = sorted(record.messages)
    assert "stranger" in stranger
    assert "unknown" in stranger
    assert "silent" in silent
    assert "algo is not among its parameters" in silent


def test_reader_reads_again_only_what_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.tracking import MlflowClient

    reader = TrackingReader(uri := write_store(tmp_path, *compression(running=True)))
    parent = reader.sweeps(EXPERIMENT)[0]
    asked: list[list[str]] = []
    read = reader._read_histories
    monkeypatch.setattr(reader, "_read_histories", lambda runs: asked.append([run.name for run in runs]) or read(runs))
    first = reader.histories(reader.children(parent))
    assert reader.histories(reader.children(parent)) == first
    live = next(run for run in reader.children(parent) if run.status == "RUNNING")
    MlflowClient(uri).log_metric(live.run_id, "evaluation/return_mean", 1.5, step=STEPS)
    again = reader.histories(reader.children(parent))
    assert [len(asked[0]), *asked[1:]] == [27, [live.name]]
    assert again[live.run_id]["evaluation/return_mean"][0][-1] == STEPS


def test_history_is_by_step_and_the_first_value_stays() -> None:
    class Point:
        def __init__(self, step: int, value: float) -> None:
            self.step, self.value = step, value

    assert reader._history([Point(2, 1.0), Point(1, 5.0), Point(2, 9.0)]) == ((1, 2), (5.0, 1.0))


def test_series_have_only_the_steps_at_which_they_were_there() -> None:
    series = series_of([{"env_steps": 5, "a": 1.0}, {"env_steps": 10, "a": None, "b": 2}])
    assert series["b"] == Series((10,), (2.0,))
    assert series["a"].steps == (5, 10)
    assert math.isnan(series["a"].values[1])
    assert math.isnan(EMPTY.latest)


def test_configuration_reads_back_from_mlflow_s_parameters() -> None:
    config = resolve({"network": {"hidden": [16, 8]}, "env": {"kwargs": {"reset_noise_scale": 0.01}}, "seed": 3})
    assert config_of(to_params(config.model_dump(mode="json"))) == config


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        ([{"seed": 0}, {"seed": 1}], []),
        ([{"method": "dense"}, {"method": "rlx2"}], ["method"]),
        ([{"steps": 1000}, {"steps": 2000}], ["steps"]),
        ([nest("sparsity.policy", 0.5), nest("sparsity.policy", 0.6), {"seed": 1}], ["sparsity.policy"]),
    ],
)
def test_keys_that_tell_runs_apart_leave_out_what_only_follows(changes: list[Any], keys: list[str]) -> None:
    assert differing_keys([described(resolve(each)) for each in changes]) == keys


def test_flat_keeps_an_empty_section_as_a_value() -> None:
    assert flat(resolve({}))["env.kwargs"] == {}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"kind": "sweep", "name": "x"}', "null"])
def test_damaged_record_is_one_sentence(text: str) -> None:
    with pytest.raises(BadInput, match=r"^here is damaged or of another version \(.*\): restore it from a copy\.$"):
        parse_record(text.encode(), "here")


def test_decision_without_an_interval_is_damage() -> None:
    record, _ = compression()
    record["decisions"][0]["interval"] = [1.0]
    with pytest.raises(BadInput, match="damaged"):
        parse_record(json.dumps(record).encode(), "here")


def test_directory_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds neither"):
        read_directory(tmp_path)


def damage(database: Path, revision: str | None) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE IF NOT EXISTS alembic_version (version_num TEXT)")
        connection.execute("DELETE FROM alembic_version")
        connection.execute("INSERT INTO alembic_version VALUES (?)", (revision,))


@pytest.mark.parametrize(
    ("revision", "words"), [("ffffffffffff", "an MLflow newer than 3"), ("451aebb31d03", "an older MLflow")]
)
def test_store_of_another_mlflow_is_refused_and_left_alone(tmp_path: Path, revision: str, words: str) -> None:
    damage(database := tmp_path / "mlflow.db", revision)
    before = database.read_bytes()
    with pytest.raises(BadInput, match=words):
        TrackingReader(f"sqlite:///{database}")
    assert database.read_bytes() == before


def test_store_that_is_not_there_is_not_created(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="There is no tracking store"):
        TrackingReader(f"sqlite:///{tmp_path / 'mlflow.db'}")
    (tmp_path / "other.db").write_bytes(b"")
    with pytest.raises(BadInput, match="is no MLflow store"):
        TrackingReader(f"sqlite:///{tmp_path / 'other.db'}")
    assert [(path.name, path.stat().st_size) for path in tmp_path.iterdir()] == [("other.db", 0)]


def test_server_that_does_not_answer_is_one_sentence() -> None:
    with pytest.raises(BadInput, match=r"^MLflow at http://127\.0\.0\.1:9 cannot be read \(.*\.$"):
        TrackingReader("http://127.0.0.1:9")


def test_experiment_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    reader = TrackingReader(database_uri(tmp_path))
    with pytest.raises(BadInput, match=r"no experiment 'nope': choose from .*Default"):
        read_experiment(reader, "nope")


@pytest.mark.parametrize(
    ("written", "silent_s", "state"),
    [("running", 0, "running"), ("running", SILENCE_S + 60, "interrupted"), ("finished", SILENCE_S + 60, "finished")],
)
def test_a_writer_that_is_silent_is_dead(written: str, silent_s: float, state: str) -> None:
    content = {"kind": "sweep", "name": "x", "state": written, "updated": time.time() - silent_s}
    assert as_seen(parse_record(json.dumps(content).encode(), "record.json")).state == state
