"""Philox against its published vectors and against itself in whole numbers; what is drawn, against its distribution."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rlx2_ray.agents.population.philox import below, key_of, normals, philox, words

# Random123's kat_vectors: philox4x32 10, counter, key, result.
KNOWN = {
    "zeros": ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    "ones": ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    "pi": (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
}


@pytest.mark.parametrize("name", KNOWN)
def test_the_published_vectors(name: str) -> None:
    counter, key, expected = KNOWN[name]
    drawn = philox(tuple(map(torch.tensor, counter)), tuple(map(torch.tensor, key)))  # type: ignore[arg-type]
    assert tuple(map(int, drawn)) == expected


def keys(*seeds: int) -> torch.Tensor:
    return torch.from_numpy(np.stack([key_of(seed, "noise") for seed in seeds]))


def test_what_a_member_draws_depends_on_nobody_else() -> None:
    counters = torch.tensor([7, 2**40, 7])
    together = words(keys(1, 2, 3), counters, 5)
    for slot, seed in enumerate((1, 2, 3)):
        assert torch.equal(words(keys(seed), counters[slot : slot + 1], 5)[0], together[slot])
    assert len(set(together.flatten().tolist())) == together.numel()


def test_every_counter_and_stream_draws_something_else() -> None:
    assert not np.array_equal(key_of(1, "noise"), key_of(1, "replay"))
    replays = [normals(keys(1, 2), torch.tensor([counter, counter]), 6) for counter in range(5)]
    assert len({tuple(row.tolist()) for each in replays for row in each}) == 10


def test_normal_numbers_have_the_moments_of_a_normal_distribution() -> None:
    drawn = normals(keys(1), torch.tensor([3]), 200_000)[0].double()
    assert drawn.mean().abs() < 0.01
    assert (drawn.var() - 1).abs() < 0.02
    assert (drawn.pow(4).mean() - 3).abs() < 0.1
    assert ((drawn < 1).double().mean() - 0.8413).abs() < 0.005


def test_whole_numbers_are_uniform_below_each_size() -> None:
    sizes = torch.tensor([7, 1, 2**25])
    drawn = below(keys(1, 2, 3), torch.tensor([1, 1, 1]), sizes, 70_000)
    counts = np.bincount(drawn[0].numpy(), minlength=7)
    assert len(counts) == 7
    assert ((counts - 10_000) ** 2 / 10_000).sum() < 22.5  # chi-squared, 6 degrees: p = .001
    assert not drawn[1].any()
    assert drawn[2].min() >= 0
    assert drawn[2].max() < 2**25
    assert abs(float(drawn[2].double().mean()) / 2**24 - 1) < 0.01


def test_of_nothing_the_number_is_the_first() -> None:
    assert not below(keys(1), torch.tensor([1]), torch.tensor([0]), 9).any()
