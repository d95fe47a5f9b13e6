"""Offline data as somebody who knows RLlib records and reads it, with a finished policy; run by test_scripts.py.

Its arguments are a policy file and an empty folder. It prints what it found as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import ray
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.offline.offline_data import OfflineData
from ray.rllib.offline.offline_env_runner import OfflineSingleAgentEnvRunner

from rlx2_ray.rllib import RLx2Config


def record(policy: str, folder: str) -> list[SingleAgentEpisode]:
    config = RLx2Config().environment("Pendulum-v1").debugging(seed=0).rl_module(model_config={"policy": policy})
    config.offline_data(output=folder, output_write_episodes=False, output_compress_columns=[])
    runner = OfflineSingleAgentEnvRunner(config=config)
    episodes: list[SingleAgentEpisode] = runner.sample(num_episodes=3, explore=False)
    runner.stop()
    return episodes


def read(folder: str) -> list[dict[str, object]]:
    files = [str(file) for file in Path(folder).rglob("*.parquet")]
    return OfflineData(RLx2Config().environment("Pendulum-v1").offline_data(input_=files)).data.take_all()  # type: ignore[no-any-return]


if __name__ == "__main__":
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    episodes = record(*sys.argv[1:])
    rows = read(sys.argv[2])
    found = {
        "steps": sum(len(episode) for episode in episodes),
        "return": sum(episode.get_return() for episode in episodes),
        "rows": len(rows),
        "rewards": sum(float(row["rewards"]) for row in rows),  # type: ignore[arg-type]
        "columns": sorted(rows[0]),
        "largest_action": max(abs(float(row["actions"][0])) for row in rows),  # type: ignore[index]
    }
    print(json.dumps(found))  # noqa: T201 - its result
