"""What the actors do, done in this process: plain objects that call each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rlx2_ray.agents.engines import make_learner
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.distributed import rollout_worker
from rlx2_ray.distributed.batch_stream import CHUNK_BATCHES
from rlx2_ray.distributed.evaluation_worker import EvaluationWorker
from rlx2_ray.distributed.learner_seat import LearnerSeat
from rlx2_ray.distributed.learner_worker import LearnerWorker
from rlx2_ray.distributed.metric_means import MetricMeans
from rlx2_ray.distributed.replay_shard import ReplayShard, ShardStatus
from rlx2_ray.distributed.rollout_worker import EPISODES_OF_A_GENERATION, RolloutWorker
from rlx2_ray.envs.lane import EnvLane
from rlx2_ray.envs.make import probe_spaces
from rlx2_ray.experiment.evaluation import STREAM, evaluate
from rlx2_ray.networks.policy import make_evaluation_policy, make_network
from rlx2_ray.networks.policy_file import policy_digest
from rlx2_ray.replay.chunk import ChunkLayout, join_chunks
from rlx2_ray.runs.checkpoint import REPLAY, checkpoint_path
from rlx2_ray.types import Floats, Fragment, RunFailed, Spaces
from tests.support.runs import flip_byte, small_config
from tests.support.strange_envs import MODULE

DRIFT = f"{MODULE}:Drift-v0"
LANES, SHARDS = 4, 2


def drift_config(**changes: Any) -> ExperimentConfig:
    lanes = {"runtime__envs_per_rollout": LANES, "runtime__replay_shards": SHARDS}
    return small_config(**{"env__id": DRIFT, "target__n_step_start": 20, **lanes, **changes})


def spaces_of(config: ExperimentConfig) -> Spaces:
    return probe_spaces(config.env)


class Ready:
    """A chunk that is there already."""

    def __init__(self, chunk: Floats | None) -> None:
        self._chunk = chunk

    def get(self) -> Floats | None:
        return self._chunk


class LocalShard:
    """A shard without a process; remembers what went in and what was asked for."""

    def __init__(self, shard: ReplayShard) -> None:
        self.shard = shard
        self.fragments: list[Fragment] = []
        self.requests: list[tuple[list[int], int, bool]] = []
        self.answers: list[Floats | None] = []

    def insert(self, fragments: Sequence[Fragment], horizon: int) -> ShardStatus:
        self.fragments += fragments
        return self.shard.insert(fragments, horizon)

    def sample(self, counts: list[int], n_step: int, every_step: bool) -> Ready:
        self.requests.append((counts, n_step, every_step))
        self.answers.append(self.shard.sample(counts, n_step, every_step))
        return Ready(self.answers[-1])


NO_CHECKPOINTS = Path("/nonexistent")
ONE_LANE = {"runtime__envs_per_rollout": 1, "runtime__replay_shards": 1}


def make_shards(config: ExperimentConfig, checkpoints: Path = NO_CHECKPOINTS) -> dict[int, LocalShard]:
    shards = range(config.runtime.replay_shards)
    return {shard: LocalShard(ReplayShard(config, spaces_of(config), shard, checkpoints)) for shard in shards}


def sizes_of(shards: Mapping[int, LocalShard]) -> list[int]:
    return [local.shard.status().size for local in shards.values()]


def filled_shards(config: ExperimentConfig) -> tuple[list[LocalShard], list[int]]:
    """Shards with the experience of 200 random steps, and their sizes."""
    shards = make_shards(config)
    RolloutWorker(config, range(LANES), shards, 0).collect(200, 0, 0, None)
    return list(shards.values()), sizes_of(shards)


def make_learner_worker(config: ExperimentConfig, shards: Sequence[LocalShard]) -> LearnerWorker:
    worker = LearnerWorker(config, spaces_of(config))
    worker.connect(shards)
    return worker


# Rollout


def test_rollout_shares_its_steps_out_and_each_lane_lives_on_one_shard() -> None:
    config = drift_config()
    shards = make_shards(config)
    rollout = RolloutWorker(config, range(LANES), shards, 0)
    first = rollout.collect(10, 0, 0, None)
    assert first.env_steps == 10
    assert {shard: status.size for shard, status in first.statuses.items()} == {0: 5, 1: 5}  # 2, 2, 3, 3 by lane
    assert {shard: status.size for shard, status in rollout.collect(10, 10, 0, None).statuses.items()} == {0: 10, 1: 10}
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

    layers = make_learner(config, spaces_of(config)).policy_weights()
    rollout.collect(100, 100, 1, layers)
    policy = make_evaluation_policy("td3", make_network(layers))
    for fragment in shards[0].fragments:
        assert np.allclose(fragment.policy_actions, policy.action(fragment.observations[:-1]), atol=1e-6)
        assert 0 < np.abs(fragment.actions - fragment.policy_actions).max() < 0.5


def test_rollout_takes_up_weights_of_a_new_version_only() -> None:
    config = drift_config(agent__exploration_noise=0.0)
    shards = make_shards(config)
    rollout = RolloutWorker(config, range(LANES), shards, 0)
    first, second = (make_learner(drift_config(seed=seed), spaces_of(config)).policy_weights() for seed in (0, 1))

    def actions(version: int, layers: Any) -> tuple[float, float]:
        shards[0].fragments.clear()
        rollout.collect(LANES, 0, version, layers)
        fragment = shards[0].fragments[0]
        expected = make_evaluation_policy("td3", make_network(layers)).action(fragment.observations[0])
        return float(fragment.actions[0, 0]), pytest.approx(float(expected[0]), abs=1e-6)

    got, expected = actions(1, first)
    assert got == expected
    got, expected = actions(1, second)
    assert got != expected
    got, expected = actions(2, second)
    assert got == expected


def test_rollout_that_takes_the_place_of_another_begins_later_and_other_episodes() -> None:
    config = drift_config()
    first, second = make_shards(config), make_shards(config)
    RolloutWorker(config, range(LANES), first, 0).collect(LANES, 0, 0, None)
    RolloutWorker(config, range(LANES), second, 1).collect(LANES, 500, 0, None)
    before, after = first[0].fragments[0], second[0].fragments[0]
    assert (before.episode, before.step) == (0, 0)
    assert (after.episode, after.step) == (EPISODES_OF_A_GENERATION, 0)
    assert not np.array_equal(before.observations[0], after.observations[0])
    assert not np.array_equal(before.actions, after.actions)


def test_fragments_name_the_place_in_their_episode() -> None:
    config = drift_config(**ONE_LANE)
    shards = make_shards(config)
    rollout = RolloutWorker(config, [0], shards, 0)
    for time in range(0, 21, 7):
        rollout.collect(7, time, 0, None)
    places = [(each.episode, each.step, len(each.rewards)) for each in shards[0].fragments]
    assert places == [(0, 0, 7), (0, 7, 3), (1, 0, 4), (1, 4, 6), (2, 0, 1)]  # an episode has ten steps


def test_rollout_gives_back_what_it_had_no_time_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a wish to stop need not wait for many slow env steps."""
    monkeypatch.setattr(rollout_worker, "CALL_S", -1.0)
    config = drift_config()
    shards = make_shards(config)
    collected = RolloutWorker(config, range(LANES), shards, 0).collect(10 * LANES, 0, 0, None)
    assert collected.env_steps == LANES == sum(sizes_of(shards)), "one of each lane"


def test_rollout_names_the_step_at_which_an_environment_broke() -> None:
    config = drift_config(env__id=f"{MODULE}:Broken-v0", env__kwargs={"what": "reward", "step": 4})
    rollout = RolloutWorker(config, [0], make_shards(config), 0)
    with pytest.raises(RunFailed, match=r"inf as reward .*, at env step 1004"):
        rollout.collect(10, 1000, 0, None)


# Shard


def test_shards_together_hold_the_newest_of_the_capacity() -> None:
    config = drift_config(replay__max_capacity=100, replay__min_capacity=10)
    shards = make_shards(config)
    rollout = RolloutWorker(config, range(LANES), shards, 0)
    for time in range(0, 300, 20):
        rollout.collect(20, time, 0, None)
        assert sum(sizes_of(shards)) == min(time + 20, 100)
    times = np.concatenate([local.shard.oldest_times(1000) for local in shards.values()])
    assert sorted(times) == list(range(200, 300))


def test_shard_that_no_rollout_writes_to_forgets_when_told() -> None:
    (local, _), _ = filled_shards(drift_config())
    times = local.shard.oldest_times(1000)
    assert local.shard.evict_before(60).size == np.count_nonzero(times >= 60) < len(times)
    assert local.shard.oldest_times(1)[0] >= 60


def test_what_is_inserted_twice_is_there_once() -> None:
    (local, _), _ = filled_shards(drift_config())
    before = local.shard.status()
    assert local.shard.insert(local.fragments[-3:], 0) == before


def save_checkpoint(shards: Mapping[int, LocalShard], root: Path, env_steps: int) -> Path:
    """What the shards have to do with one."""
    checkpoint = checkpoint_path(root, env_steps)
    for number, local in shards.items():
        local.shard.save(checkpoint / REPLAY / f"shard{number}", None)
    return checkpoint


def test_shard_begins_with_its_part_of_the_newest_checkpoint(tmp_path: Path) -> None:
    config = drift_config()
    shards = make_shards(config)
    rollout = RolloutWorker(config, range(LANES), shards, 0)
    for time in (0, 80, 160):
        rollout.collect(80, time, 0, None)
        save_checkpoint(shards, tmp_path, time + 80)
    known = [local.shard.status() for local in shards.values()]
    rollout.collect(40, 240, 0, None)
    for number, restarted in make_shards(config, tmp_path).items():
        status = restarted.shard.status()
        assert status.life != known[number].life
        assert status[1:] == (known[number].size, known[number].inserted, known[number].inserted)
        times = shards[number].shard.oldest_times(1000)
        assert np.array_equal(restarted.shard.oldest_times(1000), times[times < 240])


def test_shard_passes_over_a_damaged_checkpoint_and_begins_empty_where_there_is_none(tmp_path: Path) -> None:
    config = drift_config()
    shards = make_shards(config)
    rollout = RolloutWorker(config, range(LANES), shards, 0)
    checkpoints = []
    for time in (0, 80):
        rollout.collect(80, time, 0, None)
        checkpoints.append(save_checkpoint(shards, tmp_path, time + 80))
    for segment in (checkpoints[1] / REPLAY).glob("*/lane0-*.arrow"):
        flip_byte(segment)
    assert sizes_of(make_shards(config, tmp_path)) == [40, 80], "lane 0 is of shard 0"
    for index in checkpoints[0].rglob("index.json"):
        index.unlink()
    assert sizes_of(make_shards(config, tmp_path)) == [0, 80]


def test_load_takes_over_what_another_number_of_shards_saved(tmp_path: Path) -> None:
    config = drift_config()
    shards = make_shards(config)
    RolloutWorker(config, range(LANES), shards, 0).collect(200, 0, 0, None)
    checkpoint = save_checkpoint(shards, tmp_path, 200)
    fewer = drift_config(runtime__replay_shards=1)
    one = ReplayShard(fewer, spaces_of(fewer), 0, NO_CHECKPOINTS)
    status = one.load(checkpoint / REPLAY)
    assert (status.size, status.inserted, status.remembered) == (200, 200, 200)
    assert one.oldest_times(1000).tolist() == list(range(200))


def test_load_of_what_is_damaged_keeps_the_content(tmp_path: Path) -> None:
    config = drift_config()
    shards = make_shards(config)
    rollout = RolloutWorker(config, range(LANES), shards, 0)
    rollout.collect(80, 0, 0, None)
    checkpoint = save_checkpoint(shards, tmp_path, 80)
    rollout.collect(80, 80, 0, None)
    flip_byte(next((checkpoint / REPLAY).glob("*/lane2-*.arrow")))
    with pytest.raises(ValueError, match="lane2-"):
        shards[0].shard.load(checkpoint / REPLAY)
    assert shards[0].shard.status().size == 80


def test_save_takes_the_place_of_what_was_left_half_done(tmp_path: Path) -> None:
    (local, _), _ = filled_shards(drift_config())
    (tmp_path / "shard0").mkdir()
    (tmp_path / "shard0" / "lane0-segment000000.arrow").write_text("half")
    local.shard.save(tmp_path / "shard0", None)
    fresh = ReplayShard(drift_config(), spaces_of(drift_config()), 0, NO_CHECKPOINTS)
    assert fresh.load(tmp_path).size == local.shard.status().size == 100


def test_shards_and_their_lives_sample_independently_of_each_other(tmp_path: Path) -> None:
    config = drift_config()
    shards, _ = filled_shards(config)
    checkpoint = save_checkpoint(dict(enumerate(shards)), tmp_path, 200)
    again = ReplayShard(config, spaces_of(config), 0, tmp_path)
    chunks = [shard.sample([50], 1, False) for shard in (shards[0].shard, shards[1].shard, again)]
    assert not np.array_equal(chunks[0], chunks[1])
    assert not np.array_equal(chunks[0], chunks[2])
    again.load(checkpoint / REPLAY)
    assert np.array_equal(again.sample([50], 1, False), chunks[2]), "but are repeatable"


def test_empty_shard_has_no_windows() -> None:
    assert make_shards(drift_config())[0].shard.sample([3, 4], 1, False) is None


# Learner


@pytest.mark.parametrize("algo", ["td3", "sac"])
def test_window_length_changes_at_exactly_the_update_that_is_configured(algo: str) -> None:
    config = drift_config(algo=algo)
    shards, sizes = filled_shards(config)
    learner = make_learner_worker(config, shards)
    learner.learn(10, sizes)
    learned, _ = learner.learn(40, sizes)  # n_step_start is 20
    assert (learned.learner_steps, learned.undone) == (50, 0)
    asked = [
        (sum(map(sum, counts)), n_steps)
        for counts, n_steps in (
            ([request[0] for request in together], {request[1] for request in together})
            for together in zip(*(local.requests for local in shards), strict=True)
        )
    ]
    assert asked[0] == (20 * 16, {1})
    assert {frozenset(n_steps) for _, n_steps in asked[1:]} == {frozenset({3})}
    assert {every_step for local in shards for _, _, every_step in local.requests} == {algo == "sac"}


def test_learner_makes_the_updates_that_a_plain_learner_makes_of_these_batches() -> None:
    config = drift_config(**ONE_LANE)
    local = make_shards(config)[0]
    RolloutWorker(config, [0], {0: local}, 0).collect(100, 0, 0, None)
    worker = make_learner_worker(config, [local])
    _, layers = worker.learn(50, [100])
    plain = make_learner(config, spaces_of(config))
    batches = [
        batch
        for (counts, n_step, every_step), answer in zip(local.requests, local.answers, strict=True)
        for batch in join_chunks([answer], np.array(counts)[:, None], ChunkLayout(2, 1, n_step, every_step))
    ]
    for batch in batches[:50]:
        plain.update(batch)
    assert plain.learner_steps == 50
    assert policy_digest(*layers) == policy_digest(*plain.policy_weights()) == policy_digest(*worker.policy_weights())


def test_learner_asks_ahead_in_chunks() -> None:
    config = drift_config()
    shards, sizes = filled_shards(config)
    learner = make_learner_worker(config, shards)
    learner.learn(1, sizes)
    batches = [
        {len(counts) for counts, _, _ in together} for together in zip(*(s.requests for s in shards), strict=True)
    ]
    assert batches == [{20}, {CHUNK_BATCHES}, {CHUNK_BATCHES}]  # one in use, two on their way
    learner.learn(19, sizes)
    assert len(shards[0].requests) == 3, "what was there was used"


def test_batches_follow_the_sizes_of_the_shards() -> None:
    config = drift_config(target__n_step_start=0)
    shards, _ = filled_shards(config)
    learner = make_learner_worker(config, shards)
    learner.learn(1, [300, 100])
    windows = [sum(sum(counts) for counts, _, _ in local.requests) for local in shards]
    assert sum(windows) == 3 * CHUNK_BATCHES * 16
    assert abs(windows[0] / sum(windows) - 0.75) < 0.04  # five deviations


def test_learner_says_what_it_could_not_do_where_a_shard_is_empty_and_goes_on_when_told_so() -> None:
    config = drift_config()
    shards, _ = filled_shards(config)
    lost = make_shards(config)[1]
    learner = make_learner_worker(config, [shards[0], lost])
    learned, _ = learner.learn(30, [100, 100])
    assert (learned.learner_steps, learned.undone) == (0, 30)
    learned, _ = learner.learn(30, [100, 0])
    assert (learned.learner_steps, learned.undone) == (30, 0)


def test_restored_learner_goes_on_from_the_state() -> None:
    config = drift_config()
    shards, sizes = filled_shards(config)
    first, second = (make_learner_worker(config, shards) for _ in range(2))
    first.learn(25, sizes)
    assert second.restore(first.state()) == 25
    assert policy_digest(*second.policy_weights()) == policy_digest(*first.policy_weights())
    shards[0].requests.clear()
    assert second.learn(5, sizes)[0].learner_steps == 30
    assert {n_step for _, n_step, _ in shards[0].requests} == {3}


def test_learner_reports_the_means_since_the_last_call() -> None:
    config = drift_config()
    shards, sizes = filled_shards(config)
    learned, _ = make_learner_worker(config, shards).learn(30, sizes)
    expected = {"train/critic_loss", "train/policy_loss", "train/q_mean", "topology/policy_overlap"}
    assert expected | {"actors/update_us", "actors/batch_us"} <= learned.metrics.keys()
    assert np.isfinite(list(learned.metrics.values())).all()


# Normalised observations


def test_rollouts_report_what_they_acted_on_and_the_learner_normalises_by_all_of_it() -> None:
    config = drift_config(agent__normalize_observations=True)
    shards = make_shards(config)
    rollouts = [RolloutWorker(config, lanes, shards, 0) for lanes in (range(2), range(2, LANES))]
    seat = LearnerSeat.__new__(LearnerSeat)  # without an actor: what it notes is its own
    seat.observed = None
    for time, rollout in enumerate(rollouts * 3):
        seat.note(rollout.collect(50, 50 * time, 0, None).observed)
    acted_on = np.concatenate([each.observations[:-1] for local in shards.values() for each in local.fragments])
    assert seat.observed is not None
    assert seat.observed.number == len(acted_on) == 300
    assert np.allclose(seat.observed.mean, acted_on.mean(axis=0, dtype=np.float64))
    assert np.allclose(seat.observed.squares / 300, acted_on.var(axis=0, dtype=np.float64))

    learner = make_learner_worker(config, list(shards.values()))
    _, weights = learner.learn(10, sizes_of(shards), seat.observed)
    expected = seat.observed.normalization()
    assert weights.normalization is not None
    assert [each.tolist() for each in weights.normalization] == [each.tolist() for each in expected]
    _, after = learner.learn(10, sizes_of(shards))  # nothing new
    assert after.normalization is not None
    assert after.normalization.mean.tolist() == expected.mean.tolist()
    restored = make_learner_worker(config, list(shards.values()))
    restored.restore(learner.state())
    assert policy_digest(*restored.policy_weights()) == policy_digest(*learner.policy_weights())

    for local in shards.values():
        local.fragments.clear()
    rollouts[0].collect(40, 300, 1, weights)
    policy = make_evaluation_policy("td3", make_network(weights))
    for fragment in shards[0].fragments:
        assert np.allclose(fragment.policy_actions, policy.action(fragment.observations[:-1]), atol=1e-6)


def test_rollouts_report_nothing_where_nothing_is_normalised() -> None:
    config = drift_config()
    assert RolloutWorker(config, range(LANES), make_shards(config), 0).collect(10, 0, 0, None).observed is None


# Returns that pruning goes by


def test_rollouts_report_returns_and_the_learner_goes_by_all_of_them() -> None:
    config = drift_config(method="group", topology__hold_episodes=3)
    shards = make_shards(config)
    rollout, seat = RolloutWorker(config, range(LANES), shards, 0), LearnerSeat.__new__(LearnerSeat)
    seat.observed = seat.returns = None
    seat._run = SimpleNamespace(config=config)  # type: ignore[assignment]
    for time in range(3):
        seat.note(None, rollout.collect(100, 100 * time, 0, None).returns)
    totals: dict[tuple[int, int], float] = {}
    for each in (each for local in shards.values() for each in local.fragments):
        key = each.lane, each.episode
        totals[key] = totals.get(key, 0.0) + float(each.rewards.astype(np.float64).sum())
        if each.terminated or each.truncated:
            assert each.episode_return == pytest.approx(totals[key], abs=1e-5)
    assert seat.returns is not None
    assert seat.returns.best is not None
    learner = make_learner_worker(config, list(shards.values()))
    learner.learn(1, sizes_of(shards), None, seat.returns)
    assert learner.state().values["returns"] == seat.returns.values()
    learner.learn(1, sizes_of(shards))  # nothing new
    restored = make_learner_worker(config, list(shards.values()))
    restored.restore(learner.state())
    assert restored.state().values["returns"] == seat.returns.values()
    assert not RolloutWorker(drift_config(), range(LANES), shards, 0).collect(100, 0, 0, None).returns


# Evaluator and metrics


def test_evaluation_of_a_step_is_the_one_inline_makes() -> None:
    config = small_config(evaluation__episodes=3)
    layers = make_learner(config, spaces_of(config)).policy_weights()
    worker = EvaluationWorker(config)
    worker.evaluate(100, layers)
    lane = EnvLane(config.env, config.seed, STREAM)
    policy = make_evaluation_policy(config.algo, make_network(layers))
    assert worker.evaluate(200, layers) == evaluate(policy, lane, 3, first_episode=200)
    lane.close()


def test_metric_means_are_of_the_calls_since_they_were_taken() -> None:
    means = MetricMeans()
    means.add({"train/loss": 1.0, "actors/update_us": 4.0, "topology/overlap": 1.0})
    means.add({"train/loss": 3.0, "actors/update_us": 8.0, "train/rare": 5.0, "topology/overlap": 0.5})
    restored = MetricMeans()
    restored.restore(means.state())
    expected = {"train/loss": 2.0, "actors/update_us": 6.0, "train/rare": 5.0, "topology/overlap": 0.5}
    assert means.take() == restored.take() == expected
    assert means.take() == {}
