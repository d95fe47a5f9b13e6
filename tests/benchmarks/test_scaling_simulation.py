"""The simulated actors runtime, on cases whose rates can be worked out by hand."""

from __future__ import annotations

import pytest

from benchmarks.scaling.simulation import Shape, Times, simulate

FREE = Times(*[0.0] * 12)  # nothing takes time; each case says what does
SECONDS = 1_000


def rates(shape: Shape, **times: float) -> tuple[float, float]:
    outcome = simulate(FREE._replace(**times), shape, SECONDS)
    return outcome.env_steps_per_s, outcome.updates_per_s


@pytest.mark.parametrize(
    ("shape", "times", "env_steps_per_s"),
    [
        # The rollouts are slower than the learner: their rate.
        (Shape(1, 1), {"env_step": 0.01}, 100),
        (Shape(3, 1), {"env_step": 0.01, "update": 0.001}, 300),
        (Shape(3, 1, envs_per_rollout=2), {"env_step": 0.01}, 300),  # its environments take turns
        (Shape(1, 1), {"env_step": 0.01, "rollout_call": 0.32}, 50),  # 32 steps a call
        (Shape(1, 1, envs_per_rollout=2), {"env_step": 0.01, "rollout_call": 0.32}, 200 / 3),  # 64 steps a call
        (Shape(1, 1), {"env_step": 0.01, "insert_wait": 0.32}, 50),
        (Shape(1, 1, envs_per_rollout=2), {"env_step": 0.01, "insert_wait": 0.32}, 50),  # an insert a lane
        # The learner is slower: its rate, whatever the rollouts could do.
        (Shape(1, 1), {"update": 0.01}, 100),
        (Shape(5, 2), {"env_step": 0.001, "update": 0.006, "batch": 0.004}, 100),
        (Shape(5, 2, updates_per_env_step=0.5), {"env_step": 0.001, "update": 0.01}, 200),
        (Shape(1, 1), {"update": 0.01, "learner_call": 0.64}, 50),  # calls of 64 updates
        # At most 6 updates are begun or due, since 32 + 2 x 64 env steps may be ahead: two calls do them in 0.16 s.
        (Shape(1, 1, updates_per_env_step=1 / 32), {"update": 0.01, "learner_call": 0.05}, 32 * 6 / 0.16),
        # A shard is the slowest.
        (Shape(4, 1), {"env_step": 0.001, "shard_insert": 0.64}, 50),
        (Shape(4, 2), {"env_step": 0.001, "shard_insert": 0.64}, 100),
        (Shape(4, 1), {"env_step": 0.001, "shard_sample": 0.02}, 50),
        (Shape(4, 2), {"env_step": 0.001, "shard_sample": 0.02}, 100),  # each gives half of a batch
        # Sampling goes on while the learner learns: the slower of both, not their sum.
        (Shape(1, 1), {"update": 0.01, "shard_sample": 0.009}, 100),
        # The driver: one call of a rollout for 32 env steps, and next to no updates.
        (Shape(10, 1, updates_per_env_step=0.0001), {"driver_call": 0.32}, 100),
        # One loop takes in all that is done, and is the longer the more calls are in progress.
        (Shape(2, 1, updates_per_env_step=0.0001), {"env_step": 0.01, "driver_loop": 0.32}, 100),
        (Shape(2, 1, updates_per_env_step=0.0001), {"env_step": 0.01, "driver_task": 0.16}, 100),
        # A learner that takes no time does nothing while a rollout collects, so one core is as good as two.
        (Shape(1, 1, cores=1), {"env_step": 0.01}, 100),
        (Shape(2, 1, cores=1), {"env_step": 0.01}, 100),
        (Shape(2, 1, cores=2), {"env_step": 0.01}, 200),
        (Shape(1, 1, cores=1), {"env_step": 0.01, "update": 0.01}, 50),
        (Shape(1, 1, cores=2), {"env_step": 0.01, "update": 0.01}, 100),
    ],
)
def test_rate_is_that_of_the_slowest(shape: Shape, times: dict[str, float], env_steps_per_s: float) -> None:
    env_steps, updates = rates(shape, **times)
    assert env_steps == pytest.approx(env_steps_per_s, rel=0.01)
    assert updates == pytest.approx(env_steps_per_s * shape.updates_per_env_step, rel=0.01, abs=0.1)


@pytest.mark.parametrize("update", [0.001, 0.01])  # the rollouts are slower, the learner is
@pytest.mark.parametrize("ratio", [0.25, 1.0, 3.0])
def test_updates_stay_as_near_to_those_due_as_the_rate_limiter_asks(ratio: float, update: float) -> None:
    times = FREE._replace(env_step=0.01, update=update, batch=0.0002, shard_sample=0.0001, driver_call=0.001)
    outcome = simulate(times, Shape(4, 2, updates_per_env_step=ratio), SECONDS)
    assert 0 < outcome.undone <= ratio * (4 * 32 + 2 * 64 + 32)  # the tolerance, and one call beyond it


def test_who_is_busy() -> None:
    outcome = simulate(FREE._replace(env_step=0.01, update=0.002), Shape(1, 1), SECONDS)
    assert outcome.busy == pytest.approx({"rollouts": 1.0, "shards": 0.0, "learner": 0.2, "driver": 0.0}, abs=0.01)
    assert outcome.bottleneck == "rollouts"


def test_steps_of_uneven_length_change_the_order_and_not_the_rate() -> None:
    outcome = simulate(FREE._replace(env_step=0.01), Shape(3, 1, spread=0.5), SECONDS)
    assert outcome.env_steps_per_s == pytest.approx(300, rel=0.02)
