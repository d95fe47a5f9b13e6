"""One run, trained as `rlx2 train` does."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from rlx2_ray.agents.engines import check_engine
from rlx2_ray.api import configuration
from rlx2_ray.api.configuration import Given
from rlx2_ray.api.policy import Policy, load_policy
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.distributed.launch import train as train_on_runtime
from rlx2_ray.experiment import session
from rlx2_ray.runs.directory import Tracking
from rlx2_ray.runs.scores import deployed_of
from rlx2_ray.tracking.uri import default_experiment, default_tracking_uri


@dataclass(frozen=True)
class Result:
    """What a run came to."""

    directory: Path
    values: Mapping[str, Any]  # the keys of its result.json

    @property
    def score(self) -> float:
        """The mean return of its last evaluations."""
        return float(self.values["score"])

    @property
    def deployed(self) -> float | None:
        """The mean return of its best policy on fresh episodes; None where it was not played."""
        return deployed_of(self.values)

    @property
    def compression(self) -> float:
        """How many times fewer weights than the dense agent it has."""
        return float(self.values["compression"])

    def policy(self, *, best: bool = False) -> Policy:
        """Load the policy of its end, or of its best evaluation."""
        return load_policy(self.directory, best=best)


def train(
    config: Given = None,
    /,
    *,
    out: str | PathLike[str] | None = None,
    tracking_uri: str | None = None,
    experiment: str | None = None,
    **keys: Any,
) -> Result:
    """Train one agent to its end, as `rlx2 train` does: log it to MLflow, and leave its run directory.

    Args:
        config: a YAML file, or a mapping of keys, nested or dotted; what is not given has the default.
        out: the run directory; by default runs/ENV-ALGO-METHOD-sSEED-TIME.
        tracking_uri: the MLflow store; by default MLFLOW_TRACKING_URI, or sqlite:///mlflow.db.
        experiment: the MLflow experiment; by default MLFLOW_EXPERIMENT_NAME, or rlx2.
        keys: win over `config`: those of `rlx2 train`'s options (env, algo, method, policy_sparsity, critic_sparsity,
            steps, seed, engine, runtime, rollout_actors, replay_shards), or sections, as agent={"discount": 0.98}.

    Raises:
        BadInput: a key, a value or the directory cannot be used; nothing was written.
        RunFailed: the work failed; what was saved is kept.
        Interrupted: Ctrl-C; the run was checkpointed, and `rlx2 resume` goes on with it.

    """
    resolved = configuration.read(config, keys)
    with _one_thread(resolved):
        return train_config(resolved, None if out is None else Path(out), tracking_uri, experiment)


def train_config(
    config: ExperimentConfig, out: Path | None, tracking_uri: str | None, experiment: str | None
) -> Result:
    """Do as `train`, with a resolved configuration."""
    tracking = Tracking(tracking_uri or default_tracking_uri(), experiment or default_experiment())
    directory = out or default_directory(config)
    return Result(directory, session.start(config, directory, tracking, train_on_runtime))


def default_directory(config: ExperimentConfig) -> Path:
    env_id = config.env.id.replace("/", "_").replace(":", "_")
    moment = time.strftime("%Y%m%d-%H%M%S")
    return Path("runs") / f"{env_id}-{config.algo}-{config.method}-s{config.seed}-{moment}"


@contextmanager
def _one_thread(config: ExperimentConfig) -> Iterator[None]:
    """As the commands work (cli/threads.py): with more, the order of a sum, and its last bit, would differ."""
    check_engine(config)  # loads torch where it is used: what is loaded later would not be limited
    with threadpool_limits(1):
        yield
