"""One suite for what the actors do, run on plain objects and on actors made of the same classes, on a real Ray."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlx2_ray.agents.engines import make_learner
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.distributed.cluster import own_ray
from rlx2_ray.distributed.evaluation_worker import EvaluationWorker
from rlx2_ray.distributed.learner_worker import LearnerWorker
from rlx2_ray.distributed.replay_shard import ReplayShard
from rlx2_ray.distributed.rollout_worker import RolloutWorker
from rlx2_ray.envs.lane import EnvLane
from rlx2_ray.experiment.evaluation import STREAM, evaluate
from rlx2_ray.networks.policy import make_evaluation_policy, make_network
from rlx2_ray.networks.policy_file import policy_digest
from rlx2_ray.replay.buffer import ReplayBuffer
from rlx2_ray.replay.chunk import sample_chunk
from rlx2_ray.runs.checkpoint import REPLAY, checkpoint_path
from rlx2_ray.seeding import make_generator
from rlx2_ray.types import Fragment, RunFailed, Spaces
from tests.distributed.local_union import EVERYTHING
from tests.replay.streams import ACTION_SIZE, OBSERVATION_SIZE, FragmentSource
from tests.support.runs import ROOT, flip_byte, small_config
from tests.support.strange_envs import MODULE

LANES, SHARDS = 5, 2
NO_CHECKPOINTS = Path("/nonexistent")
MADE_UP = Spaces(OBSERVATION_SIZE, ACTION_SIZE, (-1.0,) * ACTION_SIZE, (1.0,) * ACTION_SIZE)  # of a FragmentSource
DRIFT = Spaces(2, 1, (-1.0,), (1.0,))


def make_config(**changes: Any) -> ExperimentConfig:
    lanes = {"runtime__envs_per_rollout": LANES, "runtime__replay_shards": SHARDS}
    return small_config(**{"env__id": f"{MODULE}:Drift-v0", "target__n_step_start": 20, **lanes, **changes})


CONFIG = make_config()


# The two forms


class Ready:
    """A chunk that is there already."""

    def __init__(self, chunk: Any) -> None:
        self._chunk = chunk

    def get(self) -> Any:
        return self._chunk


class LocalShard(ReplayShard):
    def sample(self, *request: Any) -> Ready:  # type: ignore[override]
        return Ready(super().sample(*request))


class Waiting:
    """An actor's handle whose every method waits, so that it is used as the plain object is."""

    def __init__(self, handle: Any) -> None:
        self.handle = handle

    def __getattr__(self, name: str) -> Callable[..., Any]:
        from rlx2_ray.distributed import actors

        later = getattr(self.handle, "weights_later" if name == "policy_weights" else f"{name}_later", None)
        if later is None:
            return getattr(self.handle, name)  # type: ignore[no-any-return]

        def call(*arguments: Any) -> Any:
            references = later(*arguments)
            return actors.get(list(references) if isinstance(references, tuple) else references)

        return call


class Local:
    """Makes plain objects."""

    def shard(self, number: int, spaces: Spaces, checkpoints: Path = NO_CHECKPOINTS) -> Any:
        return LocalShard(CONFIG, spaces, number, checkpoints)

    def rollout(self, config: ExperimentConfig, shards: Mapping[int, Any]) -> Any:
        return RolloutWorker(config, range(LANES), shards, 0)

    def learner(self, shards: Sequence[Any]) -> Any:
        learner = LearnerWorker(CONFIG, DRIFT)
        learner.connect(shards)
        return learner

    def evaluator(self) -> Any:
        return EvaluationWorker(CONFIG)


class Remote:
    """Makes actors."""

    def shard(self, number: int, spaces: Spaces, checkpoints: Path = NO_CHECKPOINTS) -> Any:
        from rlx2_ray.distributed.actors import Crew, ReplayActor

        return Waiting(ReplayActor(Crew(), CONFIG, spaces, number, checkpoints, node=None))

    def rollout(self, config: ExperimentConfig, shards: Mapping[int, Any]) -> Any:
        from rlx2_ray.distributed.actors import Crew, RolloutActor

        handles = {number: shard.handle for number, shard in shards.items()}
        return Waiting(RolloutActor(Crew(), config, range(LANES), handles, 0))

    def learner(self, shards: Sequence[Any]) -> Any:
        from rlx2_ray.distributed.actors import Crew, LearnerActor

        learner = Waiting(LearnerActor(Crew(), CONFIG, DRIFT))
        learner.connect([shard.handle for shard in shards])
        return learner

    def evaluator(self) -> Any:
        from rlx2_ray.distributed.actors import Crew, EvaluatorActor

        return Waiting(EvaluatorActor(Crew(), CONFIG))


Form = Local | Remote


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("RAY_")]:
            patch.delenv(name)
        patch.setenv("PYTHONPATH", str(ROOT))  # where the actors find the strange environments
        with own_ray(16):
            yield


@pytest.fixture(params=["local", "remote"])
def form(request: pytest.FixtureRequest) -> Form:
    if request.param == "local":
        return Local()
    request.getfixturevalue("ray_here")
    return Remote()


def assert_same(left: Sequence[Any], right: Sequence[Any]) -> None:
    for one, other in zip(left, right, strict=True):
        np.testing.assert_array_equal(one, other)


# Shard


def make_fragments() -> list[Fragment]:
    """Of the lanes of shard 0: times 0 to 23 in ended and open episodes."""
    source = FragmentSource()
    pieces = ((0, 5, "open"), (2, 4, "terminated"), (0, 3, "truncated"), (4, 6, "open"), (2, 2, "open"), (0, 4, "open"))
    return [source.make(steps, ending, lane) for lane, steps, ending in pieces]  # type: ignore[arg-type]


def buffer_of(fragments: Sequence[Fragment]) -> ReplayBuffer:
    """What shard 0 should hold, with what it should draw."""
    generator = make_generator(CONFIG.seed, "replay", 0, 0)
    buffer = ReplayBuffer(OBSERVATION_SIZE, ACTION_SIZE, range(0, LANES, SHARDS), EVERYTHING, generator)
    for fragment in fragments:
        buffer.insert(fragment)
    return buffer


def test_shard_holds_what_was_inserted_and_gives_the_windows_of_a_buffer(form: Form) -> None:
    shard, fragments = form.shard(0, MADE_UP), make_fragments()
    buffer = buffer_of(fragments)
    assert shard.sample([3, 4], 3, True).get() is None, "it is empty"
    first = shard.insert(fragments[:2], 0)
    assert first[1:] == (9, 9, 0)
    assert shard.insert(fragments[2:], 0) == first._replace(size=24, inserted=24) == shard.status()
    assert shard.insert(fragments[1:3], 0) == shard.status(), "a repeated call changes nothing"
    assert_same(shard.oldest(10), buffer.oldest(10))
    assert_same([shard.oldest_times(100)], [buffer.oldest(100)[2]])
    for counts, n_step, every_step in (([7, 0, 9], 3, True), ([16], 1, False)):
        chunk = shard.sample(counts, n_step, every_step).get()
        assert_same([chunk], [sample_chunk(buffer, counts, n_step, every_step)])


def test_shard_forgets_by_time(form: Form) -> None:
    shard, fragments = form.shard(0, MADE_UP), make_fragments()
    buffer = buffer_of(fragments)
    assert shard.insert(fragments, 4).size == 20
    assert shard.evict_before(11)[1:] == (13, 24, 0)
    buffer.evict_before(11)
    assert_same(shard.oldest(100), buffer.oldest(100))
    assert shard.evict_before(100).size == 0
    assert shard.oldest_times(100).tolist() == []
    assert shard.sample([3], 1, False).get() is None, "it is empty again"


def test_shard_saves_and_loads(form: Form, tmp_path: Path) -> None:
    shard, fragments = form.shard(0, MADE_UP), make_fragments()
    shard.insert(fragments, 4)
    for snapshot, previous in (("first", None), ("second", "first")):
        shard.save(tmp_path / snapshot / "shard0", previous and tmp_path / previous)
    saved = shard.oldest(100)
    shard.evict_before(100)
    loaded = shard.load(tmp_path / "second")
    assert loaded == shard.status()
    assert loaded[1:] == (20, 24, 24)
    assert_same(shard.oldest(100), saved)

    flip_byte(next((tmp_path / "first" / "shard0").glob("lane2-*.arrow")))
    shard.evict_before(12)
    with pytest.raises(ValueError, match="lane2-"):
        shard.load(tmp_path / "first")
    assert shard.status().size == 12, "it keeps what it has"


# Rollout, learner, evaluator


def weights() -> Any:
    return make_learner(CONFIG, DRIFT).policy_weights()


def fill(form: Form) -> list[Any]:
    """Shards with 100 random env steps and 50 of a policy."""
    shards = {number: form.shard(number, DRIFT) for number in range(SHARDS)}
    rollout = form.rollout(CONFIG, shards)
    first = rollout.collect(100, 0, 0, None)
    second = rollout.collect(50, 100, 1, weights())
    assert (first.env_steps, second.env_steps) == (100, 50)
    assert second.statuses == {number: shard.status() for number, shard in shards.items()}
    assert [status.size for status in second.statuses.values()] == [90, 60]
    return list(shards.values())


def test_what_a_rollout_collects_is_in_the_shards(form: Form) -> None:
    for shard, plain in zip(fill(form), fill(Local()), strict=True):
        assert_same(shard.oldest(EVERYTHING), plain.oldest(EVERYTHING))


def test_rollout_names_what_broke(form: Form) -> None:
    from rlx2_ray.distributed.actors import root_cause

    config = make_config(env__id=f"{MODULE}:Broken-v0", env__kwargs={"what": "reward", "step": 4})
    rollout = form.rollout(config, {})
    with pytest.raises(Exception, match=r"inf as reward .*, at env step 1004") as caught:
        rollout.collect(50, 1000, 0, None)
    assert isinstance(root_cause(caught.value), RunFailed)


def test_learner_learns_and_is_restored(form: Form) -> None:
    ours, plain = form.learner(fill(form)), Local().learner(fill(Local()))
    (learned, layers), (learned_plainly, layers_plainly) = ours.learn(30, [90, 60]), plain.learn(30, [90, 60])
    assert learned[:2] == learned_plainly[:2] == (30, 0)
    assert learned.metrics.keys() == learned_plainly.metrics.keys()
    assert policy_digest(*layers) == policy_digest(*layers_plainly) == policy_digest(*ours.policy_weights())
    state = ours.state()
    assert state.values == plain.state().values
    assert state.arrays.keys() == plain.state().arrays.keys()
    assert_same(list(state.arrays.values()), list(plain.state().arrays.values()))

    ours.learn(10, [90, 60])
    assert policy_digest(*ours.policy_weights()) != policy_digest(*layers)
    assert ours.restore(state) == 30
    assert policy_digest(*ours.policy_weights()) == policy_digest(*layers)


def test_learner_says_that_a_shard_is_empty(form: Form) -> None:
    learner = form.learner([form.shard(number, DRIFT) for number in range(SHARDS)])
    learned, layers = learner.learn(30, [90, 60])
    assert (learned.learner_steps, learned.undone) == (0, 30)
    assert policy_digest(*layers) == policy_digest(*weights())


def test_evaluator_plays_the_policy(form: Form) -> None:
    lane = EnvLane(CONFIG.env, CONFIG.seed, STREAM)
    policy = make_evaluation_policy(CONFIG.algo, make_network(weights()))
    evaluator = form.evaluator()
    for env_steps in (200, 100):
        expected = evaluate(policy, lane, CONFIG.evaluation.episodes, first_episode=env_steps)
        assert evaluator.evaluate(env_steps, weights()) == expected
    lane.close()


# The shards as one replay


def insert(replay: Any, fragments: Sequence[Fragment]) -> None:
    for fragment in fragments:
        number = fragment.lane % SHARDS
        replay.note({number: replay.shards[number].insert([fragment], 0)})


def kill_process_of(shard: Any) -> None:
    import ray
    from ray.exceptions import RayError

    def end(worker: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with suppress(RayError):
        ray.get(shard._actor.__ray_call__.options(max_task_retries=0).remote(end))


def sharded_replay(checkpoints: Path) -> Any:
    from rlx2_ray.distributed.actors import Crew
    from rlx2_ray.distributed.patience import Patience
    from rlx2_ray.distributed.sharded_replay import ShardedReplay

    return ShardedReplay(Crew(), CONFIG, MADE_UP, checkpoints, None, Patience(pytest.fail, lambda: False))


def test_shards_are_one_replay(ray_here: None, tmp_path: Path) -> None:
    replay, source = sharded_replay(NO_CHECKPOINTS), FragmentSource()
    fragments = [source.make(3, "open", lane) for lane in (0, 1, 2, 3, 4, 0, 1, 2)]
    buffer = ReplayBuffer(OBSERVATION_SIZE, ACTION_SIZE, range(LANES), EVERYTHING, np.random.default_rng(0))
    insert(replay, fragments)
    for fragment in fragments:
        buffer.insert(fragment)
    assert (replay.sizes, replay.size) == ([15, 9], 24)
    assert_same(replay.oldest(10), buffer.oldest(10))
    replay.evict_oldest(5)
    buffer.evict_oldest(5)
    assert_same(replay.oldest(100), buffer.oldest(100))
    replay.save(tmp_path, None)
    replay.evict_before(9)
    assert replay.sizes == [9, 6]
    replay.load(tmp_path)
    assert replay.sizes == [12, 7]
    assert_same(replay.oldest(100), buffer.oldest(100))
    assert replay.take_losses() == [], "nothing died"


def test_shard_that_is_killed_comes_back_with_the_newest_checkpoint(ray_here: None, tmp_path: Path) -> None:
    from rlx2_ray.distributed.sharded_replay import ShardLoss

    replay, source = sharded_replay(tmp_path), FragmentSource()
    insert(replay, [source.make(3, "open", lane) for lane in range(LANES)])
    replay.save(checkpoint_path(tmp_path, 15) / REPLAY, None)
    insert(replay, [source.make(3, "open", lane) for lane in range(LANES)])
    past = replay.shards[0].insert([], 16)
    replay.note({0: past})
    pending = replay.shards[0].sample([4], 1, False)
    kill_process_of(replay.shards[0])
    assert len(pending.get()) > 0
    assert replay.sizes == [8, 12], "not heard of yet"
    replay.refresh()
    assert replay.sizes == [9, 12]
    replay.note({0: past})
    assert replay.sizes == [9, 12], "what its past life said late does not count"
    assert replay.take_losses() == [ShardLoss(0, 9)]
    assert replay.take_losses() == []
    again = {3 * lane + step for lane in range(LANES) for step in range(3)} | {18, 19, 20, 24, 25, 26}
    assert replay.oldest(100)[2].tolist() == sorted(again), "lanes 0, 2 and 4 lost the second half"
