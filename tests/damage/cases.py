"""Cases of damage: a campaign is killed at a random moment, one file of its directory is damaged, and it goes on.

A case is good where the campaign ends complete and equal to one that nothing happened to, or says in a sentence which
file it is. The number of a case seeds all that is drawn for it; a kill serves several cases, each of which damages a
copy of what it left.
"""

from __future__ import annotations

import random
import re
import shutil
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from rlx2_ray.config import Tree
from tests.distributed.mortal_envs import MODULE
from tests.support import compressions
from tests.support.campaigns import (
    digests,
    kill,
    resume_sweep,
    start_sweep,
    sweep,
    sweep_tree,
    trial_directories,
    trial_names,
)
from tests.support.runs import Ended, ended

CASES_A_KILL = 3
LONGEST_DELAY_S = 0.5  # of a kill, after the point that it waits for
ENV = f"{MODULE}:UnhurriedPendulum-v0"
SWEEP: Tree = sweep_tree(env__id=ENV, env__kwargs={"step_s": 0.002})
COMPRESSION: Tree = compressions.compress_tree(env__id=ENV, env__kwargs={"step_s": 0.0005}, evaluation__episodes=1)
ONE, TWO = ("--concurrent", "1"), ("--concurrent", "2")
UNTOUCHED = ("run.lock", "log.txt")  # which nobody reads


# Damage


def zero(file: Path, draw: random.Random) -> None:
    file.write_bytes(bytes(draw.choice((0, file.stat().st_size))))


def truncate(file: Path, draw: random.Random) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: draw.randrange(max(1, len(content)))])


def remove(file: Path, draw: random.Random) -> None:
    file.unlink()


def flip(file: Path, draw: random.Random) -> None:
    content = bytearray(file.read_bytes())
    if content:
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    file.write_bytes(content)


DAMAGES: tuple[Callable[[Path, random.Random], None], ...] = (zero, truncate, remove, flip)


def kinds_of_files(directory: Path) -> dict[str, list[Path]]:
    """The files of a campaign by kind: of all trials, checkpoints and segments each is one."""
    kinds: dict[str, list[Path]] = {}
    for path in sorted(path for path in directory.rglob("*") if path.is_file() and path.name not in UNTOUCHED):
        inside = str(path.relative_to(directory))
        kind = f"tune/*{path.suffix}" if inside.startswith("tune/") else re.sub(r"^trials/[^/]*", "trials/*", inside)
        kinds.setdefault(re.sub(r"\d+", "N", kind), []).append(path)
    return kinds


# Campaigns


class Kind(NamedTuple):
    """What is killed: a sweep or a compression."""

    name: str
    start: Callable[[Path], Any]
    resume: Callable[[Path], Ended]
    end: Callable[[Path], Ended]  # undisturbed
    compared: tuple[str, ...]  # keys of its result


KINDS = (
    Kind(
        "sweep",
        lambda path: start_sweep(path, SWEEP, *TWO),
        resume_sweep,
        lambda path: sweep(path, SWEEP, *TWO),
        ("trials", "best", "env_steps"),
    ),
    Kind(
        "compression",
        lambda path: compressions.start_compression(path, COMPRESSION, *ONE),
        compressions.resume_compression,
        lambda path: compressions.compress(path, COMPRESSION, *ONE),
        ("dense", "decisions", "runs", "env_steps"),
    ),
)


class Outcome(NamedTuple):
    """What two campaigns are to have in common."""

    names: list[str]
    digests: dict[str, str]
    result: Tree


def outcome_of(done: Ended, kind: Kind) -> Outcome:
    result = {key: done.result[key] for key in kind.compared}
    return Outcome(trial_names(done.directory), digests(done.directory), result)


class Case(NamedTuple):
    number: int
    campaign: str
    points: int  # of all trials, at the kill
    file: str
    damage: str
    code: int
    fault: str | None  # why it is not good

    def __str__(self) -> str:
        what = f"{self.number}: {self.campaign} killed at point {self.points}, {self.damage} {self.file}: {self.code}"
        return f"{what}  {self.fault or 'good'}"


class Laboratory:
    """Campaigns in a folder, all of one kind at one path, since they name paths."""

    def __init__(self, folder: Path, kind: Kind) -> None:
        self._kind = kind
        self._work = folder / kind.name
        self._kept = folder / f"{kind.name}-killed"
        self._kept_kill: int | None = None
        self._undisturbed = folder / f"{kind.name}-undisturbed"
        self.points = 0

    @cached_property
    def reference(self) -> Outcome:
        shutil.rmtree(self._undisturbed, ignore_errors=True)  # of one that failed
        self._undisturbed.mkdir()
        done = self._kind.end(self._undisturbed / "out")
        assert done.code == 0, done.error
        self.points = count_points(done.directory)
        return outcome_of(done, self._kind)

    def run(self, number: int) -> Case:
        reference, seed = self.reference, number // (CASES_A_KILL * len(KINDS))
        if self._kept_kill != seed:
            self._kill(random.Random(f"kill {self._kind.name} {seed}"))
            self._kept_kill = seed
        shutil.rmtree(self._work, ignore_errors=True)
        shutil.copytree(self._kept, self._work)
        directory, draw = self._work / "out", random.Random(f"case {number}")
        points, kinds = count_points(directory), kinds_of_files(directory)
        file, damage = draw.choice(kinds[draw.choice(list(kinds))]), draw.choice(DAMAGES)
        damage(file, draw)
        done = self._kind.resume(directory)
        fault = self._fault(done, file, reference)
        inside = str(file.relative_to(directory))
        return Case(number, self._kind.name, points, inside, damage.__name__, done.code, fault)

    def _kill(self, draw: random.Random) -> None:
        for path in (self._work, self._kept):
            shutil.rmtree(path, ignore_errors=True)
        self._work.mkdir(parents=True)
        directory, least = self._work / "out", draw.randrange(1, self.points - 1)
        with ended(self._kind.start(directory)) as process:
            while process.poll() is None and count_points(directory) < least:
                time.sleep(0.01)
            time.sleep(draw.uniform(0, LONGEST_DELAY_S))
            kill(process, with_ray=True)
        shutil.copytree(self._work, self._kept)

    def _fault(self, done: Ended, file: Path, reference: Outcome) -> str | None:
        if "Traceback" in done.error:
            return f"a traceback: {done.error}"
        if done.code == 0:
            mine = outcome_of(done, self._kind)
            return None if mine == reference else f"another outcome: {' '.join(_differences(mine, reference))}"
        if done.code in (1, 2) and any(names(line, file) for line in done.error.splitlines()):
            return None
        return f"no sentence that names the file: {done.error}"


def _differences(mine: Outcome, other: Outcome) -> Iterator[str]:
    for field, one, two in zip(Outcome._fields, mine, other, strict=True):
        if one != two:
            yield f"{field} {one} for {two}"


def names(line: str, file: Path) -> bool:
    """Whether a sentence names a file, whole or by its name and a folder that it is in."""
    return str(file) in line or (file.name in line and any(str(folder) in line for folder in file.parents[:3]))


def count_points(directory: Path) -> int:
    files = (path / "progress.jsonl" for path in trial_directories(directory))
    return sum(file.read_bytes().count(b"\n") for file in files if file.exists())


class Harness:
    """All cases, one after the other; those of one kill are neighbours."""

    def __init__(self, folder: Path) -> None:
        self._laboratories = [Laboratory(folder, kind) for kind in KINDS]

    def run(self, number: int) -> Case:
        return self._laboratories[number // CASES_A_KILL % len(KINDS)].run(number)
