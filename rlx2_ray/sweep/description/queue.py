"""What the file of a queue says: sweeps that are run as one, the trials of the first before those of the second.

    queue:
      - hopper.yaml                                              # a sweep's file, beside that of the queue
      - {file: ant.yaml, method: rlx2, tune: {seeds: 3}}         # with other values than the file's
      - {name: pendulum, env: {id: InvertedPendulum-v5}, param_space: {...}}
    steps: 200_000                                               # of all of them
    tune: {budget: {hours: 12}, max_concurrent: 2}
    archive: results/runs

A value for a key that a file varies selects: of its trials those with that value. A sweep is a queue of one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from rlx2_ray import config as configuration
from rlx2_ray.config import Tree, flatten, merge, validate
from rlx2_ray.sweep.description.files import (
    SWEEP_SECTIONS,
    SweepDescription,
    check_sections,
    check_size,
    parse_sweep,
    plain,
    sweep_tree,
)
from rlx2_ray.sweep.description.reported import check_metric
from rlx2_ray.sweep.description.space import parse_space, select, to_tree, varied_keys
from rlx2_ray.sweep.description.space_check import first_config
from rlx2_ray.sweep.description.tune_section import TuneSection, WholeSection
from rlx2_ray.types import BadInput, shown

OWN = ("queue", "tune", "archive")  # of a queue itself; its other keys are for all members
OTHERS = {"compress": "rlx2 compress"}


@dataclass(frozen=True)
class Member:
    name: str  # "": the sweep is no queue
    sweep: SweepDescription


@dataclass(frozen=True)
class QueueDescription:
    members: tuple[Member, ...]
    tune: WholeSection
    archive: Path | None = None  # of finished runs, which are not run again

    @property
    def is_planned(self) -> bool:
        """Whether all trials are known before the first, and none is stopped or changed for what others came to."""
        return all(member.sweep.tune.is_planned for member in self.members)

    @property
    def trials(self) -> int:
        return sum(member.sweep.trials for member in self.members)


# From a file to a tree that needs no other file


def gather(file: Path, above: Tree) -> Tree:
    """The content of a sweep's or a queue's file, with the files that it names in it and `above` on top.

    Raises BadInput.
    """
    below = configuration.load(file)
    tree = merge(below, above)
    archive = {"archive": str(Path(tree["archive"]).absolute())} if isinstance(tree.get("archive"), str) else {}
    if "queue" not in tree:
        return {**_on_top(below, above), **archive}
    entries = tree["queue"]
    if not isinstance(entries, list) or not entries:
        raise _no_queue(entries)
    common = {key: value for key, value in tree.items() if key not in OWN}
    check_sections(common, SWEEP_SECTIONS, OTHERS)
    members = [_gather_member(entry, common, file.parent) for entry in entries]
    return {"queue": members, **{key: tree[key] for key in OWN[1:] if key in tree}, **archive}


def _no_queue(entries: object) -> BadInput:
    return BadInput(f"queue is {shown(entries)}: list files of sweeps, such as queue: [hopper.yaml, ant.yaml].")


def _gather_member(entry: object, common: Tree, folder: Path) -> Tree:
    given = {"file": entry} if isinstance(entry, str) else entry
    source = given.get("file") or given.get("name") if isinstance(given, Mapping) else None
    if not isinstance(given, Mapping) or not isinstance(source, str):
        raise BadInput(f"queue has {shown(entry)}: give a file of a sweep, or a name and the sweep itself.")
    below = configuration.load(folder / given["file"]) if "file" in given else {}
    name = str(given.get("name") or Path(source).stem)
    above = merge(common, {key: value for key, value in given.items() if key not in ("file", "name")})
    try:
        _check_keys(below)
        _check_keys(above)
        return {"name": name, **_on_top(below, above)}
    except BadInput as problem:
        raise _of_member(name, problem) from None


def _check_keys(tree: Tree) -> None:
    if "queue" in tree:
        raise BadInput("It is a queue itself, and a queue has sweeps only: list its files instead of it.")
    check_sections(tree, SWEEP_SECTIONS, OTHERS)


def _on_top(below: Tree, above: Tree) -> Tree:
    """A sweep with other values; those of keys that it varies select of its points."""
    space = parse_space(merge(below, above).get("param_space") or {})
    selected: Tree = {}
    left = _take(above, set(varied_keys(space)), selected)
    return {**merge(below, left), "param_space": to_tree(select(space, selected))}


def _take(tree: Mapping[str, Any], keys: set[str], taken: Tree, prefix: str = "") -> Tree:
    """The tree without those dotted keys, whose values go to `taken`."""
    left: Tree = {}
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if key in keys:
            taken[key] = value
        else:
            left[name] = _take(value, keys, taken, f"{key}.") if isinstance(value, Mapping) else value
    return left


def _of_member(name: str, problem: BadInput) -> BadInput:
    return BadInput(f"{name} in the queue: {problem}")


# From the tree to what it says


def parse_queue(tree: Mapping[str, Any]) -> QueueDescription:
    """The queue, or the sweep as a queue of one, that a tree without files describes. Raises BadInput."""
    archive = tree.get("archive")
    if archive is not None and not isinstance(archive, str):
        raise BadInput(f"archive is {shown(archive)}: give the directory of an archive of runs.")
    folder = Path(archive) if archive else None
    if "queue" not in tree:
        sweep = parse_sweep({key: value for key, value in tree.items() if key != "archive"})
        if folder and not sweep.tune.is_planned:
            _refuse_unplanned(
                sweep.tune, "an archive stands in for trials that are planned beforehand: leave one of them out"
            )
        return QueueDescription((Member("", sweep),), sweep.tune, folder)
    if not isinstance(tree["queue"], list) or not tree["queue"]:
        raise _no_queue(tree["queue"])
    members = tuple(map(_parse_member, tree["queue"]))
    check_size(sum(member.sweep.trials for member in members), _steps(members[0]))
    tune = validate(WholeSection, tree.get("tune") or {}, "tune")
    for member in members:
        check_metric(tune.metric, first_config(member.sweep.config, member.sweep.space), "none")
    return QueueDescription(members, tune, folder)


def _steps(member: Member) -> int:
    return first_config(member.sweep.config, member.sweep.space).steps


def _parse_member(tree: object) -> Member:
    name = tree.get("name") if isinstance(tree, Mapping) else None
    if not isinstance(tree, Mapping) or not isinstance(name, str) or not name:
        raise BadInput(f"queue has {shown(tree)}, which is no sweep with a name: restore it from a copy.")
    try:
        sweep = parse_sweep({key: value for key, value in tree.items() if key != "name"})
        _check_member(sweep)
    except BadInput as problem:
        raise _of_member(name, problem) from None
    return Member(name, sweep)


def _check_member(sweep: SweepDescription) -> None:
    """Its trials must be known beforehand, and a limit is one of all trials."""
    tune = sweep.tune
    if not tune.is_planned:
        _refuse_unplanned(tune, "the trials of a queue are planned beforehand: sweep it by itself")
    if tune.budget.model_dump(exclude_none=True):
        raise BadInput("It has a tune.budget of its own, but a queue has one for all: write it beside queue.")


def _refuse_unplanned(tune: TuneSection, why: str) -> NoReturn:
    key = "scheduler" if tune.scheduler.name != "none" else "searcher"
    raise BadInput(f"tune.{key} is {getattr(tune, key).name}, but {why}.")


def distinguishing_keys(queue: QueueDescription) -> dict[str, tuple[str, ...]]:
    """Name of members -> what tells their trials apart: keys that vary, and those that they have other values of."""
    found = {}
    for name in dict.fromkeys(member.name for member in queue.members):
        sweeps = [member.sweep for member in queue.members if member.name == name]
        keys = dict.fromkeys(key for sweep in sweeps for key in varied_keys(sweep.varied))
        given: list[Tree] = [{} for _ in sweeps]
        for sweep, values in zip(sweeps, given, strict=True):
            _take(sweep.config, set(flatten(sweep.config)), values)
        everywhere = dict.fromkeys(key for values in given for key in values)
        keys |= dict.fromkeys(key for key in everywhere if len({repr(values.get(key)) for values in given}) > 1)
        found[name] = tuple(keys)
    return found


def queue_tree(queue: QueueDescription) -> Tree:
    """The tree that parses to it; plain values, for sweep.yaml."""
    archive = {"archive": str(queue.archive)} if queue.archive else {}
    if not queue.members[0].name:
        return {**sweep_tree(queue.members[0].sweep), **archive}
    members = [{"name": member.name, **sweep_tree(member.sweep)} for member in queue.members]
    return {"queue": members, "tune": plain(queue.tune), **archive}
