"""Whoever dies in a living run: another takes its place, and what was lost is counted, said, and bounded."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from rlx2_ray.distributed.faults import MAX_DEATHS_IN_A_ROW, Faults
from rlx2_ray.types import RunFailed
from tests.distributed import mortal_envs
from tests.support.runs import (
    Changes,
    actors_of,
    check_gone,
    check_points,
    checkpoint_names,
    ended,
    family,
    points_there,
    read_points,
    resume_and_check,
    rlx2,
    said,
    small_arguments,
    small_config,
    start_train,
    tracked_run,
    wait_for,
)

WORKERS = {
    "rollout": "RolloutWorker",
    "shard": "ReplayShard",
    "learner": "LearnerWorker",
    "evaluator": "EvaluationWorker",
}
LOSSES = {"rollout": "env_steps_lost", "shard": "transitions_lost", "learner": "updates_lost"}  # of faults/
SENTENCES = {
    "rollout": r"The rollout died; another takes its place, its last \d+ env steps are taken anew\.",
    "shard": r"Replay shard \d died and came back without its last \d+ transitions\.",
    "learner": r"The learner died; another takes its place, from the newest checkpoint\.",
    "evaluator": r"The evaluator died; another takes its place, its evaluation is made anew\.",
}
CALL_STEPS = 32  # of a call to a rollout
ROLLOUTS = 2
IN_FLIGHT = ROLLOUTS * CALL_STEPS  # env steps
AHEAD = IN_FLIGHT + 2 * 64  # updates that may be undone, with one an env step

RUN: Changes = {
    "env.id": f"{mortal_envs.MODULE}:Unhurried-v0",
    "env.kwargs": {"step_s": 0.004},
    "runtime.kind": "actors",
    "runtime.rollout_actors": ROLLOUTS,
    "runtime.replay_shards": 2,
    "agent.warmup_steps": 200,
    "evaluation.interval": 500,
    "checkpoint.interval": 400,
    "steps": 3500,
}


# Counting


def test_faults_are_counted_over_all_lives() -> None:
    faults = Faults()
    assert faults.metrics() == {}
    faults.note_death("learner", "The learner died")
    faults.count(updates_lost=7)
    again = Faults()
    again.restore(json.loads(json.dumps(faults.state())))
    again.note_death("learner", "The learner died")
    again.count(updates_lost=5)
    assert again.metrics() == {"faults/learner_deaths": 2.0, "faults/updates_lost": 12.0}


def test_deaths_end_a_run_only_where_nothing_is_done_between_them() -> None:
    faults = Faults()
    for _ in range(3):
        for kind in ("rollout", "learner"):
            for _ in range(MAX_DEATHS_IN_A_ROW):
                faults.note_death(kind, "It died")
            faults.note_success(kind)
    for _ in range(MAX_DEATHS_IN_A_ROW):
        faults.note_death("rollout", "It died")
        faults.note_success("learner")
    with pytest.raises(RunFailed, match=f"It died for the {MAX_DEATHS_IN_A_ROW + 1}th time in a row"):
        faults.note_death("rollout", "It died")


# Living runs


class Ended(NamedTuple):
    """A run to its end, with what was killed in it."""

    directory: Path
    returncode: int
    error: str
    faults: dict[str, float]  # of its last point


def kill(process: subprocess.Popen[str], kind: str) -> None:
    """SIGKILL one actor of a kind, and wait until another has taken its place."""
    worker = WORKERS[kind]
    wait_for(lambda: actors_of(process, worker), process)
    victim, *others = actors_of(process, worker)
    victim.kill()
    wait_for(lambda: len(set(actors_of(process, worker)) - {victim}) > len(others), process)


def run_with_kills(
    directory: Path, kinds: Sequence[str], first_points: int = 1, points_between: int = 0, **changes: Any
) -> Ended:
    """A run in which actors of these kinds are killed one after the other, once it has so many points."""
    shared_memory = set(os.listdir("/dev/shm"))
    seen: set[psutil.Process] = set()
    with ended(start_train(directory, **RUN | changes)) as process:
        for index, kind in enumerate(kinds):
            wait_for(points_there(directory, first_points + index * points_between), process)
            seen |= family(process)
            kill(process, kind)
        seen |= family(process)
        _, error = process.communicate(timeout=100)
    check_gone(seen, seconds=10)
    assert [name for name in set(os.listdir("/dev/shm")) - shared_memory if "plasma" in name or "ray" in name] == []
    return Ended(directory, process.returncode, error, faults_of(directory))


def faults_of(directory: Path) -> dict[str, float]:
    """Of the last point."""
    return {name: value for name, value in read_points(directory)[-1].items() if name.startswith("faults/")}


def check_complete(run: Ended, changes: Changes, interval: int) -> None:
    """All that was asked was done, all points are there, and nobody but the run itself spoke."""
    assert run.returncode == 0, run.error
    config = small_config(**changes)
    result = json.loads((run.directory / "result.json").read_text())
    assert (result["env_steps"], result["learner_steps"]) == (config.steps, config.planned_updates)
    check_points(run.directory, [*range(interval, config.steps, interval), config.steps])
    check_stored(run, config.steps)


def check_stored(run: Ended, steps: int) -> None:
    """Every env step that counts was inserted, but for those that a shard is known to have lost."""
    indices = (run.directory / "checkpoints" / checkpoint_names(run.directory)[-1]).glob("replay/*/index.json")
    lanes = [lane for index in indices for lane in json.loads(index.read_text())["content"]["lanes"]]
    inserted = sum(lane["counters"]["inserted"] for lane in lanes)
    unheard = run.faults.get("faults/shard_deaths", 0) * IN_FLIGHT  # what a shard had not yet told of when it died
    lost = run.faults.get("faults/transitions_lost", 0)
    assert steps - lost - unheard <= inserted <= steps + run.faults.get("faults/env_steps_lost", 0)


def check_said(run: Ended, kinds: Sequence[str]) -> None:
    """One line for each death, and no other."""
    assert sorted(map(named_in, said(run.error))) == sorted(kinds)


def named_in(line: str) -> str:
    """The kind of the actor whose death the line tells of; of any other line the line itself."""
    return next((kind for kind, words in SENTENCES.items() if re.fullmatch(words, line)), line)


def check_losses(faults: dict[str, float], kinds: Sequence[str], since_checkpoint: int) -> None:
    """Deaths, and bounds of what they cost where a checkpoint is at most so many env steps old."""
    deaths = {kind: faults.get(f"faults/{kind}_deaths", 0) for kind in WORKERS}
    assert deaths == {kind: kinds.count(kind) for kind in WORKERS}
    assert faults.get("faults/env_steps_lost", 0) <= deaths["rollout"] * CALL_STEPS
    assert faults.get("faults/transitions_lost", 0) <= deaths["shard"] * (since_checkpoint + IN_FLIGHT)
    assert faults.get("faults/updates_lost", 0) <= deaths["learner"] * (since_checkpoint + IN_FLIGHT + AHEAD)
    for kind, loss in LOSSES.items():
        assert (f"faults/{loss}" in faults) == (kind in kinds)


def test_actors_of_every_kind_are_replaced_in_one_run(tmp_path: Path) -> None:
    kinds = ["shard", "learner", "rollout", "evaluator"]
    run = run_with_kills(tmp_path / "run", kinds, first_points=2)
    check_complete(run, RUN, interval=500)
    check_said(run, kinds)
    check_losses(run.faults, kinds, since_checkpoint=400)


@pytest.mark.slow
@pytest.mark.parametrize("kind", WORKERS)
def test_actor_that_dies_again_is_replaced_again(kind: str, tmp_path: Path) -> None:
    """On a real pendulum, with every part of RLx2 at work."""
    changes = RUN | {"env.id": "InvertedPendulum-v5", "env.kwargs": {}, "steps": 8000, "evaluation.interval": 1000}
    run = run_with_kills(tmp_path / "run", [kind] * 3, points_between=2, **changes)
    check_complete(run, changes, interval=1000)
    check_said(run, [kind] * 3)
    check_losses(run.faults, [kind] * 3, since_checkpoint=400)


@pytest.mark.slow
def test_all_actors_die_at_once(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    with ended(start_train(directory, **RUN)) as process:
        wait_for(points_there(directory, 2), process)
        victims = {kind: actors_of(process, worker) for kind, worker in WORKERS.items()}
        for actors in victims.values():
            for actor in actors:
                actor.kill()
        _, error = process.communicate(timeout=100)
    kinds = [kind for kind, actors in victims.items() for _ in actors]
    assert len(kinds) == 6
    run = Ended(directory, process.returncode, error, faults_of(directory))
    check_complete(run, RUN, interval=500)
    check_said(run, kinds)
    check_losses(run.faults, kinds, since_checkpoint=400)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "shards"), [("shard", 1), ("shard", 2), ("learner", 2)])
def test_death_before_the_first_checkpoint_costs_what_was_there(kind: str, shards: int, tmp_path: Path) -> None:
    changes = RUN | {"checkpoint.interval": 10**6, "runtime.replay_shards": shards, "steps": 2500}
    run = run_with_kills(tmp_path / "run", [kind], **changes)
    check_complete(run, changes, interval=500)
    check_said(run, [kind])
    lost = run.faults[f"faults/{LOSSES[kind]}"]
    assert 500 / shards - IN_FLIGHT - (AHEAD if kind == "learner" else 0) <= lost <= 2500


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["rollout", "shard", "evaluator"])
def test_death_while_the_run_starts(kind: str, tmp_path: Path) -> None:
    changes = RUN | {"steps": 1000}
    run = run_with_kills(tmp_path / "run", [kind], first_points=0, **changes)
    check_complete(run, changes, interval=500)


@pytest.mark.slow
def test_the_only_shard_dies_when_all_env_steps_are_taken_and_nothing_is_saved(tmp_path: Path) -> None:
    """Many updates are left then, so some env steps are taken anew to learn from."""
    changes = RUN | {"checkpoint.interval": 10**6, "runtime.replay_shards": 1, "steps": 800, "evaluation.interval": 20}
    changes |= {"agent.updates_per_env_step": 20.0, "env.kwargs": {"step_s": 0.0}}
    run = run_with_kills(tmp_path / "run", ["shard"], first_points=34, **changes)
    check_complete(run, changes, interval=20)
    check_said(run, ["shard"])
    assert run.faults["faults/transitions_lost"] == 800


# What does not stop dying


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["rollout", "evaluator"])
def test_environment_that_kills_its_process_at_every_step_ends_the_run_with_a_checkpoint(
    kind: str, tmp_path: Path
) -> None:
    directory, file = tmp_path / "run", tmp_path / "doom"
    env = {"env.id": f"{mortal_envs.MODULE}:Doomed-v0", "env.kwargs": {"file": str(file), "worker": WORKERS[kind]}}
    changes = RUN | env | {"steps": 20000, "evaluation.interval": 2000}
    with ended(start_train(directory, **changes)) as process:
        wait_for(points_there(directory, 1), process)
        file.touch()
        _, error = process.communicate(timeout=120)
    assert process.returncode == 1
    *deaths, last = said(error)
    assert len(deaths) == MAX_DEATHS_IN_A_ROW + 1
    assert all(re.fullmatch(SENTENCES[kind], line) for line in deaths), error
    sentence = f"rlx2: The actor {WORKERS[kind]} died for the {MAX_DEATHS_IN_A_ROW + 1}th time in a row"
    assert last.startswith(sentence)
    assert tracked_run(directory).info.status == "FAILED"
    assert checkpoint_names(directory)
    file.unlink()
    resume_and_check(directory, list(range(2000, 20001, 2000)))


@pytest.mark.slow
def test_learner_that_is_killed_whenever_it_appears_ends_the_run_with_a_checkpoint(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    with ended(start_train(directory, **RUN)) as process:
        wait_for(points_there(directory, 1), process)
        while process.poll() is None:
            for victim in actors_of(process, WORKERS["learner"]):
                victim.kill()
            time.sleep(0.1)
        _, error = process.communicate()
    assert process.returncode == 1
    *deaths, last = said(error)
    assert all(re.fullmatch(SENTENCES["learner"], line) for line in deaths), error
    assert last.startswith(f"rlx2: The actor LearnerWorker died for the {len(deaths)}th time in a row")
    assert len(deaths) == MAX_DEATHS_IN_A_ROW + 1
    resume_and_check(directory, [*range(500, 3500, 500), 3500])


# Asked to stop, and wrong addresses


@pytest.mark.slow
def test_second_ctrl_c_ends_at_once(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    slow = {"env.kwargs": {"step_s": 30.0}}
    with ended(start_train(directory, **RUN | slow)) as process:
        wait_for(lambda: actors_of(process, WORKERS["rollout"]), process)
        time.sleep(5)
        processes = family(process)
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.5)
        assert process.poll() is None, "it waits a while for the env step"
        os.killpg(process.pid, signal.SIGINT)
        began = time.monotonic()
        _, error = process.communicate(timeout=60)
        took_s = time.monotonic() - began
    assert process.returncode == 130
    assert said(error) == [f"rlx2: Ended at once: 'rlx2 resume {directory}' begins anew."]
    assert took_s < 15
    check_gone(processes)
    assert tracked_run(directory).info.status == "KILLED"


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere"])
def test_address_where_no_cluster_answers_is_bad_input(address: str, tmp_path: Path) -> None:
    arguments = small_arguments(**RUN | {"runtime.address": address})
    process = rlx2("train", "--out", str(tmp_path / "run"), *arguments, folder=tmp_path)
    assert process.returncode == 2
    (sentence,) = said(process.stderr)
    assert sentence.startswith(f"rlx2: runtime.address is {address}, where no Ray cluster answers: ")
