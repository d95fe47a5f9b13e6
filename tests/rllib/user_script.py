"""What somebody who knows RLlib writes: train, save, restore, evaluate; Tune with a grid and with a failure.

It is run by test_scripts.py in an empty folder, and prints what it found as JSON.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import ray
from ray import tune

from rlx2_ray.rllib import RLx2, RLx2Config


def make_config() -> RLx2Config:
    return (
        RLx2Config()
        .environment("InvertedPendulum-v5")
        .training(algo="td3", method="rlx2", policy_sparsity=0.8, critic_sparsity=0.6, steps=3000, lr=1e-3)
        .training(settings={"network.hidden": [32, 32], "agent.batch_size": 32, "topology.interval": 200})
        .reporting(min_sample_timesteps_per_iteration=1000)
        .evaluation(evaluation_interval=1, evaluation_duration=5)
        .debugging(seed=1, log_sys_usage=False)
    )


def train_and_restore() -> dict[str, object]:
    algo = make_config().build_algo()
    results = [algo.train() for _ in range(2)]
    path = algo.save_to_path("checkpoint")
    algo.stop()

    restored = RLx2.from_checkpoint(path)
    results.append(restored.train())
    evaluation = restored.evaluate()
    restored.stop()
    return {
        "returns": [result["env_runners"]["episode_return_mean"] for result in results],
        "env_steps": [result["num_env_steps_sampled_lifetime"] for result in results],
        "iterations": [result["training_iteration"] for result in results],
        "done": [result["done"] for result in results],
        "evaluation": evaluation["env_runners"]["episode_return_mean"],
        "digest": results[-1]["rlx2"]["policy_digest"],
    }


def tune_sparsity() -> list[dict[str, object]]:
    config = make_config().training(policy_sparsity=tune.grid_search([0.5, 0.8, 0.9]))
    tuner = tune.Tuner(
        "RLx2",
        param_space=config,
        run_config=tune.RunConfig(
            name="grid",
            storage_path=str(Path("tune").absolute()),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=True),
            verbose=0,
        ),
    )
    found = tuner.fit()
    best = found.get_best_result("env_runners/episode_return_mean", "max")
    with best.checkpoint.as_directory() as folder:
        algo = RLx2.from_checkpoint(folder)
    returned = algo.evaluate()["env_runners"]["episode_return_mean"]
    algo.stop()
    return [
        {
            "policy_sparsity": result.config["policy_sparsity"],
            "env_steps": result.metrics["num_env_steps_sampled_lifetime"],
            "iterations": result.metrics["training_iteration"],
            "size_ratio": result.metrics["rlx2"]["size_ratio"],
            "digest": result.metrics["rlx2"]["policy_digest"],
            "checkpoint": result.checkpoint.path,
            "best": result.path == best.path,
            "evaluation": returned,
        }
        for result in found
    ]


def fail_once(result: dict[str, Any], **kwargs: object) -> None:
    """A callback that ends a trial after its second iteration, the first time."""
    mark = Path(os.environ["TUNE_ORIG_WORKING_DIR"], "failed")
    if result["training_iteration"] == 2 and not mark.exists():
        mark.touch()
        raise RuntimeError("a failure that was asked for")


def tune_with_a_failure() -> dict[str, object]:
    tuner = tune.Tuner(
        "RLx2",
        param_space=make_config().callbacks(on_train_result=fail_once),
        run_config=tune.RunConfig(
            name="failing",
            storage_path=str(Path("tune").absolute()),
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=1),
            failure_config=tune.FailureConfig(max_failures=1),
            verbose=0,
        ),
    )
    (result,) = tuner.fit()
    return {
        "iterations": result.metrics["training_iteration"],
        "since_restore": result.metrics["iterations_since_restore"],
        "digest": result.metrics["rlx2"]["policy_digest"],
        "failed": Path("failed").exists(),
    }


if __name__ == "__main__":
    by_hand = train_and_restore()
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    found = {"by_hand": by_hand, "tuned": tune_sparsity(), "failing": tune_with_a_failure()}
    print(json.dumps(found))  # noqa: T201 - its result
