"""The record of a sweep, a compression or a few plain runs in an MLflow store."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from rlx2_ray.config import ExperimentConfig
from rlx2_ray.report.record.configs import Described, config_of, described, differing_keys, swept_changes
from rlx2_ray.report.record.directory import score_of_stopped
from rlx2_ray.report.record.file import RECORD_FILE, as_seen, parse_record
from rlx2_ray.report.record.record import Record, TrackedRun
from rlx2_ray.report.record.trial import RETURN, Series, Trial
from rlx2_ray.runs.result import C_BYTES, c_bytes_of
from rlx2_ray.tracking.reader import History, StoredRun, TrackingReader
from rlx2_ray.tracking.tags import ENDED_EARLY, KIND, MEMBER, PURPOSE, TRIAL, VERSION
from rlx2_ray.types import BadInput

STATE_OF = {"RUNNING": "running", "FINISHED": "finished", "KILLED": "interrupted", "FAILED": "failed"}
DEPLOYED = "deployed/return_mean"  # metric
RENAMED = {"evaluation/return_mean": RETURN}


def read_experiment(reader: TrackingReader, experiment: str) -> Record:
    """The newest sweep or compression of an experiment, or its plain runs where it has none. Raises BadInput."""
    parents = reader.sweeps(experiment)
    if parents:
        return read_sweep(reader, parents[0])
    runs = reader.plain_runs(experiment)
    if not runs:
        raise BadInput(f"The experiment {experiment!r} has no run of this program: name one that has.")
    return read_runs(reader, experiment, runs)


def read_sweep(reader: TrackingReader, parent: StoredRun) -> Record:
    """Returns the record of a campaign. Raises BadInput where it is damaged."""
    text = reader.artifact(parent.run_id, RECORD_FILE)
    kind = parent.tags[KIND]
    state = STATE_OF.get(parent.status, "running")
    where = f"{RECORD_FILE} of {parent.name}"
    record = as_seen(parse_record(text, where)) if text else Record(kind, parent.name, state)
    record = replace(
        record,
        state=state if record.state == "running" or state != "running" else record.state,
        tracking=TrackedRun(reader.uri, parent.experiment, parent.run_id, parent.experiment_id),
        started=record.started or parent.started,
        updated=record.updated or parent.ended,
        source=parent.experiment,
    )
    return _with_trials(reader, record, reader.children(parent))


def read_runs(reader: TrackingReader, experiment: str, runs: Sequence[StoredRun]) -> Record:
    states = [STATE_OF.get(run.status, "running") for run in runs]
    record = Record(
        kind="runs",
        name=experiment,
        state="running" if "running" in states else states[-1],
        started=min((run.started for run in runs if run.started), default=None),
        updated=max((run.ended for run in runs if run.ended), default=None),
        versions=_versions(runs[-1]),
        tracking=TrackedRun(reader.uri, experiment, None, runs[0].experiment_id),
        source=experiment,
    )
    return _with_trials(reader, record, runs)


def _with_trials(reader: TrackingReader, record: Record, runs: Sequence[StoredRun]) -> Record:
    """The record with those runs as its trials; what another version wrote is named and left out."""
    readable: list[tuple[StoredRun, Described]] = []
    messages = list(record.messages)
    for run in runs:
        try:
            readable.append((run, _described(frozenset(run.params.items()))))
        except BadInput as problem:
            messages.append(f"The run {run.name} is of another version or lacks parameters, and is left out: {problem}")
    keys = record.varied or differing_keys([this for _, this in readable])
    histories = reader.histories([run for run, _ in readable])
    trials = [_trial(record, run, this, keys, histories[run.run_id]) for run, this in readable]
    versions = record.versions or (_versions(runs[-1]) if runs else {})
    return replace(record, messages=tuple(messages), versions=versions).with_trials(trials)


@lru_cache(maxsize=4096)  # a dashboard asks for the same ones every few seconds
def _described(params: frozenset[tuple[str, str]]) -> Described:
    return described(config_of(dict(params)))


def _trial(
    record: Record, run: StoredRun, this: Described, keys: Sequence[str], histories: Mapping[str, History]
) -> Trial:
    name = run.tags.get(TRIAL) or run.name
    member = run.tags.get(MEMBER, "")
    series = {RENAMED.get(metric, metric): Series(*history) for metric, history in histories.items()}
    ended_early = run.tags.get(ENDED_EARLY, "").lower() in ("true", "1") or name in record.stopped
    return Trial(
        name=name,
        state=_state(run, record),
        purpose=run.tags.get(PURPOSE, "trial"),
        config=this.config,
        changes=swept_changes(this.values, record.members.get(member, keys)),
        series=series,
        score=_score(run, series, this.config, ended_early),
        ended_early=ended_early,
        run_id=run.run_id,
        member=member,
        c_bytes=c_bytes_of({name: _finite(run.metrics.get(name)) for name in C_BYTES}),
        deployed=_finite(run.metrics.get(DEPLOYED)),
    )


def _state(run: StoredRun, record: Record) -> str:
    """A trial that was killed together with its sweep could not say so."""
    state = STATE_OF.get(run.status, "running")
    return record.state if state == "running" else state


def _score(run: StoredRun, series: Mapping[str, Series], config: ExperimentConfig, ended_early: bool) -> float | None:
    """As the run gave it, or from its evaluations where it is finished and gave none."""
    given = _finite(run.metrics.get("score"))
    if given is not None:
        return given
    return score_of_stopped(series, config, ended_early or run.status == "FINISHED")


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _versions(run: StoredRun) -> dict[str, str]:
    return {name.removeprefix(VERSION): value for name, value in run.tags.items() if name.startswith(VERSION)}
