"""Learners that normalise, of every engine: each update is that of a plain learner on what was normalised by hand."""

from __future__ import annotations

import numpy as np
import pytest

from rlx2_ray.agents.engines import make_learner
from rlx2_ray.agents.learner import Learner
from rlx2_ray.networks.moments import Moments
from rlx2_ray.networks.policy import make_evaluation_policy, make_network
from rlx2_ray.networks.policy_file import policy_digest
from rlx2_ray.types import Batch, Floats
from tests.agents.small import ALGORITHMS, ENGINES, SPACES, random_batch, small_config

DRAWN = np.random.default_rng(0).standard_normal((50, 3))
SEEN = (np.array([100, 0.01, 7]) + np.array([3, 0.5, 0]) * DRAWN).astype(np.float32)


def raw(batch: Batch) -> Batch:
    """Its observations in the units of `SEEN`."""
    mean, std = SEEN.mean(axis=0)[:, None], SEEN.std(axis=0)[:, None]
    return batch._replace(
        observations=batch.observations * std + mean, next_observations=batch.next_observations * std + mean
    )


def by_hand(batch: Batch) -> Batch:
    """Normalised, number by number."""
    mean, variance = SEEN.mean(axis=0, dtype=np.float64), SEEN.var(axis=0, dtype=np.float64)
    scale = [1 / np.sqrt(each + 1e-8) if each >= 1e-8 else 1.0 for each in variance]

    def values(array: Floats, unit: int) -> Floats:
        moved = (array[..., unit, :] - np.float32(mean[unit])) * np.float32(scale[unit])
        return np.asarray(np.minimum(np.maximum(moved, -10), 10))

    parts = [batch.observations, batch.next_observations]
    observations, following = (np.stack([values(part, unit) for unit in range(3)], axis=-2) for part in parts)
    return batch._replace(observations=observations, next_observations=following)


def digest(learner: Learner) -> str:
    return policy_digest(learner.policy_weights().layers)


@ENGINES
@ALGORITHMS
def test_updates_are_those_of_what_was_normalised(engine: str, algo: str) -> None:
    on = small_config(algo, engine=engine, agent={"normalize_observations": True})
    ours, plain = make_learner(on, SPACES), make_learner(small_config(algo, engine=engine), SPACES)
    for piece in np.split(SEEN, [1, 20]):
        ours.observe(Moments.of(piece))
    for seed in range(12):  # with events of the topology
        batch = raw(random_batch(np.random.default_rng(seed)))
        ours.update(batch)
        plain.update(by_hand(batch))
    assert digest(ours) == digest(plain)

    restored = make_learner(on, SPACES)
    restored.restore(ours.state())
    assert policy_digest(*restored.policy_weights()) == policy_digest(*ours.policy_weights())


@ENGINES
@ALGORITHMS
def test_policies_follow_the_statistics(engine: str, algo: str) -> None:
    learner = make_learner(small_config(algo, engine=engine, agent={"normalize_observations": True}), SPACES)
    learner.observe(Moments.of(SEEN))
    acting, before = learner.acting_policy(), learner.acting_policy().action(SEEN[:5])
    learner.observe(Moments.of(SEEN + 1))
    now = make_evaluation_policy(algo, make_network(learner.policy_weights())).action(SEEN[:5])
    for policy in (acting, learner.evaluated_policy()):
        assert np.allclose(policy.action(SEEN[:5]), now, atol=1e-6)
        assert np.allclose(policy.action(SEEN[2]), now[2], atol=1e-6)
    assert not np.allclose(before, now, atol=1e-4)


@pytest.mark.parametrize("engine", ["sparse", "torch"])
def test_without_the_key_nothing_is_normalised_or_kept(engine: str) -> None:
    learner = make_learner(small_config("td3", engine=engine), SPACES)
    learner.observe(Moments.of(SEEN))
    assert learner.policy_weights().normalization is None
    state = learner.state()
    assert not [name for name in [*state.arrays, *state.values] if name.startswith("observed")]
