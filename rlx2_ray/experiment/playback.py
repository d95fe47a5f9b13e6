"""A policy from disk, played: for `rlx2 evaluate`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rlx2_ray.config import EnvConfig
from rlx2_ray.envs.lane import EnvLane
from rlx2_ray.envs.make import probe_spaces
from rlx2_ray.experiment.checkpoint import load_newest
from rlx2_ray.experiment.evaluation import evaluate
from rlx2_ray.experiment.run_directory import RunDirectory
from rlx2_ray.networks.policy import densify, make_policy
from rlx2_ray.networks.policy_file import PolicyFile, load_policy, policy_digest
from rlx2_ray.networks.sparse_layer import from_arrays
from rlx2_ray.types import BadInput

STREAM = "evaluate command"


def play(path: Path, episodes: int, seed: int, video: Path | None, warn: Callable[[str], None]) -> dict[str, Any]:
    """Returns of noise-free episodes. Raises BadInput where there is no policy, or not for this environment."""
    policy_file = find_policy(path, warn)
    env = EnvConfig(**policy_file.env)
    with ExitStack() as stack:
        lane = EnvLane(env, seed, STREAM, render_mode="rgb_array" if video else None)
        stack.callback(lane.close)
        sizes = (lane.spaces.observation_size, lane.spaces.action_size)
        expected = (policy_file.spaces.observation_size, policy_file.spaces.action_size)
        if sizes != expected:
            raise BadInput(f"{path} is a policy for sizes {expected}, but {env.id} has {sizes}: use the same version.")
        policy = make_policy(policy_file.algo, densify(policy_file.layers), 0.0, "mean")
        film = stack.enter_context(_Film(video, lane)) if video else None
        evaluation = evaluate(policy, lane, episodes, first_episode=0, on_step=film.frame if film else _nothing)
    return {
        "env_id": env.id,
        "episodes": episodes,
        "seed": seed,
        "return_mean": evaluation.mean,
        "return_std": evaluation.std,
        "returns": list(evaluation.returns),
        "policy_digest": policy_digest(policy_file.layers),
        "video": str(video) if video else None,
    }


def find_policy(path: Path, warn: Callable[[str], None]) -> PolicyFile:
    """The policy in a file, of a finished run, or of the newest good checkpoint of an unfinished one."""
    if path.is_file():
        return load_policy(path)
    directory = RunDirectory(path)
    if directory.policy_file.exists():
        return load_policy(directory.policy_file)
    config, _ = directory.open()
    loaded = load_newest(directory.checkpoints, lambda replay: None, warn)
    if loaded is None:
        raise BadInput(f"{path} has no policy and no checkpoint yet: let it run on, or resume it.")
    layers = from_arrays(loaded[0].arrays, "policy")
    return PolicyFile(layers, config.algo, config.env.model_dump(), probe_spaces(config.env))


def _nothing(env: Any) -> None:
    pass


class _Film:
    """Writes the frames of the first episode to an MP4 file."""

    def __init__(self, path: Path, lane: EnvLane) -> None:
        self._path = path
        self._lane = lane

    def __enter__(self) -> _Film:
        import imageio

        fps = self._lane.env.metadata.get("render_fps", 30)
        self._writer = imageio.get_writer(self._path, fps=fps, macro_block_size=None)
        return self

    def __exit__(self, *error: object) -> None:
        self._writer.close()

    def frame(self, env: Any) -> None:
        if self._lane.episode != 0:
            return
        try:
            image = env.render()
        except Exception as error:  # whatever a renderer raises that has no screen, driver or package
            reason = " ".join(str(error).split()).rstrip(".")
            raise BadInput(f"--video is {self._path}, but the environment cannot be drawn here ({reason}).") from None
        self._writer.append_data(image)
