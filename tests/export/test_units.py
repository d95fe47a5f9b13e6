"""Whole-number actions, bounds far from zero, and bounds that are equal: one rule for the trainer and all its files."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box

from rlx2_ray.config import EnvConfig
from rlx2_ray.envs.lane import EnvLane
from rlx2_ray.envs.make import probe_spaces
from rlx2_ray.export import c_compiler, c_export, onnx_export
from rlx2_ray.export.c_reader import read_source
from rlx2_ray.export.onnx_model import read_model
from rlx2_ray.networks import policy_reader
from rlx2_ray.networks.policy_file import PolicyFile, load_policy, save_policy
from rlx2_ray.types import BadInput, Floats
from tests.export.policies import random_policy, trainers_actions

ID = f"{__name__}:Acted-v0"
SIZES = [4, 16, 2]
BOUNDS = {
    "whole numbers": ([0, -3], [4, 90], "int32"),
    "bytes": ([0, 0], [255, 1], "uint8"),
    "pascal": ([101000, -1], [101325, 1], "float32"),
    "kelvin": ([293.15, 0], [293.25, 1], "float32"),
    "kelvin in double": ([293.15, -1], [293.25, 1], "float64"),
    "equal": ([2, -1], [2, 1], "float32"),
}
Act = Callable[[PolicyFile, Path, Floats], Any]


class Acted(gymnasium.Env[Any, Any]):
    """Refuses actions that its space does not contain, and keeps those it got."""

    metadata = {"render_modes": []}
    observation_space = Box(-1, 1, (SIZES[0],))

    def __init__(self, bounds: str) -> None:
        low, high, dtype = BOUNDS[bounds]
        self.action_space = Box(np.array(low, dtype), np.array(high, dtype), dtype=np.dtype(dtype))
        self.actions: list[Any] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        return np.zeros(SIZES[0], np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action), action
        self.actions.append(action)
        return np.zeros(SIZES[0], np.float32), 0.0, False, False, {}


gymnasium.register("Acted-v0", Acted)


def executed(bounds: str, actions: Floats) -> Any:
    """What the environment gets for actions in [-1, 1]."""
    lane = EnvLane(EnvConfig(id=ID, kwargs={"bounds": bounds}), 0, "environment")
    for action in actions:
        lane.step(action)
    return np.array(lane.env.unwrapped.actions)  # type: ignore[attr-defined]


@pytest.mark.parametrize("bounds", BOUNDS)
def test_environment_gets_all_that_its_space_has(bounds: str) -> None:
    low, high, dtype = BOUNDS[bounds]
    values = np.linspace(-1, 1, 1000, dtype=np.float32)
    taken = executed(bounds, np.stack([values, values], axis=1))
    assert taken.dtype == dtype
    assert taken.min(axis=0).tolist() == np.array(low, dtype).tolist()
    assert taken.max(axis=0).tolist() == np.array(high, dtype).tolist()
    if np.dtype(dtype).kind in "iu":
        assert sorted(set(taken[:, 0].tolist())) == list(range(int(low[0]), int(high[0]) + 1))


def test_actions_are_rounded_to_the_nearest() -> None:
    values = np.array([-1, -0.76, -0.74, -0.26, 0, 0.24, 0.74, 0.76, 1], np.float32)
    assert executed("whole numbers", np.stack([values, values], 1))[:, 0].tolist() == [0, 0, 1, 1, 2, 2, 3, 4, 4]


def by_onnx(policy: PolicyFile, folder: Path, observations: Floats) -> Any:
    onnx_export.write(policy, folder / "policy.onnx")
    return read_model(folder / "policy.onnx").act(observations)


def by_c(policy: PolicyFile, folder: Path, observations: Floats) -> Any:
    c_export.write(policy, folder / "policy.c", None)
    compiler = c_compiler.find_compiler()
    if compiler is None:
        pytest.skip("there is no C compiler")
    strict = [compiler[0], "-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsanitize=undefined"]
    with c_compiler.compiled(strict, read_source(folder / "policy.c")) as act:
        return act(observations)


def by_tables(policy: PolicyFile, folder: Path, observations: Floats) -> Any:
    c_export.write(policy, folder / "policy.c", None)
    return read_source(folder / "policy.c").act(observations)


def by_pyfunc(policy: PolicyFile, folder: Path, observations: Floats) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's own models have types that it warns of
        from rlx2_ray.tracking.pyfunc import SparsePolicy
    save_policy(folder / "policy.safetensors", policy)
    model = SparsePolicy()
    artifacts = {"policy": str(folder / "policy.safetensors"), "reader": policy_reader.__file__}
    model.load_context(SimpleNamespace(artifacts=artifacts))
    return model.predict(None, observations)


FILES = {"onnx": by_onnx, "c": by_c, "tables of c": by_tables, "pyfunc": by_pyfunc}


def policy_for(bounds: str) -> PolicyFile:
    env = EnvConfig(id=ID, kwargs={"bounds": bounds})
    return random_policy("td3", SIZES, [1, 1])._replace(spaces=probe_spaces(env), env=env.fields())


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("bounds", BOUNDS)
def test_files_give_what_the_environment_gets(bounds: str, file: str, tmp_path: Path) -> None:
    policy = policy_for(bounds)
    observations = 3 * np.random.default_rng(0).standard_normal((500, SIZES[0]), dtype=np.float32)
    expected = executed(bounds, trainers_actions(policy, observations))
    actions = FILES[file](policy, tmp_path, observations)
    assert actions.dtype == np.float32
    if policy.spaces.action_is_integer:
        assert np.mean(actions != expected) < 0.01, "but for halves, which rounding decides"
        assert np.array_equal(actions, np.floor(actions))
    else:
        span = np.maximum(np.subtract(policy.spaces.action_high, policy.spaces.action_low), 1e-9)
        steps = np.spacing(np.abs(expected).astype(np.float32))
        assert (np.abs(actions - expected) <= 1e-5 * span + steps).all()


@pytest.mark.parametrize(("file", "value"), [*((file, np.nan) for file in FILES), ("c", np.inf), ("c", -np.inf)])
def test_sensor_that_gives_no_number_is_not_hidden(file: str, value: float, tmp_path: Path) -> None:
    """Each of them alone, also where no active weight reads it: the trainer refuses such an observation."""
    policy = random_policy("td3", [4, 8, 2], [0.3, 0.5])
    observations = np.where(np.eye(4), np.float32(value), np.float32(0.5))
    assert np.isnan(FILES[file](policy, tmp_path, observations)).all()


def test_whole_numbers_of_a_sensor_that_gives_none_are_none(tmp_path: Path) -> None:
    observations = np.where(np.eye(4), np.float32(np.nan), np.float32(0.5))
    assert np.isnan(by_c(policy_for("whole numbers"), tmp_path, observations)).all()


def test_header_says_what_the_numbers_are(tmp_path: Path) -> None:
    for bounds, is_whole in (("whole numbers", True), ("pascal", False)):
        c_export.write(policy_for(bounds), tmp_path / f"{is_whole}.c", None)
        header = (tmp_path / f"{is_whole}.h").read_text()
        assert ("is a whole number, the nearest" in header) == is_whole
        assert "every action is NaN" in header


def test_policy_file_keeps_that_actions_are_whole_numbers(tmp_path: Path) -> None:
    for bounds, is_whole in (("whole numbers", True), ("kelvin", False)):
        save_policy(tmp_path / bounds, policy_for(bounds))
        assert load_policy(tmp_path / bounds).spaces == policy_for(bounds).spaces
        assert (b"action_is_integer" in (tmp_path / bounds).read_bytes()) == is_whole, "others stay what they were"


@pytest.mark.parametrize(
    ("low", "high", "dtype"), [(-np.inf, np.inf, np.int32), (0, 2**40, np.int64), (-1e300, 1e300, np.float64)]
)
def test_bounds_that_are_none_are_refused(low: float, high: float, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Acted, "__init__", lambda env: setattr(env, "action_space", Box(low, high, (1,), dtype)))
    with pytest.raises(BadInput, match="whose actions are unbounded"):
        probe_spaces(EnvConfig(id=ID))
