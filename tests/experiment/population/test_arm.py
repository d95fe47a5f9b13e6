"""Many runs as one population: each is an ordinary run, and what disturbs one or all of them loses nothing."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlx2_ray.config import Tree
from rlx2_ray.distributed.launch import train as train_on_runtime
from rlx2_ray.experiment import session
from rlx2_ray.experiment.population import arm, plan_file
from rlx2_ray.networks.policy_file import load_policy
from rlx2_ray.replay import snapshot
from rlx2_ray.runs.checkpoint import list_checkpoints
from rlx2_ray.runs.directory import RunDirectory
from rlx2_ray.seeding import derive_seed
from rlx2_ray.tracking import consent
from rlx2_ray.types import BadInput, Damaged, Interrupted, RunFailed
from tests.experiment.population.arms import POINTS, member_of, plan, train
from tests.support.runs import MAY_DIE, compile_kernels, ended, evaluated_steps, start_rlx2
from tests.support.runs import train as train_alone
from tests.support.strange_envs import MODULE

DYING = {"env__id": f"{MODULE}:Dying-v0", "env__kwargs": {"step": 405}}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("undisturbed") / "arm"
    train(directory, (0, 1, 2), slots=2, **DYING)
    return directory


def outcome(directory: Path, seed: int) -> Any:
    result = RunDirectory(member_of(directory, seed)).read_result()
    assert result is not None
    return result["policy_digest"], result["evaluations"]


def learner_values(checkpoint: Path) -> Any:
    return json.loads((checkpoint / "values.json").read_text())["learner"]


def test_every_seed_is_a_run_of_its_own_and_slots_are_refilled(undisturbed: Path) -> None:
    digests = set()
    for seed in (0, 1, 2):
        member = member_of(undisturbed, seed)
        result = session.resume(member, train_on_runtime)  # of a finished run, only reads it
        assert (result["seed"], result["engine"], result["env_steps"]) == (seed, "population", 600)
        assert evaluated_steps(member) == POINTS
        digests.add(result["policy_digest"])
    assert len(digests) == 3


def test_before_the_first_update_a_member_is_the_run_of_the_other_engines(tmp_path: Path) -> None:
    changes = {"checkpoint__interval": 100, "checkpoint__keep": 9}
    train(tmp_path / "arm", (5, 3), **changes)
    train_alone(tmp_path / "run", seed=3, **changes)
    loaded = []
    for directory in (tmp_path / "run", member_of(tmp_path / "arm", 3)):
        replay = snapshot.load(list_checkpoints(directory / "checkpoints")[0] / "replay", (4, 1), 1)
        ids = np.arange(replay.lanes[0].tail, replay.lanes[0].head)
        loaded.append([replay.lanes[0].counters(), *(column[ids] for column in replay.lanes[0].columns)])
    assert loaded[0][0] == loaded[1][0]
    assert all(np.array_equal(*pair) for pair in zip(loaded[0][1:], loaded[1][1:], strict=True))


@pytest.mark.parametrize("processes", [0, 2])
def test_returns_that_pruning_waits_for_are_those_of_the_other_engines(processes: int, tmp_path: Path) -> None:
    changes = {"checkpoint__interval": 100, "checkpoint__keep": 9, "topology__hold_episodes": 2}
    changes |= {"topology__start_update": 20, "topology__end_update": 400, "topology__interval": 20}
    train(tmp_path / "arm", (5, 3), processes=processes, method="group", **changes)
    train_alone(tmp_path / "run", seed=3, method="group", **changes)
    first, other = (
        [learner_values(path)["returns"] for path in list_checkpoints(directory / "checkpoints")]
        for directory in (tmp_path / "run", member_of(tmp_path / "arm", 3))
    )
    assert first[0] == other[0]  # before the first update
    assert len(first[0]["recent"]) == 2
    assert first[0]["best"] > first[0]["first"]
    assert other[-1]["best"] >= other[0]["best"]
    assert other[-1]["recent"] != other[0]["recent"]
    result = RunDirectory(member_of(tmp_path / "arm", 3)).read_result()
    assert result is not None
    left = sum(
        len(layer.weights) for layer in load_policy(member_of(tmp_path / "arm", 3) / "policy.safetensors").layers
    )
    assert result["policy_sparsity"] == pytest.approx(1 - left / 336, abs=1e-6), "what it came to"
    assert result["policy_sparsity"] < 0.5, "and not what was planned"


@pytest.mark.slow
def test_who_is_beside_a_member_changes_nothing(undisturbed: Path, tmp_path: Path) -> None:
    train(tmp_path / "arm", (7, 2), **DYING)  # another slot, and another beside it, and another order
    assert outcome(tmp_path / "arm", 2) == outcome(undisturbed, 2)


def test_killed_all_at_once_they_resume_to_what_they_would_have_been(undisturbed: Path, tmp_path: Path) -> None:
    compile_kernels()
    directory = tmp_path / "arm"
    plan_file.write(directory, plan(directory, (0, 1, 2), **DYING)._replace(slots=2))
    consent.remember(f"sqlite:///{tmp_path / 'mlflow.db'}")
    variables = {MAY_DIE: "1", "RLX2_ALLOWED_MODULES": MODULE}
    with ended(start_rlx2("resume", str(directory), folder=tmp_path, **variables)) as process:
        _, error = process.communicate()
    assert process.returncode == -signal.SIGKILL, error
    assert evaluated_steps(member_of(directory, 0)) == [100, 200, 300, 400]
    assert not list(directory.glob("*-s2"))
    arm.resume(directory)
    for seed in (0, 1, 2):
        assert outcome(directory, seed) == outcome(undisturbed, seed)
        assert evaluated_steps(member_of(directory, seed)) == POINTS


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """An arm that Ctrl-C stopped at env step 205."""
    directory = tmp_path / "arm"
    mark = tmp_path / "mark"
    mark.touch()
    with pytest.raises(Interrupted, match=f"rlx2 resume {directory}"):
        train(directory, env__id=f"{MODULE}:Endless-v0", env__kwargs={"step": 205, "file": str(mark)}, **SWITCHED)
    return directory


CUT = {"evaluation__max_episode_steps": 20}
SWITCHED = {  # what a checkpoint keeps more of
    **CUT,
    "agent__grown_steps": "own",
    "network__rescaled": "both",
    "network__critic_norm": "layer",
    "topology__growth_batches": 3,
    "target__samples": 2,
}


def test_ctrl_c_leaves_runs_that_resume_together(stopped: Path, tmp_path: Path) -> None:
    endless = {"env__id": f"{MODULE}:Endless-v0", "env__kwargs": {"step": 205, "file": str(tmp_path / "mark")}}
    changes = {**endless, **SWITCHED}
    arm.resume(stopped)
    train(tmp_path / "whole", **changes)
    for seed in (0, 1):
        assert outcome(stopped, seed) == outcome(tmp_path / "whole", seed)


@pytest.mark.parametrize("changes", [pytest.param({}, marks=pytest.mark.slow), {"engine": "sparse"}])
def test_a_member_resumes_alone_and_on_other_engines(stopped: Path, changes: Tree) -> None:
    member = member_of(stopped, 1)
    result = session.resume(member, train_on_runtime, changes)
    assert result["engine"] == changes.get("engine", "population")
    assert (result["env_steps"], result["learner_steps"]) == (600, 500)
    assert evaluated_steps(member) == POINTS


@pytest.mark.slow
def test_a_run_of_another_engine_goes_on_as_a_member(tmp_path: Path) -> None:
    (tmp_path / "mark").touch()
    changes = {"env__id": f"{MODULE}:Endless-v0", "env__kwargs": {"step": 205, "file": str(tmp_path / "mark")}, **CUT}
    with pytest.raises(Interrupted):
        train_alone(tmp_path / "run", **changes)
    with pytest.raises(BadInput, match=r"agent.discount is fixed"):
        session.resume(tmp_path / "run", train_on_runtime, {"agent": {"discount": 0.5}})
    result = session.resume(tmp_path / "run", train_on_runtime, {"engine": "population"})
    assert (result["engine"], result["env_steps"], result["learner_steps"]) == ("population", 600, 500)
    assert evaluated_steps(tmp_path / "run") == POINTS


def unlucky(tmp_path: Path, seed: int, **kwargs: Any) -> dict[str, Any]:
    """An environment that fails in the 20th episode of one seed."""
    (tmp_path / "mark").touch()
    unlucky_seed = derive_seed(seed, "environment", 0, 20)
    return {
        "env__id": f"{MODULE}:Unlucky-v0",
        "env__kwargs": {"seed": unlucky_seed, "file": str(tmp_path / "mark"), **kwargs},
    }


def test_one_that_fails_fails_alone_and_can_be_tried_again(tmp_path: Path) -> None:
    changes = unlucky(tmp_path, seed=1)
    with pytest.raises(RunFailed, match=r"1 of 3 runs failed, first that of seed 1 \(.*no luck.*at env step 204"):
        train(tmp_path / "arm", (0, 1, 2), **changes)
    assert RunDirectory(member_of(tmp_path / "arm", 1)).read_result() is None
    arm.resume(tmp_path / "arm")
    train(tmp_path / "whole", (0, 1, 2), **changes)
    for seed in (0, 1, 2):
        assert outcome(tmp_path / "arm", seed) == outcome(tmp_path / "whole", seed)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"slots": 10**6}, "population.json is missing or damaged"),
        ({"seeds": [1, 1]}, "population.json is missing or damaged"),
        ({"seeds": ["x"]}, "population.json is missing or damaged"),
        ({"config": {"steps": -1}}, "population.json is missing or damaged"),
        ({"tracking_uri": "http://example.org"}, "tracked at http://example.org"),
    ],
)
def test_a_file_that_was_altered_is_refused(changes: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    plan_file.write(tmp_path / "arm", plan(tmp_path / "arm", (0, 1))._replace(slots=2))
    file = tmp_path / "arm" / plan_file.NAME
    content = json.loads(file.read_text())
    del content["sha256"]
    file.write_text(json.dumps(content | changes))
    with pytest.raises((Damaged, BadInput), match=sentence):
        arm.resume(tmp_path / "arm")


@pytest.mark.parametrize(
    ("text", "seeds"), [("0:3", (0, 1, 2)), ("4", (4,)), ("7,1:3,0", (7, 1, 2, 0)), (" 2 : 4 ", (2, 3))]
)
def test_seeds_are_ranges_and_lists(text: str, seeds: tuple[int, ...]) -> None:
    assert plan_file.parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "3:3", "a", "1,1", "0:3,2", "-1", "0:1e3", "0:99999999", "1:2:3", "9" * 30])
def test_what_names_no_seeds_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="--seeds is"):
        plan_file.parse_seeds(text)
