"""Whatever an environment does wrong, in training or evaluation, inline, on actors or in a trial: the run ends well, or
in one sentence with all that was done before, and goes on once the fault is gone.
"""

from __future__ import annotations

import functools
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from gymnasium.spaces import Box

from rlx2_ray.distributed.cluster import actor_cpus, own_ray
from rlx2_ray.types import BadInput, RunFailed
from tests.faults.environments import FAULTS, FAULTY, REFUSED, TAKEN, Faulty, Switch
from tests.support.campaigns import (
    finished_trials,
    read_result,
    resume_sweep,
    sweep,
    sweep_tree,
    trial_directories,
)
from tests.support.runs import (
    ROOT,
    Changes,
    checkpoint_names,
    copy_run,
    evaluated_steps,
    resume,
    small_config,
    tracked_run,
    train,
)

SMALLER: Changes = {
    "steps": 150,
    "network.hidden": [8],
    "agent.warmup_steps": 40,
    "agent.batch_size": 8,
    "replay.min_capacity": 50,
    "target.n_step_start": 30,
    "checkpoint.interval": 1000,
    "evaluation.deployed_episodes": 1,
}
# An episode has ten steps. In training evaluations are too short to get that far; in an evaluation it is the second of
# six episodes at env step 20.
PLACES: dict[str, Changes] = {
    "training": SMALLER | {"evaluation.interval": 50, "evaluation.episodes": 1},
    "evaluation": SMALLER | {"evaluation.interval": 20, "evaluation.episodes": 6},
}
FIRST = {"training": {"step": 95, "reset": 10}, "evaluation": {"step": 25, "reset": 5}}
AGAIN = {"training": {"step": 5, "reset": 99}, "evaluation": {"step": 15, "reset": 4}}  # after the resume of that run
SAVED = {"training": 94, "evaluation": 20}  # the env step before
POINTS = {"training": [50, 100, 150], "evaluation": [20, 40, 60, 80, 100, 120, 140, 150]}
ACTORS: Changes = {"runtime.kind": "actors"}
FAST = {("raises what cannot be sent", "training")}
SLOW_OR_NOT = {True: (), False: (pytest.mark.slow,)}
ON_ACTORS = [
    pytest.param(fault, place, marks=SLOW_OR_NOT[(fault, place) in FAST]) for fault in REFUSED for place in PLACES
]


class Broken(NamedTuple):
    """A run that one fault has ended."""

    directory: Path
    file: Path  # of the fault


@functools.cache
def undisturbed(place: str) -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp())
    return train(folder / "run", **changes_of(place, folder / "nothing"))


def changes_of(place: str, file: Path, **kwargs: Any) -> Changes:
    return PLACES[place] | {"env.id": FAULTY, "env.kwargs": {"file": str(file), **kwargs}}


def switch_on(fault: str, place: str, file: Path) -> None:
    Switch(fault, **FIRST[place]).write(file)


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Broken]:
    """A run that was ended in a place, made once: each fault ends it again, and all leave it as it is."""

    @functools.cache
    def make(place: str) -> Broken:
        folder = tmp_path_factory.mktemp(place)
        made = Broken(folder / "run", folder / "fault")
        switch_on("raises", place, made.file)
        with pytest.raises(RunFailed, match="boom"):
            train(made.directory, **changes_of(place, made.file))
        check_as_it_was(made, place)
        return made

    return make


def check_as_it_was(run: Broken, place: str) -> None:
    assert checkpoint_names(run.directory) == [f"step_{SAVED[place]:012}"]
    assert evaluated_steps(run.directory) == [step for step in POINTS[place] if step < SAVED[place]]
    assert tracked_run(run.directory).info.status == "FAILED"


def check_sentence(sentence: str, fault: str) -> None:
    assert re.match(rf"^(At env step \d+: )?{re.escape(FAULTY)} ", sentence), sentence
    assert re.search(FAULTS[fault].problem or "", sentence), sentence
    assert re.search(r"(at step \d+ of the episode of|at the reset to) seed \d+, ", sentence), sentence
    assert re.search(r"(env step \d+|evaluation episode \d+): the run stopped there\.$", sentence), sentence
    assert "\n" not in sentence
    assert len(sentence) < 400


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("fault", [fault for fault in REFUSED if FAULTS[fault].step])
def test_fault_inline_is_one_sentence_and_loses_nothing(
    fault: str, place: str, broken: Callable[[str], Broken]
) -> None:
    run = broken(place)
    Switch(fault, **AGAIN[place]).write(run.file)
    with pytest.raises(RunFailed) as failure:
        resume(run.directory)
    check_sentence(str(failure.value), fault)
    check_as_it_was(run, place)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("fault", [fault for fault in REFUSED if FAULTS[fault].reset])
def test_reset_that_fails_inline_is_one_sentence_and_loses_nothing(fault: str, place: str, tmp_path: Path) -> None:
    run = Broken(tmp_path / "run", tmp_path / "fault")
    switch_on(fault, place, run.file)
    with pytest.raises(RunFailed) as failure:
        train(run.directory, **changes_of(place, run.file))
    check_sentence(str(failure.value), fault)
    run.file.unlink()
    check_goes_on(run, place)


@pytest.mark.parametrize("place", PLACES)
def test_run_that_all_faults_have_ended_goes_on_as_if_there_had_been_none(
    place: str, broken: Callable[[str], Broken], tmp_path: Path
) -> None:
    run = broken(place)
    run.file.unlink(missing_ok=True)
    check_goes_on(run._replace(directory=copy_run(run.directory, tmp_path)), place)


def check_goes_on(run: Broken, place: str) -> None:
    result = resume(run.directory)
    assert evaluated_steps(run.directory) == POINTS[place]
    for key in ("policy_digest", "evaluations", "deployed"):
        assert result[key] == undisturbed(place)[key]


@pytest.mark.parametrize("fault", TAKEN)
def test_what_a_run_can_do_with_does_not_end_it(fault: str, tmp_path: Path) -> None:
    Switch(fault, 1, 1).write(tmp_path / "fault")
    changes = changes_of("training", tmp_path / "fault") | {"steps": 60, "evaluation.interval": 60}
    assert train(tmp_path / "run", **changes)["env_steps"] == 60


def test_fault_in_the_episode_that_is_played_again_is_said(broken: Callable[[str], Broken]) -> None:
    run = broken("training")
    Switch("raises", 2, 99).write(run.file)
    with pytest.raises(RunFailed, match=r"boom.*, while the episode of the checkpoint was played again: "):
        resume(run.directory)
    check_as_it_was(run, "training")


def test_environment_that_fails_when_it_is_made_is_said(broken: Callable[[str], Broken]) -> None:
    run = broken("training")
    Switch("reset raises", 99, 1).write(run.file)
    with pytest.raises(RunFailed, match=r"raised KeyError .* at the reset to seed \d+, its first: correct the env"):
        resume(run.directory)
    check_as_it_was(run, "training")


def test_environment_that_has_other_sizes_when_a_run_resumes_is_named(broken: Callable[[str], Broken]) -> None:
    run = broken("training")
    run.file.unlink(missing_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Faulty, "observation_space", Box(-1, 1, (3,)))
        patch.setattr(Faulty, "_observation", lambda env: np.zeros(3, np.float32))
        with pytest.raises(BadInput, match="has 3 observations and 1 actions, another size than the 2 and 1 that"):
            resume(run.directory)
    check_as_it_was(run, "training")


# On actors, all on one Ray


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))  # where the actors find the environments
        with own_ray(actor_cpus(small_config(**ACTORS).runtime)):  # of one run: the next waits until it has ended
            yield


@pytest.mark.parametrize(("fault", "place"), ON_ACTORS)
def test_fault_on_actors_is_one_sentence_and_a_run_that_resumes(
    fault: str, place: str, ray_here: None, tmp_path: Path
) -> None:
    directory, file = tmp_path / "run", tmp_path / "fault"
    switch_on(fault, place, file)
    with pytest.raises(RunFailed) as failure:
        train(directory, **changes_of(place, file) | ACTORS)
    check_sentence(str(failure.value), fault)
    assert tracked_run(directory).info.status == "FAILED"
    file.unlink()
    assert resume(directory)["env_steps"] == SMALLER["steps"]
    assert evaluated_steps(directory) == POINTS[place]


# In the trials of a sweep


@pytest.mark.slow
@pytest.mark.parametrize("faults", [["raises what cannot be sent"], REFUSED], ids=["one", "all"])
def test_fault_in_a_trial_ends_that_trial_and_the_sweep_resumes(faults: list[str], tmp_path: Path) -> None:
    directory, file = tmp_path / "sweep", tmp_path / "fault"
    switch_on("raises", "training", file)
    space = {"env.kwargs.fault": {"grid": ["prints", *faults]}}
    ended = sweep(directory, sweep_tree(space, {"max_failures": 0}, **changes_of("training", file)))
    failures = dict(re.findall(r"^\d{5}-env\.kwargs\.fault=(.+?) failed: (.+)$", ended.error, re.MULTILINE))
    assert sorted(failures) == sorted(fault.replace(" ", "_") for fault in faults), ended.error
    for fault in faults:
        check_sentence(failures[fault.replace(" ", "_")], fault)
    assert "Traceback" not in ended.error
    assert len(finished_trials(directory)) == 1, "that of the fault that is none"
    file.unlink()
    ended = resume_sweep(directory)
    assert ended.code == 0, ended.error
    digests = {read_result(trial)["policy_digest"] for trial in trial_directories(directory)}
    assert digests == {undisturbed("training")["policy_digest"]}
