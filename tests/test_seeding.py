"""Random streams: named, independent, and savable."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from rlx2_ray.seeding import derive_seed, generator_state, make_generator, restore_generator

# Of one name, as many indices everywhere: a missing index counts as 0.
PATHS = [(0, "a", 0, 0), (1, "a", 0, 0), (0, "b", 0, 0), (0, "a", 1, 0), (0, "a", 0, 1), (0, "c"), (1, "c"), (0, "d")]


def test_every_path_is_a_stream_of_its_own() -> None:
    assert len({make_generator(*path).random() for path in PATHS}) == len(PATHS)
    assert len({derive_seed(*path) for path in PATHS}) == len(PATHS)


def test_a_path_is_always_the_same_stream() -> None:
    for path in PATHS:
        assert make_generator(*path).random() == make_generator(*path).random()
        assert derive_seed(*path) == derive_seed(*path)


def test_streams_stay_what_they_are() -> None:
    # A changed derivation would silently make every published run irreproducible.
    assert derive_seed(0, "environment", 0, 0) == 1940234547
    assert make_generator(0, "policy").integers(1_000_000) == 513609


@given(st.integers(0, 2**40), st.text(max_size=5), st.lists(st.integers(0, 2**40), max_size=3))
def test_derived_seeds_suit_other_libraries(seed: int, name: str, indices: list[int]) -> None:
    assert 0 <= derive_seed(seed, name, *indices) < 2**31


@given(st.integers(0, 99), st.integers(0, 7))
def test_a_state_survives_json(seed: int, draws: int) -> None:
    generator = make_generator(seed, "x")
    generator.integers(2**20, size=draws, dtype="uint32")  # an odd number of halves leaves one in store
    restored = restore_generator(json.loads(json.dumps(generator_state(generator))))
    expected = generator.integers(2**20, size=5, dtype="uint32").tolist(), generator.normal()
    assert (restored.integers(2**20, size=5, dtype="uint32").tolist(), restored.normal()) == expected
