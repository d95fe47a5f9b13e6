"""Any configuration comes back equal from every place that a run keeps it in, or is refused before the run begins."""

from __future__ import annotations

import datetime
import json
import math
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rlx2_ray.config import ExperimentConfig, load, load_stored, resolve, to_yaml
from rlx2_ray.distributed.launch import train as train_on_runtime
from rlx2_ray.experiment import session
from rlx2_ray.networks.policy_file import PolicyFile, load_policy, save_policy
from rlx2_ray.report.record.configs import config_of
from rlx2_ray.runs import archive
from rlx2_ray.runs.archived_run import parse, to_bytes
from rlx2_ray.runs.directory import RunDirectory, Tracking
from rlx2_ray.tracking.params import LONGEST_KEY, from_params, to_params
from rlx2_ray.types import BadInput, Spaces
from tests.networks.networks import random_layers
from tests.support.runs import RESULT, database_uri, small_config, tracked_run

WORDS = (
    "1e-2",
    "yes",
    "None",
    "null",
    "012",
    "inf",
    ".inf",
    "2024-01-01",
    "12:30",
    "a+b",
    "a.b",
    "",
    " ",
    "#",
    "é",
    "x: y",
)
TEXTS = st.one_of(st.sampled_from(WORDS), st.text(max_size=12))
NUMBERS = st.one_of(st.integers(), st.floats(allow_nan=False))
PLAIN = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=12,
)
KEPT = st.dictionaries(TEXTS, PLAIN, max_size=4)
STRANGE = st.one_of(
    st.just(float("nan")),
    st.dates(),
    st.binary(max_size=3),
    st.sets(st.integers(), max_size=2),
    st.tuples(st.integers(), st.text(max_size=3)),
    st.dictionaries(st.one_of(st.integers(), st.none(), st.booleans()), st.integers(), min_size=1, max_size=2),
)
ANY = st.dictionaries(TEXTS, st.one_of(PLAIN, STRANGE, st.lists(STRANGE, max_size=2)), max_size=4)
TYPED = st.fixed_dictionaries(
    {},
    optional={
        "algo": st.sampled_from(["td3", "sac"]),
        "seed": st.integers(0, 10**15),
        "steps": st.integers(2_000, 10**9),
        "agent": st.fixed_dictionaries({}, optional={"tau": st.floats(1e-300, 1), "batch_size": st.integers(1, 9_999)}),
        "network": st.fixed_dictionaries({"hidden": st.lists(st.integers(1, 999), min_size=1, max_size=4)}),
        "sparsity": st.fixed_dictionaries({"policy": st.floats(0, 0.99)}),
        "topology": st.fixed_dictionaries({"drop_fraction": st.floats(0, 1)}),
    },
)
EVALUATION = {"env_steps": 1, "return_mean": 1.0, "return_std": 0.0}
POINT = {**EVALUATION, "learner_steps": 0}


def same(one: ExperimentConfig, other: ExperimentConfig) -> bool:
    """To the types and the order of keys, which `repr` shows and `==` does not."""
    return repr(one) == repr(other) and one.hash == other.hash


def check_round_trips(config: ExperimentConfig, folder: Path) -> None:
    file = folder / "config.yaml"
    file.write_text(to_yaml(config), encoding="utf-8")
    assert same(resolve(load(file)), config)
    assert same(resolve(load_stored(file)), config)

    content = to_bytes(config.model_dump(mode="json"), {**RESULT, "evaluations": [EVALUATION]}, [POINT], folder)
    archived = parse(content, folder).config
    assert same(archived, config)
    assert archive.identity(archived) == archive.identity(config)

    params = to_params(config.model_dump(mode="json"))
    assert all(len(key) <= LONGEST_KEY for key in params)
    assert config_of(params) == config
    assert config_of(params).hash == config.hash

    policy = folder / "policy.safetensors"
    save_policy(policy, PolicyFile(random_layers(2, 1), "td3", config.env.fields(), Spaces(2, 1, (-1.0,), (1.0,))))
    assert repr(load_policy(policy).env) == repr(config.env.fields())


@settings(max_examples=150)
@given(kwargs=KEPT, rest=TYPED)
def test_plain_values_come_back(kwargs: dict[str, Any], rest: dict[str, Any], tmp_path_factory: Any) -> None:
    config = resolve({**rest, "env": {"kwargs": kwargs}})
    assert repr(config.env.kwargs) == repr(kwargs)
    check_round_trips(config, tmp_path_factory.mktemp("trip"))


@settings(max_examples=100)
@given(kwargs=ANY)
def test_whatever_is_not_refused_comes_back(kwargs: dict[str, Any], tmp_path_factory: Any) -> None:
    with suppress(BadInput):
        config = resolve({"env": {"kwargs": kwargs}})
        check_round_trips(config, tmp_path_factory.mktemp("trip"))


@given(one=PLAIN, other=PLAIN)
def test_other_values_have_another_hash(one: Any, other: Any) -> None:
    assume(json.dumps(one, sort_keys=True) != json.dumps(other, sort_keys=True))
    first, second = (resolve({"env": {"kwargs": {"x": value}}}) for value in (one, other))
    assert first.hash != second.hash
    assert archive.identity(first) != archive.identity(second)


def test_mlflow_has_names_that_it_takes() -> None:
    kwargs = {"plain": 1, "a+b": {"c": 2}, "deep": {"k" * 300: 3, "é": 4}}
    assert to_params({"env": {"kwargs": kwargs}}) == {"env.kwargs": str(kwargs)}
    kwargs = {"plain": 1, "inner": {"a+b": 2}, "deep": {"k" * 300: 3}, "none": None, "text": "None"}
    params = to_params({"env": {"kwargs": kwargs}})
    assert params == {
        "env.kwargs.plain": "1",
        "env.kwargs.inner": "{'a+b': 2}",
        "env.kwargs.deep": f"{{'{'k' * 300}': 3}}",
        "env.kwargs.none": "null",
        "env.kwargs.text": "'None'",
    }
    assert from_params(params) == {"env": {"kwargs": kwargs}}


def test_a_parameter_that_was_cut_is_no_value() -> None:
    params = to_params({"env": {"kwargs": {"x": "y" * 7000}}})
    with pytest.raises(BadInput, match=r"^env\.kwargs\.x is longer than MLflow takes: .*\.$"):
        from_params(params)


def test_a_date_in_a_file_is_the_text_that_it_was(tmp_path: Path) -> None:
    """Files of sweeps of earlier versions may have dates, which their runs had as texts."""
    file = tmp_path / "sweep.yaml"
    file.write_text("env: {kwargs: {start: 2024-01-01}}\n")
    assert load_stored(file)["env"]["kwargs"]["start"] == datetime.date(2024, 1, 1).isoformat()


def test_a_run_with_infinity_resumes_and_is_archived_as_itself(tmp_path: Path) -> None:
    """A hopper that may jump as high as it likes."""
    z_range = [0.7, math.inf]
    changes = {"env__id": "Hopper-v5", "env__kwargs": {"healthy_z_range": z_range}, "steps": 300}
    directory = tmp_path / "run"
    tracking = Tracking(database_uri(tmp_path), "tests")
    training = session.begin(small_config(**changes), directory, tracking, train_on_runtime, session.PERSON)
    next(training)
    training.close()
    session.resume(directory, train_on_runtime)
    run = RunDirectory(directory)
    assert run.open()[0].env.kwargs == {"healthy_z_range": z_range}
    assert load_policy(run.policy_file).env["kwargs"] == {"healthy_z_range": z_range}
    assert config_of(tracked_run(directory).data.params).env.kwargs == {"healthy_z_range": z_range}
    file = archive.add(directory, tmp_path / "archive")
    assert archive.find(small_config(**changes), tmp_path / "archive") == file
    for other in (None, -math.inf):
        changes["env__kwargs"] = {"healthy_z_range": [0.7, other]}
        assert archive.find(small_config(**changes), tmp_path / "archive") is None
