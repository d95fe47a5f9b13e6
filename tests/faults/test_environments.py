"""Whatever an environment does wrong, in training or evaluation, inline, on actors or in a trial: the run ends well, or
in one sentence with all that was done before, and goes on once the fault is gone.
"""

from __future__ import annotations

import functools
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gymnasium.spaces import Box

from rlx2_ray.distributed.cluster import own_ray
from rlx2_ray.types import BadInput, RunFailed
from tests.faults.environments import FAULTS, FAULTY, REFUSED, TAKEN, Faulty
from tests.support.campaigns import (
    finished_trials,
    read_result,
    resume_sweep,
    sweep,
    sweep_tree,
    trial_directories,
)
from tests.support.runs import ROOT, Changes, checkpoint_names, evaluated_steps, resume, tracked_run, train

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
# An episode has ten steps. In training the first evaluations are too short to get that far; in an evaluation it is the
# second of six episodes at env step 20.
PLACES: dict[str, Changes] = {
    "training": SMALLER | {"evaluation.interval": 50, "evaluation.episodes": 1},
    "evaluation": SMALLER | {"evaluation.interval": 20, "evaluation.episodes": 6},
}
FIRST = {"training": {"step": 95, "reset": 10}, "evaluation": {"step": 25, "reset": 5}}
SAVED = {"training": {"step": 94, "reset": 89}, "evaluation": {"step": 20, "reset": 20}}  # the env step before
POINTS = {"training": [50, 100, 150], "evaluation": [20, 40, 60, 80, 100, 120, 140, 150]}
ACTORS: Changes = {"runtime.kind": "actors"}
SOME = ["raises what cannot be sent", "a dict observed", "reset gives no info"]
SLOW_OR_NOT = {fault: () if fault in SOME else (pytest.mark.slow,) for fault in REFUSED}
ON_ACTORS = [pytest.param(fault, place, marks=SLOW_OR_NOT[fault]) for fault in REFUSED for place in PLACES]


def changes_of(fault: str, place: str, switch: Path) -> Changes:
    env = {"env.id": FAULTY, "env.kwargs": {"fault": fault, "switch": str(switch), **FIRST[place]}}
    return PLACES[place] | env


@functools.cache
def undisturbed(place: str) -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp())
    return train(folder / "run", **changes_of("raises", place, folder / "nothing"))


def check_sentence(sentence: str, fault: str) -> None:
    assert re.match(rf"^(At env step \d+: )?{re.escape(FAULTY)} ", sentence), sentence
    assert re.search(FAULTS[fault].problem or "", sentence), sentence
    assert re.search(r"(at step \d+ of the episode of|at the reset to) seed \d+, ", sentence), sentence
    assert re.search(r"(env step \d+|evaluation episode \d+): the run stopped there\.$", sentence), sentence
    assert "\n" not in sentence
    assert len(sentence) < 400


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("fault", REFUSED)
def test_fault_inline_is_one_sentence_and_loses_nothing(fault: str, place: str, tmp_path: Path) -> None:
    directory, switch = tmp_path / "run", tmp_path / "switch"
    switch.touch()
    with pytest.raises(RunFailed) as failure:
        train(directory, **changes_of(fault, place, switch))
    check_sentence(str(failure.value), fault)
    saved = SAVED[place]["reset" if FAULTS[fault].reset else "step"]
    assert checkpoint_names(directory) == [f"step_{saved:012}"]
    assert tracked_run(directory).info.status == "FAILED"
    switch.unlink()
    result = resume(directory)
    assert evaluated_steps(directory) == POINTS[place]
    for key in ("policy_digest", "evaluations", "deployed"):
        assert result[key] == undisturbed(place)[key], "as if nothing had been"


@pytest.mark.parametrize("fault", TAKEN)
def test_what_a_run_can_do_with_does_not_end_it(fault: str, tmp_path: Path) -> None:
    switch = tmp_path / "switch"
    switch.touch()
    result = train(tmp_path / "run", **changes_of(fault, "training", switch))
    assert result["env_steps"] == SMALLER["steps"]


def test_fault_that_stays_leaves_the_run_as_it_is(tmp_path: Path) -> None:
    directory, switch = tmp_path / "run", tmp_path / "switch"
    switch.touch()
    changes = changes_of("raises", "training", switch)
    with pytest.raises(RunFailed):
        train(directory, **changes | {"env.kwargs": changes["env.kwargs"] | {"step": 94}})
    for _ in range(2):  # its episode is played again on the way, and the step that failed is the next one
        with pytest.raises(RunFailed, match="boom"):
            resume(directory)
    switch.unlink()
    assert resume(directory)["env_steps"] == SMALLER["steps"]


# On actors, all on one Ray


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))  # where the actors find the environments
        with own_ray(8):
            yield


@pytest.mark.parametrize(("fault", "place"), ON_ACTORS)
def test_fault_on_actors_is_one_sentence_and_a_run_that_resumes(
    fault: str, place: str, ray_here: None, tmp_path: Path
) -> None:
    directory, switch = tmp_path / "run", tmp_path / "switch"
    switch.touch()
    with pytest.raises(RunFailed) as failure:
        train(directory, **changes_of(fault, place, switch) | ACTORS)
    check_sentence(str(failure.value), fault)
    assert tracked_run(directory).info.status == "FAILED"
    switch.unlink()
    assert resume(directory)["env_steps"] == SMALLER["steps"]
    assert evaluated_steps(directory) == POINTS[place]


# In the trials of a sweep


@pytest.mark.parametrize("faults", [SOME, pytest.param(REFUSED, marks=pytest.mark.slow)], ids=["some", "all"])
def test_fault_in_a_trial_ends_that_trial_and_the_sweep_resumes(faults: list[str], tmp_path: Path) -> None:
    directory, switch = tmp_path / "sweep", tmp_path / "switch"
    switch.touch()
    own = changes_of("prints", "training", switch)
    del own["env.kwargs"]["fault"]
    tree = sweep_tree({"env.kwargs.fault": {"grid": ["prints", *faults]}}, {"max_failures": 0}, **own)
    ended = sweep(directory, tree)
    failures = dict(re.findall(r"^\d{5}-env\.kwargs\.fault=(.+?) failed: (.+)$", ended.error, re.MULTILINE))
    assert sorted(failures) == sorted(faults), ended.error
    for fault, sentence in failures.items():
        check_sentence(sentence, fault)
    assert "Traceback" not in ended.error
    assert len(finished_trials(directory)) == 1, "that of the fault that is none"
    switch.unlink()
    ended = resume_sweep(directory)
    assert ended.code == 0, ended.error
    digests = {read_result(trial)["policy_digest"] for trial in trial_directories(directory)}
    assert digests == {undisturbed("training")["policy_digest"]}


# What is made again


def test_environment_that_has_other_sizes_when_a_run_resumes_is_named(tmp_path: Path) -> None:
    directory, switch = tmp_path / "run", tmp_path / "switch"
    switch.touch()
    with pytest.raises(RunFailed):
        train(directory, **changes_of("raises", "training", switch))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Faulty, "observation_space", Box(-1, 1, (3,)))
        with pytest.raises(BadInput, match="another size"):
            resume(directory)
    switch.unlink()
    assert resume(directory)["policy_digest"] == undisturbed("training")["policy_digest"]
