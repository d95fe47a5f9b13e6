"""Values of env.kwargs: each kind is kept, or refused in a sentence."""

from __future__ import annotations

import datetime
import json
import math
from typing import Any

import numpy as np
import pytest

from rlx2_ray.config import ExperimentConfig, resolve
from rlx2_ray.config.plain_values import DEEPEST
from rlx2_ray.types import BadInput


def config(value: Any) -> ExperimentConfig:
    return resolve({"env": {"kwargs": {"x": value}}})


def test_infinities_and_null_are_three_values() -> None:
    configs = [config(value) for value in (math.inf, -math.inf, None, "inf", "Infinity")]
    assert [each.env.kwargs["x"] for each in configs] == [math.inf, -math.inf, None, "inf", "Infinity"]
    assert len({each.hash for each in configs}) == 5


def test_hashes_without_them_are_those_of_earlier_versions() -> None:
    assert config({"a": [1, 2.5, None, True, "é"]}).hash == "3434ff8c4159e063"
    assert resolve({}).hash == "12e648796e7cecb0"


def test_what_equals_a_plain_value_becomes_it() -> None:
    kept = config({"a": (1, 2), "b": np.float64(0.5)})
    assert kept == config({"a": [1, 2], "b": 0.5})
    assert kept.hash == config({"a": [1, 2], "b": 0.5}).hash
    assert json.loads(json.dumps(kept.env.kwargs)) == kept.env.kwargs


def nested(levels: int) -> Any:
    return [] if levels == 0 else [nested(levels - 1)]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (math.nan, r"env\.kwargs\.x is nan, which equals nothing"),
        ([1, {"y": math.nan}], r"env\.kwargs\.x\[1\]\.y is nan"),
        (datetime.date(2024, 1, 1), r"env\.kwargs\.x is datetime\.date\(2024, 1, 1\), of type date"),
        ({1, 2}, r"of type set"),
        (b"x", r"of type bytes"),
        (np.zeros(2), r"of type ndarray"),
        ({1: "a"}, r"env\.kwargs\.x has the key 1, which is no text: put it in quotes"),
        ("\ud800", r"no valid Unicode"),
        (10**400, r"more than 300 digits"),
        (nested(DEEPEST + 1), r"nested more than 50 deep"),
    ],
)
def test_what_no_file_brings_back_is_refused(value: Any, problem: str) -> None:
    with pytest.raises(BadInput, match=rf"{problem}.*\.$"):
        config(value)


def test_keys_of_kwargs_are_texts() -> None:
    with pytest.raises(BadInput, match=r"^env\.kwargs has the key True, which is no text: put it in quotes\.$"):
        resolve({"env": {"kwargs": {True: 1}}})
