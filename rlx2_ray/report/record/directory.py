"""The record of a sweep, a compression or a run in its directory. Reading writes nothing, and waits for nobody."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from rlx2_ray.config import ExperimentConfig, Tree
from rlx2_ray.report.record.configs import described, differing_keys, flat, swept_changes
from rlx2_ray.report.record.file import RECORD_FILE, as_seen, read_record
from rlx2_ray.report.record.rebuild import DESCRIPTION_FILE, rebuild
from rlx2_ray.report.record.record import Record, TrackedRun
from rlx2_ray.report.record.trial import RETURN, Series, Trial
from rlx2_ray.runs.directory import RunDirectory, is_run
from rlx2_ray.runs.final_score import score
from rlx2_ray.runs.parts import Origin
from rlx2_ray.runs.result import c_bytes_of
from rlx2_ray.runs.scores import deployed_of
from rlx2_ray.tracking.tags import MEMBER, PURPOSE
from rlx2_ray.types import BadInput, Damaged, Spaces

TRIALS = "trials"


class Run(NamedTuple):
    """What the directory of a run says of it."""

    directory: RunDirectory
    config: ExperimentConfig
    origin: Origin


def read_directory(path: Path) -> Record:
    """Returns the record of a campaign or a run. Raises BadInput where there is none, or it is damaged."""
    if any((path / name).exists() for name in (RECORD_FILE, DESCRIPTION_FILE)):
        return _read_campaign(path)
    if RunDirectory(path).config_file.exists():
        return _read_run(path)
    raise BadInput(
        f"{path} holds neither {RECORD_FILE} nor a run: give a directory of 'rlx2 sweep', 'compress', 'train' or "
        "'archive'."
    )


def _read_campaign(path: Path) -> Record:
    """The record, without the trials that are damaged, which its messages name."""
    try:
        record = as_seen(read_record(path / RECORD_FILE))
    except Damaged:
        record = rebuild(path)
    runs, messages = _open_all(path / TRIALS)
    keys = record.varied or differing_keys([described(run.config) for run in runs])
    spaces = record.spaces or next(filter(None, map(_spaces, runs)), None)
    record = replace(record, spaces=spaces, source=str(path))
    trials = []
    for run in runs:
        try:
            trials.append(_read_trial(run, record, keys))
        except Damaged as damage:
            messages.append(_left_out(run.directory.path, damage))
    return replace(record, messages=(*record.messages, *messages)).with_trials(trials)


def _open_all(trials: Path) -> tuple[list[Run], list[str]]:
    """The runs that can be opened, and what is said of the others."""
    runs, messages = [], []
    for path in sorted(path for path in trials.glob("*") if is_run(path)):
        try:
            runs.append(_open(path))
        except BadInput as damage:
            messages.append(_left_out(path, damage))
    return runs, messages


def _left_out(path: Path, damage: BadInput) -> str:
    return f"{path.name} is left out: {damage}"


def _read_run(path: Path) -> Record:
    run = _open(path)
    record = Record("runs", path.name, state="interrupted", source=str(path), spaces=_spaces(run))
    trial = _read_trial(run, record, ())
    return replace(
        record,
        state=trial.state,
        trials=(trial,),
        versions=(run.directory.read_result() or {}).get("versions", {}),
        tracking=TrackedRun(run.origin.tracking_uri, run.origin.experiment),
    )


def _open(path: Path) -> Run:
    directory = RunDirectory(path)
    return Run(directory, *directory.open())


def _read_trial(run: Run, record: Record, keys: Sequence[str]) -> Trial:
    found, points = run.directory.read_whole()
    result = found or {}
    name, tags = run.directory.path.name, run.origin.tags
    member = tags.get(MEMBER, "")
    series = series_of(points)
    ended_early = bool(result.get("ended_early")) or name in record.stopped
    return Trial(
        name=name,
        state=_state(name, result, record),
        purpose=tags.get(PURPOSE, "trial"),
        config=run.config,
        changes=swept_changes(flat(run.config), record.members.get(member, keys)),
        series=series,
        score=result["score"] if "score" in result else score_of_stopped(series, run.config, ended_early),
        ended_early=ended_early,
        run_id=result.get("mlflow_run_id"),
        member=member,
        c_bytes=c_bytes_of(result),
        deployed=deployed_of(result),
    )


def _state(name: str, result: Tree, record: Record) -> str:
    """A directory does not say whether anybody works on it, so an unfinished trial runs where its sweep does."""
    if result:
        return "finished"
    return "running" if record.state == "running" and name not in record.stopped else "interrupted"


def score_of_stopped(series: Mapping[str, Series], config: ExperimentConfig, ended_early: bool) -> float | None:
    """A trial that was stopped early counts with what it had reached; one that only has not ended has no score yet."""
    if not ended_early or RETURN not in series:
        return None
    return score(series[RETURN].steps, series[RETURN].values, config.evaluation)


def series_of(points: Sequence[Mapping[str, Any]]) -> dict[str, Series]:
    """Returns the metrics of a run's points, each with the env steps at which it was there."""
    lengths = Counter(name for point in points for name in point)
    names = [name for name in lengths if name not in ("env_steps", "wall_s")]
    return {name: _series(points, name) for name in names}


def _series(points: Sequence[Mapping[str, Any]], name: str) -> Series:
    there = [point for point in points if name in point]
    values = (math.nan if point[name] is None else float(point[name]) for point in there)
    return Series(tuple(int(point["env_steps"]) for point in there), tuple(values))


def _spaces(run: Run) -> Spaces | None:
    """Those of the policy that a finished trial left; None also where it is damaged."""
    from rlx2_ray.networks.policy_file import load_policy

    file = run.directory.policy_file
    try:
        return load_policy(file).spaces if file.exists() else None
    except BadInput:
        return None
