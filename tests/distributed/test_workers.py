"""What the actors do, done in this process: plain objects that call each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlx2_ray.agents.engines import make_learner
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.distributed.evaluation_worker import EvaluationWorker
from rlx2_ray.distributed.learner_worker import CHUNK_BATCHES, LearnerWorker
from rlx2_ray.distributed.metric_means import MetricMeans
from rlx2_ray.distributed.replay_shard import ReplayShard
from rlx2_ray.distributed.rollout_worker import RolloutWorker
from rlx2_ray.distributed.union import split_batches
from rlx2_ray.envs.lane import EnvLane
from rlx2_ray.envs.make import probe_spaces
from rlx2_ray.experiment.evaluation import STREAM, evaluate
from rlx2_ray.networks.policy import densify, make_policy
from rlx2_ray.networks.policy_file import policy_digest
from rlx2_ray.types import Batch, Fragment, RunFailed, Spaces
from tests.support.runs import small_config
from tests.support.strange_envs import MODULE

DRIFT = f"{MODULE}:Drift-v0"
LANES, SHARDS = 4, 2


def drift_config(**changes: Any) -> ExperimentConfig:
    return small_config(env__id=DRIFT, runtime__envs_per_rollout=LANES, target__n_step_start=20, **changes)


def spaces_of(config: ExperimentConfig) -> Spaces:
    return probe_spaces(config.env)


class Ready:
    """A batch that is there already."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    def get(self) -> Batch:
        return self._batch


class LocalShard:
    """A shard without a process; remembers what went in and what was asked for."""

    def __init__(self, shard: ReplayShard) -> None:
        self.shard = shard
        self.fragments: list[Fragment] = []
        self.requests: list[tuple[int, int, bool]] = []
        self.answers: list[Batch] = []

    def insert(self, fragments: list[Fragment]) -> int:
        self.fragments += fragments
        return self.shard.insert(fragments)

    def sample(self, windows: int, n_step: int, every_step: bool) -> Ready:
        self.requests.append((windows, n_step, every_step))
        self.answers.append(self.shard.sample(windows, n_step, every_step))
        return Ready(self.answers[-1])


def make_shards(config: ExperimentConfig) -> dict[int, LocalShard]:
    return {
        shard: LocalShard(ReplayShard(config, spaces_of(config), range(shard, LANES, SHARDS), LANES))
        for shard in range(SHARDS)
    }


def filled_shards(config: ExperimentConfig) -> tuple[list[LocalShard], list[int]]:
    """Shards with the experience of 200 random steps, and their sizes."""
    shards = make_shards(config)
    collected = RolloutWorker(config, range(LANES), shards, 0).collect(200, 0, 0, None)
    return list(shards.values()), [collected.sizes[shard] for shard in range(SHARDS)]


# Rollout


def test_rollout_shares_its_steps_out_and_each_lane_lives_on_one_shard() -> None:
    config = drift_config()
    shards = make_shards(config)
    rollout = RolloutWorker(config, range(LANES), shards, 0)
    assert rollout.collect(10, 0, 0, None) == (10, {0: 5, 1: 5})  # lanes 0 to 3 take 2, 2, 3, 3
    assert rollout.collect(10, 10, 0, None).sizes == {0: 10, 1: 10}
    for shard, local in shards.items():
        assert {fragment.lane % SHARDS for fragment in local.fragments} == {shard}
    times = [
        time
        for local in shards.values()
        for fragment in local.fragments
        for time in range(fragment.time, fragment.time + len(fragment.rewards))
    ]
    assert sorted(times) == list(range(20)), "every env step of the run has one time"


def test_rollout_without_weights_acts_at_random_and_with_weights_near_its_policy() -> None:
    config = drift_config(agent__exploration_noise=0.05)
    shards = make_shards(config)
    rollout = RolloutWorker(config, range(LANES), shards, 0)
    rollout.collect(100, 0, 0, None)
    random = np.concatenate([fragment.actions for fragment in shards[0].fragments])
    assert np.ptp(random) > 1.5
    for local in shards.values():
        assert all(np.array_equal(each.actions, each.policy_actions) for each in local.fragments)
        local.fragments.clear()

    layers = make_learner(config, spaces_of(config)).policy_layers()
    rollout.collect(100, 100, 1, layers)
    policy = make_policy("td3", densify(layers), 0.0, "mean")
    for fragment in shards[0].fragments:
        assert np.allclose(fragment.policy_actions, policy.action(fragment.observations[:-1]), atol=1e-6)
        assert 0 < np.abs(fragment.actions - fragment.policy_actions).max() < 0.5


def test_rollout_takes_up_weights_of_a_new_version_only() -> None:
    config = drift_config(agent__exploration_noise=0.0)
    shards = make_shards(config)
    rollout = RolloutWorker(config, range(LANES), shards, 0)
    first, second = (make_learner(drift_config(seed=seed), spaces_of(config)).policy_layers() for seed in (0, 1))

    def actions(version: int, layers: Any) -> tuple[float, float]:
        shards[0].fragments.clear()
        rollout.collect(LANES, 0, version, layers)
        fragment = shards[0].fragments[0]
        expected = make_policy("td3", densify(layers), 0.0, "mean").action(fragment.observations[0])
        return float(fragment.actions[0, 0]), pytest.approx(float(expected[0]), abs=1e-6)

    got, expected = actions(1, first)
    assert got == expected
    got, expected = actions(1, second)
    assert got != expected
    got, expected = actions(2, second)
    assert got == expected


def test_resumed_rollout_begins_other_episodes() -> None:
    config = drift_config()
    first, resumed = make_shards(config), make_shards(config)
    RolloutWorker(config, range(LANES), first, 0).collect(LANES, 0, 0, None)
    RolloutWorker(config, range(LANES), resumed, 500).collect(LANES, 500, 0, None)
    before, after = first[0].fragments[0], resumed[0].fragments[0]
    assert after.starts_episode
    assert not np.array_equal(before.observations[0], after.observations[0])
    assert not np.array_equal(before.actions, after.actions)


def test_rollout_names_the_step_at_which_an_environment_broke() -> None:
    config = small_config(env__id=f"{MODULE}:Broken-v0", env__kwargs={"what": "reward", "step": 4})
    rollout = RolloutWorker(config, [0], make_shards(config), 0)
    with pytest.raises(RunFailed, match="inf as reward at env step 1004"):
        rollout.collect(10, 1000, 0, None)


# Shard


def test_shards_divide_the_capacity_by_lanes() -> None:
    config = drift_config(replay__max_capacity=100, replay__min_capacity=10)
    _, sizes = filled_shards(config)
    assert sizes == [50, 50]
    uneven = ReplayShard(config, spaces_of(config), [0, 1, 2], LANES)
    collected = RolloutWorker(config, [0, 1, 2], {0: uneven}, 0).collect(300, 0, 0, None)
    assert collected.sizes == {0: 75}


def test_saved_shard_is_loaded_with_what_it_would_have_sampled(tmp_path: Path) -> None:
    config = drift_config()
    shards, sizes = filled_shards(config)
    saved = shards[0].shard
    (tmp_path / "first").mkdir()
    saved.save(str(tmp_path / "first"), None)
    loaded = ReplayShard(config, spaces_of(config), range(0, LANES, SHARDS), LANES)
    assert loaded.load(str(tmp_path / "first")) == sizes[0] == 100
    for array, expected in zip(loaded.sample(30, 3, True), saved.sample(30, 3, True), strict=True):
        assert np.array_equal(array, expected)
    assert np.array_equal(loaded.oldest_times(5), saved.oldest_times(5))
    assert loaded.evict_oldest(40) == 60


def test_shards_sample_independently_of_each_other() -> None:
    shards, _ = filled_shards(drift_config())
    starts = [local.shard.sample(50, 1, False).observations[:, 1] for local in shards]
    assert not np.array_equal(*starts)


# Learner


@pytest.mark.parametrize("algo", ["td3", "sac"])
def test_window_length_changes_at_exactly_the_update_that_is_configured(algo: str) -> None:
    config = drift_config(algo=algo)
    shards, sizes = filled_shards(config)
    learner = LearnerWorker(config, spaces_of(config), shards)
    learner.learn(10, sizes)
    learned, _ = learner.learn(40, sizes)  # n_step_start is 20
    assert learned.learner_steps == 50
    asked = {
        n_step: sum(windows for local in shards for windows, length, _ in local.requests if length == n_step)
        for n_step in (1, 3)
    }
    assert asked == {1: 20 * 16, 3: 30 * 16}
    assert {every_step for local in shards for _, _, every_step in local.requests} == {algo == "sac"}


def test_learner_makes_the_updates_that_a_plain_learner_makes_of_these_batches() -> None:
    config = drift_config()
    (local, _), _ = filled_shards(config)
    worker = LearnerWorker(config, spaces_of(config), [local])
    _, layers = worker.learn(50, [100])
    plain = make_learner(config, spaces_of(config))
    for (windows, _, _), answer in zip(local.requests, local.answers, strict=True):
        for batch in split_batches([answer], np.full((windows // 16, 1), 16)):
            plain.update(batch)
    assert plain.learner_steps == 50
    assert policy_digest(layers) == policy_digest(plain.policy_layers()) == policy_digest(worker.policy_layers())


def test_learner_asks_for_chunks_and_for_nothing_beyond_its_target() -> None:
    config = drift_config()
    shards, sizes = filled_shards(config)
    LearnerWorker(config, spaces_of(config), shards).learn(20 + 2 * CHUNK_BATCHES + 1, sizes)
    calls = [sum(request[0] for request in requests) // 16 for requests in zip(*(s.requests for s in shards))]  # noqa: B905
    assert calls == [CHUNK_BATCHES, 20 - CHUNK_BATCHES, CHUNK_BATCHES, CHUNK_BATCHES, 1]


def test_restored_learner_goes_on_from_the_state() -> None:
    config = drift_config()
    shards, sizes = filled_shards(config)
    first, second = (LearnerWorker(config, spaces_of(config), shards) for _ in range(2))
    first.learn(25, sizes)
    assert second.restore(first.state()) == 25
    assert policy_digest(second.policy_layers()) == policy_digest(first.policy_layers())
    shards[0].requests.clear()
    assert second.learn(5, sizes)[0].learner_steps == 30
    assert {n_step for _, n_step, _ in shards[0].requests} == {3}


def test_learner_reports_the_means_since_the_last_call() -> None:
    config = drift_config()
    shards, sizes = filled_shards(config)
    learned, _ = LearnerWorker(config, spaces_of(config), shards).learn(30, sizes)
    expected = {"train/critic_loss", "train/policy_loss", "train/q_mean", "topology/policy_overlap"}
    assert expected <= learned.metrics.keys()
    assert np.isfinite(list(learned.metrics.values())).all()


# Evaluator and metrics


def test_evaluation_of_a_step_is_the_one_inline_makes() -> None:
    config = small_config(evaluation__episodes=3)
    layers = make_learner(config, spaces_of(config)).policy_layers()
    worker = EvaluationWorker(config)
    worker.evaluate(100, layers)
    lane = EnvLane(config.env, config.seed, STREAM)
    policy = make_policy(config.algo, densify(layers), 0.0, "mean")
    assert worker.evaluate(200, layers) == evaluate(policy, lane, 3, first_episode=200)
    lane.close()


def test_metric_means_are_of_the_calls_since_they_were_taken() -> None:
    means = MetricMeans()
    means.add({"train/loss": 1.0, "topology/overlap": 1.0})
    means.add({"train/loss": 3.0, "train/rare": 5.0, "topology/overlap": 0.5})
    restored = MetricMeans()
    restored.restore(means.state())
    assert means.take() == restored.take() == {"train/loss": 2.0, "train/rare": 5.0, "topology/overlap": 0.5}
    assert means.take() == {}
