"""The record of a sweep, a compression or a run in its directory."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rlx2_ray import config as configuration
from rlx2_ray.config import ExperimentConfig, Tree
from rlx2_ray.runs.score import score
from rlx2_ray.report.record.configs import differing_keys, swept_changes
from rlx2_ray.report.record.record import RETURN, Record, Series, Sizes, Tracking, TrialRecord, parse_record
from rlx2_ray.sweep.description.space import parse_space, varied_keys
from rlx2_ray.types import BadInput

RECORD_FILE, TRIALS = "record.json", "trials"
SPARSITIES = ("sparsity.policy", "sparsity.critic")
PURPOSE_TAG = "rlx2.purpose"
MEMBER_TAG = "rlx2.member"


def read_directory(path: Path) -> Record:
    """The record of what `rlx2 sweep`, `rlx2 compress` or `rlx2 train` wrote. Raises BadInput where there is none."""
    file = path / RECORD_FILE
    if file.exists():
        return _read_sweep(path, parse_record(_read(file), str(file)))
    if (path / "config.yaml").exists():
        return _read_run(path)
    raise BadInput(
        f"{path} holds neither {RECORD_FILE} nor a run: give a directory of 'rlx2 sweep', 'compress', 'train' or "
        "'archive'."
    )


def _read_sweep(path: Path, record: Record) -> Record:
    folders = sorted(each.parent for each in (path / TRIALS).glob("*/config.yaml"))
    configs = [_load_config(folder) for folder in folders]
    keys = swept_keys(record, configs)
    trials = tuple(_read_trial(folder, config, record, keys) for folder, config in zip(folders, configs, strict=True))
    sizes = record.sizes or next(filter(None, map(_sizes, folders)), None)
    return record.with_trials(trials)._replace(sizes=sizes, source=str(path))


def _read_run(path: Path) -> Record:
    config = _load_config(path)
    record = Record("runs", path.name, state="interrupted", trials=())
    trial = _read_trial(path, config, record, ())
    result, origin = _read_json(path / "result.json"), _read_json(path / "run.json")
    tracking = Tracking(origin["tracking_uri"], origin["experiment"]) if origin else None
    return record._replace(
        state=trial.state,
        trials=(trial,),
        versions=result.get("versions", {}),
        tracking=tracking,
        sizes=_sizes(path),
        source=str(path),
    )


def swept_keys(record: Record, configs: Sequence[ExperimentConfig]) -> list[str]:
    """The keys that a record's trials are told apart by."""
    if record.kind == "compress":
        return list(SPARSITIES)
    if record.members:
        return list(dict.fromkeys(key for keys in record.members.values() for key in keys))
    return varied_keys(parse_space(record.param_space)) or differing_keys(configs)


def _read_trial(folder: Path, config: ExperimentConfig, record: Record, keys: Sequence[str]) -> TrialRecord:
    result = _read_json(folder / "result.json")
    tags = _read_json(folder / "run.json").get("tags", {})
    member = tags.get(MEMBER_TAG, "")
    series = series_of(_read_points(folder / "progress.jsonl"))
    ended_early = bool(result.get("ended_early")) or folder.name in record.stopped
    return TrialRecord(
        name=folder.name,
        state=_state(folder, result, record),
        purpose=tags.get(PURPOSE_TAG, "trial"),
        config=config,
        changes=swept_changes(config, record.members.get(member, keys)),
        series=series,
        score=result["score"] if "score" in result else score_of_stopped(series, ended_early),
        ended_early=ended_early,
        run_id=result.get("mlflow_run_id"),
        member=member,
    )


def _state(folder: Path, result: Tree, record: Record) -> str:
    """A directory does not say whether anybody works on it, so an unfinished trial runs where its sweep does."""
    if result:
        return "finished"
    return "running" if record.state == "running" and folder.name not in record.stopped else "interrupted"


def score_of_stopped(series: Mapping[str, Series], ended_early: bool) -> float | None:
    """A trial that was stopped early counts with what it had reached; one that only has not ended has no score yet."""
    return score(series[RETURN].values) if ended_early and RETURN in series else None


def series_of(points: Sequence[Mapping[str, Any]]) -> dict[str, Series]:
    """The metrics of a run's points, each with the env steps at which it was there."""
    lengths = Counter(name for point in points for name in point)
    names = [name for name in lengths if name not in ("env_steps", "wall_s")]
    return {name: _series(points, name) for name in names}


def _series(points: Sequence[Mapping[str, Any]], name: str) -> Series:
    there = [point for point in points if name in point]
    values = (math.nan if point[name] is None else float(point[name]) for point in there)
    return Series(tuple(int(point["env_steps"]) for point in there), tuple(values))


def _load_config(folder: Path) -> ExperimentConfig:
    return configuration.resolve(configuration.load(folder / "config.yaml"))


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise BadInput(f"{file} cannot be read ({error.strerror}): make it readable.") from None


def _read_json(file: Path) -> Tree:
    """Empty where there is no such file. Raises BadInput where it is damaged."""
    if not file.exists():
        return {}
    try:
        content = json.loads(_read(file))
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise BadInput(f"{file} is damaged: restore it from a copy, or remove it.")
    return content


def _read_points(file: Path) -> list[Tree]:
    """Raises BadInput where a line is damaged, the last one excepted, which may be half written."""
    lines = _read(file).splitlines() if file.exists() else []
    points = []
    for number, line in enumerate(lines, start=1):
        try:
            points.append(json.loads(line))
        except ValueError:
            if number < len(lines):
                raise BadInput(f"{file} is damaged in line {number}: restore it from a copy.") from None
    return points


def _sizes(folder: Path) -> Sizes | None:
    """From the policy that a finished trial left."""
    from rlx2_ray.networks.policy_file import load_policy

    file = folder / "policy.safetensors"
    if not file.exists():
        return None
    spaces = load_policy(file).spaces
    return Sizes(spaces.observation_size, spaces.action_size)
