"""Modules of environments: a file cannot have one imported, a person can, once and for all."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from rlx2_ray import remembered
from rlx2_ray.config import EnvConfig
from rlx2_ray.envs import modules
from rlx2_ray.envs.make import make_env
from rlx2_ray.types import BadInput
from tests.support.runs import environment

TASK = """
from pathlib import Path
import gymnasium
import numpy as np
Path(__file__).with_name("imported").touch()


class Task(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (4,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        return np.zeros(4, np.float32), {}

    def step(self, action):
        return np.zeros(4, np.float32), 1.0, True, False, {}


gymnasium.register("OwnTask-v0", Task, max_episode_steps=5)
"""
SMALL = [
    "--steps",
    "60",
    "--set",
    "network.hidden=[4]",
    "--set",
    "agent.warmup_steps=20",
    "--set",
    "agent.batch_size=8",
]
SMALL += ["--set", "evaluation.interval=30", "--set", "checkpoint.interval=30", "--set", "replay.min_capacity=10"]


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Somebody who has agreed to nothing yet; the folder of what they agree to."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv(modules.VARIABLE, raising=False)
    return tmp_path / "state" / "rlx2_ray"


def rlx2(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "own_tasks.py").write_text(TASK)
    variables = environment() | {"PYTHONPATH": f"{folder}:{environment().get('PYTHONPATH', '')}"}
    variables |= {"XDG_STATE_HOME": os.environ["XDG_STATE_HOME"]}
    variables.pop(modules.VARIABLE, None)
    command = [sys.executable, "-m", "rlx2_ray", *arguments]
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=300)


def test_file_has_its_module_imported_by_nobody_but_its_person(tmp_path: Path, person: Path) -> None:
    trained = rlx2(tmp_path, "train", "--env", "own_tasks:OwnTask-v0", "--out", "run", *SMALL)
    assert trained.returncode == 0, trained.stderr
    file = tmp_path / "own_tasks.py"
    assert (person / "plugins").read_text() == f"{file}\n", "what is typed is remembered, by its place"
    again = rlx2(tmp_path, "evaluate", "run", "--episodes", "1")
    assert again.returncode == 0, again.stderr
    assert f"{file} is imported, which you have allowed before" in again.stderr

    (person / "plugins").unlink()  # somebody else, who has received the directory
    (tmp_path / "imported").unlink()
    for arguments in (
        ["evaluate", "run"],
        ["evaluate", "run/policy.safetensors"],
        ["export", "run", "--format", "c", "--int8"],
    ):
        refused = rlx2(tmp_path, *arguments)
        assert refused.returncode == 2, refused.stderr
        assert f"to import it is to run its code: give --allow-module {file}" in refused.stderr
    assert not (tmp_path / "imported").exists()
    assert rlx2(tmp_path, "evaluate", "run", "--episodes", "1", "--allow-module", "own_tasks").returncode == 0
    assert (tmp_path / "imported").exists()
    assert rlx2(tmp_path, "evaluate", "run", "--episodes", "1").returncode == 0, "it is remembered"


@pytest.mark.parametrize(
    "env",
    [
        EnvConfig(id="antigravity:Hopper-v5"),
        EnvConfig(id="this.that:Hopper-v5"),
        EnvConfig(id="GymV26Environment-v0", kwargs={"env_id": "antigravity:Hopper-v5"}),
        EnvConfig(id="../evil:Hopper-v5"),
    ],
    ids=lambda env: env.id,
)
def test_module_that_nobody_has_named_is_not_imported(env: EnvConfig, person: Path) -> None:
    with pytest.raises(BadInput, match=r"is to run its code: give --allow-module"):
        make_env(env)
    assert "antigravity" not in sys.modules
    assert not person.exists()


def test_what_needs_no_import_needs_no_consent(person: Path) -> None:
    modules.check(EnvConfig(id="Hopper-v5"))
    modules.check(EnvConfig(id="json:Hopper-v5"))  # is there already


def test_what_is_remembered_is_the_persons_alone(person: Path) -> None:
    os.umask(0)
    try:
        modules.allow(["my_tasks", "my_tasks", "more.tasks"])
    finally:
        os.umask(0o022)
    file = person / "modules"
    assert (stat.S_IMODE(file.stat().st_mode), stat.S_IMODE(person.stat().st_mode)) == (0o600, 0o700)
    assert file.read_text() == "my_tasks\nmore.tasks\n"
    file.chmod(0o666)
    assert remembered.lines("modules") == [], "anybody could have written it"


def test_link_in_its_place_is_not_followed(person: Path, tmp_path: Path) -> None:
    person.mkdir(parents=True)
    (tmp_path / "victim").write_text("precious")
    (person / "modules").symlink_to(tmp_path / "victim")
    modules.allow(["my_tasks"])
    assert (tmp_path / "victim").read_text() == "precious"
    assert remembered.lines("modules") == []


def test_other_processes_get_what_this_one_is_allowed(person: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modules.allow(["my_tasks"])
    told = modules.allowed()
    monkeypatch.setenv("XDG_STATE_HOME", "/nowhere")
    monkeypatch.delenv(modules.VARIABLE)
    with pytest.raises(BadInput):
        modules.check(EnvConfig(id="my_tasks:Task-v0"))
    modules.trust(told)
    modules.check(EnvConfig(id="my_tasks:Task-v0"))


@pytest.mark.parametrize("name", ["", "../evil", "a b", "a,b", "x" * 3 + "."])
def test_what_is_no_name_of_a_module_is_refused(name: str, person: Path) -> None:
    with pytest.raises(BadInput, match="--allow-module is"):
        modules.allow([name])
    assert not person.exists()


@pytest.mark.parametrize(
    ("kwargs", "key"),
    [
        ({"frame_skip": 10**8}, "frame_skip"),
        ({"frame_skip": -1}, "frame_skip"),
        ({"width": -1}, "width"),
        ({"height": 10**6}, "height"),
        ({"max_geom": 2 * 10**9}, "max_geom"),
        ({"xml_file": "/dev/zero"}, "xml_file"),
        ({"render_mode": "human"}, "render_mode"),
    ],
)
@pytest.mark.parametrize("env_id", ["Hopper-v5", "Hopper"])
def test_arguments_that_hang_or_end_the_process_are_refused(kwargs: dict[str, object], key: str, env_id: str) -> None:
    with pytest.raises(BadInput, match=rf"^env\.kwargs\.{key} is "):
        make_env(EnvConfig(id=env_id, kwargs=kwargs))
