"""How fast do others train? Env steps per second of TD3 and SAC from Stable-Baselines3 (torch) and SBX (jax), one core.

    .venv-peers/bin/python benchmarks/peers/train_speed.py --peer sbx --algo td3 --env Hopper-v5 --steps 5000 --cpu 0

Timed is the learning phase as the peers run it: action, environment, replay and one update a step, no evaluation.
Random warm-up steps and compilation lie before the timed window. The last line printed is one JSON object:

env_steps_per_s     over the whole window
median_per_s        median over blocks of 100 env steps, which a burst of load from elsewhere hardly moves
cpu_seconds         of the process in the window; where it is well below `seconds`, something else had the core
env_steps_per_cpu_s what is left of that: a peer never waits for anything but the core
update_ms           mean of one `model.train`, drawing the batch included
sample_ms           mean of drawing the batch alone
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from itertools import pairwise
from typing import Any

import one_core  # before anything imports numpy

# isort: split
import numpy as np
import numpy.typing as npt

BLOCK = 100  # env steps; even, so that each block holds as many delayed policy updates
PACKAGES = {
    "sb3": ("stable-baselines3", "torch", "gymnasium", "mujoco", "numpy"),
    "sbx": ("sbx-rl", "stable-baselines3", "jax", "jaxlib", "torch", "gymnasium", "mujoco", "numpy"),
}

Model = Any  # an off-policy algorithm of the peer: SBX's extend those of Stable-Baselines3


class Stopwatch:
    """A function that counts its calls and sums their time."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.reset()

    def reset(self) -> None:
        self.calls, self.seconds = 0, 0.0

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        begin = time.perf_counter()
        result = self._function(*arguments, **keywords)
        self.seconds += time.perf_counter() - begin
        self.calls += 1
        return result

    @property
    def mean_ms(self) -> float:
        return round(1e3 * self.seconds / self.calls, 4)


class Window:
    """A callback after every env step: notes the times of the `steps` after the first `skipped`, then ends training."""

    def __init__(self, skipped: int, steps: int, stopwatches: tuple[Stopwatch, ...]) -> None:
        self._skipped, self._steps, self._stopwatches = skipped, steps, stopwatches
        self._env_steps = 0
        self._cpu_begin = 0.0
        self.cpu_seconds = 0.0
        self.stamps: list[float] = []  # seconds, steps + 1 of them

    def __call__(self, *_: Any) -> bool:
        """Returns whether to go on."""
        self._env_steps += 1
        if self._env_steps == self._skipped:
            self._begin()
        if self._env_steps >= self._skipped:
            self.stamps.append(time.perf_counter())
        if len(self.stamps) <= self._steps:
            return True
        self.cpu_seconds = time.process_time() - self._cpu_begin
        return False

    def _begin(self) -> None:
        for stopwatch in self._stopwatches:
            stopwatch.reset()
        self._cpu_begin = time.process_time()

    @property
    def seconds(self) -> float:
        return self.stamps[-1] - self.stamps[0]

    @property
    def median_per_s(self) -> float | None:
        blocks = [BLOCK / (end - begin) for begin, end in pairwise(self.stamps[::BLOCK])]
        return round(statistics.median(blocks), 2) if blocks else None


def main() -> None:
    arguments = parse()
    one_core.pin(arguments.cpu)
    model = make_model(arguments)
    train = Stopwatch(model.train)
    sample = Stopwatch(model.replay_buffer.sample)
    model.train, model.replay_buffer.sample = train, sample
    skipped = arguments.warmup_steps + arguments.skip
    window = Window(skipped, arguments.steps, (train, sample))
    model.learn(skipped + arguments.steps, callback=window, log_interval=None)
    if train.calls != arguments.steps:
        raise RuntimeError(f"{train.calls} updates in {arguments.steps} env steps, not one each.")
    print(json.dumps(report(arguments, window, train, sample)))  # noqa: T201 - it is the result


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Training speed of Stable-Baselines3 and SBX on one core.")
    parser.add_argument("--peer", choices=("sb3", "sbx"), required=True)
    parser.add_argument("--algo", choices=("td3", "sac"), required=True)
    parser.add_argument("--env", default="Hopper-v5")
    parser.add_argument("--steps", type=int, default=5_000, help="env steps timed, each with an update")
    parser.add_argument("--warmup-steps", type=int, default=1_000, help="random env steps before the first update")
    parser.add_argument("--skip", type=int, default=500, help="env steps with updates before the timed ones")
    parser.add_argument("--cpu", type=int, default=0, help="the core that does all the work")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def make_model(arguments: argparse.Namespace) -> Model:
    """The peer with this project's hyperparameters and its way to make an environment."""
    import gymnasium
    import torch

    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    env = gymnasium.make(arguments.env, disable_env_checker=True)
    return algorithm(arguments.peer, arguments.algo)(
        "MlpPolicy",
        env,
        policy_kwargs={"net_arch": [256, 256]},  # of policy and critics; Stable-Baselines3's TD3 has 400x300 by default
        learning_rate=3e-4,
        batch_size=256,
        train_freq=1,
        gradient_steps=1,
        learning_starts=arguments.warmup_steps,
        seed=arguments.seed,
        device="cpu",
        **particulars(arguments.algo, env.action_space.sample()),
    )


def algorithm(peer: str, algo: str) -> Callable[..., Model]:
    # Imported here, so that a process holds only the peer that it measures.
    package = import_module({"sb3": "stable_baselines3", "sbx": "sbx"}[peer])
    result: Callable[..., Model] = getattr(package, algo.upper())
    return result


def particulars(algo: str, action_like: npt.NDArray[np.float32]) -> dict[str, Any]:
    from stable_baselines3.common.noise import NormalActionNoise

    if algo == "sac":
        return {}
    return {
        "policy_delay": 2,
        "action_noise": NormalActionNoise(np.zeros_like(action_like), np.full_like(action_like, 0.1)),
    }


def report(arguments: argparse.Namespace, window: Window, train: Stopwatch, sample: Stopwatch) -> dict[str, Any]:
    return {
        "peer": arguments.peer,
        "algo": arguments.algo,
        "env": arguments.env,
        "env_steps": arguments.steps,
        "seconds": round(window.seconds, 4),
        "cpu_seconds": round(window.cpu_seconds, 4),
        "env_steps_per_s": round(arguments.steps / window.seconds, 2),
        "env_steps_per_cpu_s": round(arguments.steps / window.cpu_seconds, 2),
        "median_per_s": window.median_per_s,
        "update_ms": train.mean_ms,
        "sample_ms": sample.mean_ms,
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in PACKAGES[arguments.peer]},
        },
    }


if __name__ == "__main__":
    main()
