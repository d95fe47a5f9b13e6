"""Which environments are taken, and what is said of the others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rlx2_ray.config import EnvConfig
from rlx2_ray.envs import modules
from rlx2_ray.envs.make import make_env, probe_spaces
from rlx2_ray.types import BadInput, Spaces
from tests.envs.environments import BAD, TOY

SENTENCE = r"[^\n]*: [^\n]*\.$"


def test_spaces_are_flattened() -> None:
    assert probe_spaces(EnvConfig(id=TOY)) == Spaces(4, 2, (-2.0, 0.0), (1.0, 10.0))


@pytest.mark.parametrize(
    ("env_id", "sizes"), [("InvertedPendulum-v5", (4, 1)), ("Hopper-v5", (11, 3)), ("HalfCheetah-v5", (17, 6))]
)
def test_spaces_of_mujoco(env_id: str, sizes: tuple[int, int]) -> None:
    assert probe_spaces(EnvConfig(id=env_id))[:2] == sizes


@pytest.mark.parametrize(
    ("spaces", "problem"),
    [
        ("discrete action", r"whose actions are Discrete\(3\), not continuous"),
        ("unbounded action", "whose actions are unbounded"),
        ("sequence observation", "whose observations are Sequence"),
    ],
)
def test_other_spaces_are_refused(spaces: str, problem: str) -> None:
    with pytest.raises(BadInput, match=rf"^env\.id is '{BAD}', {problem}{SENTENCE}"):
        probe_spaces(EnvConfig(id=BAD, kwargs={"spaces": spaces}))


@pytest.mark.parametrize(
    ("env_id", "kwargs"),
    [
        ("NoSuchEnvironment-v0", {}),
        ("Hopper-v99", {}),
        ("no_such_module:Hopper-v5", {}),
        ("not an id", {}),
        (TOY, {"no_such_argument": 1}),
    ],
)
def test_what_cannot_be_made_is_refused_with_the_reason(env_id: str, kwargs: dict[str, int]) -> None:
    modules.trust(modules.modules_of(EnvConfig(id=env_id)))
    with pytest.raises(BadInput, match=rf"^env\.id is '{env_id}', which gymnasium cannot make \(.+\){SENTENCE}"):
        make_env(EnvConfig(id=env_id, kwargs=kwargs))


UNSTABLE = """
import math
from rlx2_ray.config import EnvConfig
from rlx2_ray.envs.make import make_env
env = make_env(EnvConfig(id="Hopper-v5"))
{prelude}
env.reset(seed=0)
env.unwrapped.data.qvel[0] = math.nan
env.step(env.action_space.sample())
"""


@pytest.mark.parametrize(
    ("prelude", "files"),
    [("", []), ("import mujoco; mujoco.set_mju_user_warning(None)", ["MUJOCO_LOG.TXT"])],
    ids=["as made", "as MuJoCo does by default"],
)
def test_mujoco_warnings_leave_no_file(tmp_path: Path, prelude: str, files: list[str]) -> None:
    subprocess.run([sys.executable, "-c", UNSTABLE.format(prelude=prelude)], cwd=tmp_path, check=True)
    assert [path.name for path in tmp_path.iterdir()] == files


def test_a_render_mode_that_opens_a_window_is_refused() -> None:
    with pytest.raises(BadInput, match=rf"^env\.kwargs\.render_mode is 'human', which opens a window{SENTENCE}"):
        probe_spaces(EnvConfig(id="InvertedPendulum-v5", kwargs={"render_mode": "human"}))


def test_the_render_mode_that_is_asked_for_wins_over_the_configured_one() -> None:
    config = EnvConfig(id="Pendulum-v1", kwargs={"render_mode": "rgb_array_list"})
    assert [make_env(config, mode).render_mode for mode in (None, "rgb_array")] == ["rgb_array_list", "rgb_array"]
