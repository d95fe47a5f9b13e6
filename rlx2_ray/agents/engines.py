"""The one place that chooses among engines and algorithms. torch is imported only where one of its learners lives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from rlx2_ray.agents.learner import Learner
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.networks.sparse_layer import Layers
from rlx2_ray.types import BadInput, Spaces

if TYPE_CHECKING:
    from rlx2_ray.agents.sparse.learner import SparseLearner
    from rlx2_ray.agents.torch.learner import TorchLearner

Models = Mapping[str, Layers]
Make = Callable[[ExperimentConfig, Spaces, Models | None], Learner]


def make_learner(config: ExperimentConfig, spaces: Spaces, models: Models | None = None) -> Learner:
    """A new learner of the configured algorithm and engine; `models`: what it has instead of fresh ones, by name."""
    prepare_engine(config)
    learners: Mapping[str, Make] = sparse_learners() if config.engine == "sparse" else torch_learners()
    return learners[config.algo](config, spaces, models)


def prepare_engine(config: ExperimentConfig) -> None:
    """Have compiled what the engine needs, where that has not been done on this machine."""
    if config.engine == "sparse":
        from rlx2_ray.agents.warm_up import warm_up

        warm_up(config.algo, sparse_learners()[config.algo])


def sparse_learners() -> dict[str, type[SparseLearner]]:
    """The sparse engine's class of learner of each algorithm."""
    from rlx2_ray.agents.sparse.sac.learner import SparseSACLearner
    from rlx2_ray.agents.sparse.td3.learner import SparseTD3Learner

    return {"td3": SparseTD3Learner, "sac": SparseSACLearner}


def torch_learners() -> dict[str, type[TorchLearner]]:
    """The torch engine's class of learner of each algorithm."""
    from rlx2_ray.agents.torch.sac.learner import SACLearner
    from rlx2_ray.agents.torch.td3.learner import TD3Learner

    return {"td3": TD3Learner, "sac": SACLearner}


def check_engine(config: ExperimentConfig) -> None:
    """Raises BadInput where the engine cannot use the configured device."""
    if config.engine == "sparse":
        if config.device != "cpu":
            raise BadInput(f"device is {config.device!r}, but the sparse engine computes on the cpu: set engine torch.")
        return
    if config.engine == "population":
        check_population(config)
    from rlx2_ray.agents.torch.device import is_usable

    if not is_usable(config.device):
        raise BadInput(f"device is {config.device!r}, which torch cannot use here: choose cpu.")


def check_population(config: ExperimentConfig) -> None:
    """Raises BadInput for what no member of a population has."""
    runtime = config.runtime
    if runtime.kind != "inline":
        raise BadInput(f"runtime.kind is {runtime.kind}, but engine population is its own runtime: leave it out.")
    if runtime.envs_per_rollout != 1:
        raise BadInput(
            f"runtime.envs_per_rollout is {runtime.envs_per_rollout}, but a member of engine population has one "
            "environment: leave it out."
        )
