"""What is compiled beforehand is all that training calls: nothing is compiled again in each process that trains."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
from numba.core.dispatcher import Dispatcher

from rlx2_ray.agents.engines import make_learner, sparse_learners
from rlx2_ray.agents.learner import window_spec
from rlx2_ray.agents.warm_up import call_all
from rlx2_ray.config import ExperimentConfig, merge, resolve
from rlx2_ray.replay.buffer import ReplayBuffer
from rlx2_ray.replay.chunk import ChunkLayout, join_chunks, sample_chunk
from rlx2_ray.replay.windows import _call_all as call_replay
from rlx2_ray.types import Fragment
from tests.agents.small import ALGORITHMS, NEARLY_DENSE, SPACES, small_config
from tests.support.runs import environment

# That call other compiled functions.
SWITCHES = {"agent": {"grown_steps": "own"}, "network": {"rescaled": "both", "critic_norm": "layer"}}


def signatures() -> dict[str, list[object]]:
    """Types with which each compiled function of the package has been compiled or loaded in this process."""
    functions = {
        f"{name}.{key}": value
        for name, module in list(sys.modules.items())
        if name.startswith("rlx2_ray.")
        for key, value in vars(module).items()
        if isinstance(value, Dispatcher)
    }
    return {name: list(function.signatures) for name, function in functions.items()}


def filled_buffer() -> ReplayBuffer:
    generator = np.random.default_rng(0)
    buffer = ReplayBuffer(SPACES.observation_size, SPACES.action_size, range(2), 200, np.random.default_rng(1))
    for time in range(0, 120, 10):
        actions = generator.uniform(-1, 1, (10, SPACES.action_size)).astype(np.float32)
        observations = generator.standard_normal((11, SPACES.observation_size), np.float32)
        rewards = generator.standard_normal(10, np.float32)
        buffer.insert(Fragment(time // 10 % 2, time, time, 0, observations, actions, actions, rewards, True, False))
    return buffer


def check(algo: str) -> None:
    call_all(algo, sparse_learners()[algo])
    call_replay()
    before = signatures()
    assert sum(map(len, before.values())) > 5

    config = small_config(algo, target={"n_step": 3}, agent={"target_policy_noise": 1.0}, **NEARLY_DENSE)
    train(config)
    train(resolve(merge(config.model_dump(), SWITCHES)))
    assert signatures() == before


def train(config: ExperimentConfig) -> None:
    every_step = window_spec(config, 0).every_step
    learner, buffer = make_learner(config, SPACES), filled_buffer()
    for n_step in (1, 3):
        for _ in range(6):  # with events of all models
            learner.update(buffer.sample(70, n_step, every_step))
        learner.restore(learner.state())
    layout = ChunkLayout(*SPACES[:2], 3, every_step)
    counts = np.array([[30, 25], [40, 15], [0, 55]])
    parts = [sample_chunk(buffer, counts_of_shard.tolist(), *layout[2:]) for counts_of_shard in counts.T]
    for part in parts:
        part.flags.writeable = False  # as Ray delivers it
    for batch in join_chunks(parts, counts, layout):
        learner.update(batch)
    observation = np.ones(SPACES.observation_size, np.float32)
    for given in (observation, np.stack([observation] * 2)):
        learner.acting_policy().action(given)
    learner.acting_policy().explore(observation, np.random.default_rng(0))


@ALGORITHMS
def test_training_compiles_nothing_that_the_warm_up_does_not(algo: str) -> None:
    # In a process of its own, in which no other test has called a function.
    code = f"from tests.agents.test_warm_up import check; check({algo!r})"
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
