"""Which env steps of a run are evaluated, and which of its evaluations make its score.

Evaluations are due at every multiple of `interval` and at the end. Before those that are scored, the last
`score_window`, they may be rarer: at the multiples of `early_interval`.
"""

from __future__ import annotations

from collections.abc import Iterator

from rlx2_ray.config.schema import LARGEST_WINDOW, ExperimentConfig


def default_score_window(steps: int, interval: int) -> int:
    """The last 30 evaluations where those are at most a quarter of all, else that quarter."""
    return max(1, min(LARGEST_WINDOW, _count(steps, interval) // 4))


def first_scored(config: ExperimentConfig) -> int:
    """The env step of the first evaluation that counts for the score of the whole run."""
    steps, interval = config.steps, config.evaluation.interval
    number = _count(steps, interval) - config.evaluation.score_window + 1
    return min(max(number, 1) * interval, steps)


def next_evaluation(config: ExperimentConfig, evaluated: int) -> int:
    """The env step of the evaluation that follows the one of `evaluated`; the end of the run after the last."""
    evaluation, scored = config.evaluation, first_scored(config)
    following = _multiple_after(evaluated, evaluation.interval)
    if following < scored:
        following = min(_multiple_after(evaluated, evaluation.early_interval), scored)
    return min(following, config.steps)


def evaluated_steps(config: ExperimentConfig) -> Iterator[int]:
    """The env steps of all evaluations of a run, in order."""
    env_steps = 0
    while env_steps < config.steps:
        env_steps = next_evaluation(config, env_steps)
        yield env_steps


def _count(steps: int, interval: int) -> int:
    """The multiples of the interval up to `steps`, which itself counts as one."""
    return -(-steps // interval)


def _multiple_after(env_steps: int, interval: int) -> int:
    return (env_steps // interval + 1) * interval
