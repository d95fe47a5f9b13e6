"""What somebody who knows RLlib writes: train, save, restore, evaluate, and Tune with a grid over sparsity and a population.

It is run by test_scripts.py in an empty folder, and prints what it found as JSON.
"""

from __future__ import annotations

import json
from pathlib import Path

import ray
from ray import tune
from ray.tune.schedulers import PopulationBasedTraining

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


def tune_population() -> list[dict[str, object]]:
    """Population-based training, in which the worse trial goes on from the better one's checkpoint."""
    scheduler = PopulationBasedTraining(
        perturbation_interval=1,
        quantile_fraction=0.5,
        hyperparam_mutations={"lr": tune.loguniform(1e-4, 1e-2)},
        synch=True,
    )
    tuner = tune.Tuner(
        "RLx2",
        param_space=make_config().training(lr=tune.loguniform(1e-4, 1e-2)),
        tune_config=tune.TuneConfig(
            num_samples=2, scheduler=scheduler, metric="env_runners/episode_return_mean", mode="max"
        ),
        run_config=tune.RunConfig(name="population", storage_path=str(Path("tune").absolute()), verbose=0),
    )
    return [
        {
            "env_steps": result.metrics["num_env_steps_sampled_lifetime"],
            "iterations": result.metrics["training_iteration"],
            "restored": result.metrics["iterations_since_restore"] < result.metrics["training_iteration"],
            "mlflow_run_id": result.metrics["rlx2"]["mlflow_run_id"],
        }
        for result in tuner.fit()
    ]


if __name__ == "__main__":
    by_hand = train_and_restore()
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    found = {"by_hand": by_hand, "tuned": tune_sparsity(), "population": tune_population()}
    print(json.dumps(found))  # noqa: T201 - its result
