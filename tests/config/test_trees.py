"""Nested mappings and their dotted keys."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlx2_ray.config.trees import Tree, at, flatten, unflatten

KEYS = st.text("abc", min_size=1, max_size=2)
TREES = st.recursive(
    st.dictionaries(KEYS, st.integers(), max_size=3),
    lambda trees: st.dictionaries(KEYS, st.one_of(st.integers(), trees), max_size=3),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("tree", "flat"),
    [
        ({}, {}),
        ({"a": 1}, {"a": 1}),
        ({"a": {"b": 1, "c": {"d": 2}}, "e": None}, {"a.b": 1, "a.c.d": 2, "e": None}),
        ({"env": {"id": "x", "kwargs": {}}}, {"env.id": "x", "env.kwargs": {}}),
    ],
)
def test_dotted_keys_of_a_tree(tree: Tree, flat: Tree) -> None:
    assert flatten(tree) == flat


@given(TREES)
def test_flat_tree_is_the_tree_again(tree: Tree) -> None:
    assert unflatten(flatten(tree)) == tree


def test_of_two_values_for_one_place_the_later_wins() -> None:
    assert unflatten({"a.b": 1, "a.c": 2, "a": {"b": 3}}) == {"a": {"b": 3, "c": 2}}


@given(TREES)
def test_flat_values_are_those_at_their_keys(tree: Tree) -> None:
    missing = object()
    assert all(at(tree, key, missing) == value for key, value in flatten(tree).items())


@pytest.mark.parametrize("key", ["b", "a.c", "a.b.c"])
def test_key_that_is_not_there_has_the_default(key: str) -> None:
    tree: dict[str, Any] = {"a": {"b": 1}}
    assert at(tree, key, "default") == "default"
