"""Environments of other packages, for real: trained, resumed to the bit, played and exported; docs/environments.md.

Each needs its package, and most need an older MuJoCo than the one that this project installs, so that they are run in
an environment of their own.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from rlx2_ray.cli.main import run
from rlx2_ray.config import EnvConfig
from rlx2_ray.envs import modules
from rlx2_ray.envs.make import probe
from rlx2_ray.networks.policy_file import load_policy, policy_digest
from rlx2_ray.runs.checkpoint import list_checkpoints
from tests.support.runs import resume, train

ANY_MUJOCO = ""


class Family(NamedTuple):
    env_id: str
    kwargs: dict[str, Any]
    size: int  # of an observation
    parts: dict[str, int]  # of one that is flattened, in order
    mujoco: str  # what its version begins with
    repeats: bool = True  # an episode by its seed


GOAL = {"achieved_goal": 3, "desired_goal": 3, "observation": 10}
MAZE = {"achieved_goal": 2, "desired_goal": 2, "observation": 4}
WALKER = {"height": 1, "orientations": 14, "velocity": 9}
REACH = {"env_name": "reach-v3-goal-observable", "seed": 0}
FAMILIES = {
    "DeepMind Control": Family("shimmy:dm_control/walker-walk-v0", {}, 24, WALKER, "3."),
    "Fetch": Family("gymnasium_robotics:FetchReachDense-v4", {}, 16, GOAL, "3.3."),
    "PointMaze": Family("gymnasium_robotics:PointMaze_UMazeDense-v3", {}, 8, MAZE, ANY_MUJOCO),
    "Adroit": Family("gymnasium_robotics:AdroitHandDoor-v1", {}, 39, {}, ANY_MUJOCO),
    "MetaWorld": Family("metaworld:Meta-World/goal_observable", REACH, 39, {}, "3.3."),
    "MetaWorld, goals at random": Family("metaworld:Meta-World/MT1", {"env_name": "reach-v3"}, 39, {}, "3.3.", False),
}
RUN = {"steps": 600, "agent__warmup_steps": 200, "evaluation__interval": 300, "evaluation__episodes": 1}
RUN |= {"checkpoint__interval": 300, "evaluation__deployed_episodes": 1, "env__time_limit": 120}
RUN |= {"agent__normalize_observations": True, "env__action_repeat": 2}


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> Family:
    family = FAMILIES[request.param]
    (module,) = modules.modules_of(EnvConfig(id=family.env_id))
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    if not version("mujoco").startswith(family.mujoco):
        pytest.skip(f"it needs mujoco {family.mujoco}x")
    modules.trust([module])
    return family


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the packages
def test_a_family_is_trained_resumed_played_and_exported(
    family: Family, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = EnvConfig(id=family.env_id, kwargs=family.kwargs)
    spaces, parts = probe(config)
    assert spaces.observation_size == family.size
    assert {part.key: part.size for part in parts} == family.parts
    whole, again = tmp_path / "whole", tmp_path / "again"
    result = train(whole, env__id=family.env_id, env__kwargs=family.kwargs, **RUN)
    assert len(result["evaluations"]) == 2

    shutil.copytree(whole, again)
    shutil.rmtree(list_checkpoints(again / "checkpoints")[-1])
    for name in ("result.json", "policy.safetensors"):
        (again / name).unlink()
    resume(again)
    digests = [policy_digest(*load_policy(each / "policy.safetensors").weights) for each in (whole, again)]
    assert (digests[0] == digests[1]) is family.repeats
    assert ("did not repeat its episode" in capsys.readouterr().err) is not family.repeats

    returns = []
    for kind in ("safetensors", "onnx", "c"):
        path = said(capsys, "export", str(whole), "--format", kind)["path"]
        returns.append(said(capsys, "evaluate", path, "--episodes", "1")["return_mean"])
    if family.repeats:  # contacts make much of a rounding
        assert returns == pytest.approx([returns[0]] * 3, rel=0.05, abs=0.5)


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    capsys.readouterr()
    assert run([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])
