"""What a trial reports, and so what a sweep can search and stop by."""

from __future__ import annotations

import difflib

from rlx2_ray.config import ExperimentConfig
from rlx2_ray.runs.scores import DEPLOYED, IN_TUNE
from rlx2_ray.types import BadInput

AT_EVALUATIONS = (  # `score` is that of the evaluations so far
    "score",
    "return_mean",
    "return_std",
    "env_steps",
    "learner_steps",
    "wall_s",
    "replay/size",
    "replay/policy_distance",
    "throughput/env_steps_per_s",
    "throughput/learner_steps_per_s",
    "topology/critic_overlap",
    "topology/policy_overlap",
    "train/critic_loss",
    "train/policy_loss",
    "train/q_mean",
)
OF_SAC = ("train/entropy", "train/temperature")
AT_THE_END = (
    "active_weights",
    "compression",
    "critic_sparsity",
    "env_steps_per_s",
    "inference_flops_ratio",
    "learner_steps_per_s",
    "policy_sparsity",
    "size_ratio",
    "train_flops_ratio_counted",
    "train_flops_ratio_paper",
)
OF_DEPLOYED = IN_TUNE[DEPLOYED]  # known at the end, NaN before
REPORTED = (*AT_EVALUATIONS, *OF_SAC, *AT_THE_END, OF_DEPLOYED)


def check_metric(metric: str, example: ExperimentConfig, scheduler: str) -> None:
    """Raises BadInput for what no trial reports, or reports too late for the scheduler."""
    if metric not in REPORTED:
        near = difflib.get_close_matches(metric, REPORTED, n=3, cutoff=0.5) or ["score", "return_mean"]
        raise BadInput(f"tune.metric is {metric!r}, which no trial reports: choose for example {' or '.join(near)}.")
    if metric in OF_SAC and example.algo != "sac":
        raise BadInput(
            f"tune.metric is {metric!r}, which only sac reports, not {example.algo}: choose for example score."
        )
    if metric == OF_DEPLOYED and not example.evaluation.deployed_episodes:
        raise BadInput(
            f"tune.metric is {metric!r}, but evaluation.deployed_episodes is 0, so that no trial reports it: raise it, "
            "such as to 30, or choose score."
        )
    if metric in (*AT_THE_END, OF_DEPLOYED) and scheduler != "none":
        raise BadInput(
            f"tune.metric is {metric!r}, known only at a trial's end, but scheduler {scheduler} looks at it before: "
            "choose for example score."
        )
