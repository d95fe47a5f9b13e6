"""The tables of names: each is complete, and a configuration takes its names and no others."""

from __future__ import annotations

from typing import get_args

import pytest

from rlx2_ray.agents.engines import sparse_learners, torch_learners
from rlx2_ray.agents.evolution.make import EVOLUTIONS
from rlx2_ray.algorithms import ALGORITHMS
from rlx2_ray.config import ExperimentConfig, Section
from rlx2_ray.methods import EVENTS, METHODS, NEEDS
from rlx2_ray.topology_rules import TOPOLOGY_RULES


@pytest.mark.parametrize(
    ("section", "key", "table"),
    [
        (ExperimentConfig, "algo", ALGORITHMS),
    ],
)
def test_a_configuration_takes_the_names_of_the_table(
    section: type[Section], key: str, table: dict[str, object]
) -> None:
    assert get_args(section.model_fields[key].annotation) == tuple(table)


def test_every_algorithm_has_a_learner_on_every_engine() -> None:
    assert set(sparse_learners()) == set(torch_learners()) == set(ALGORITHMS)


def test_every_topology_rule_has_an_evolution_and_every_method_a_rule() -> None:
    assert set(EVOLUTIONS) == set(TOPOLOGY_RULES)
    assert {method["topology"]["rule"] for method in METHODS.values()} == set(TOPOLOGY_RULES)


def test_what_is_said_of_methods_is_said_of_those_that_there_are() -> None:
    assert set(EVENTS) | set(NEEDS) <= set(METHODS)
