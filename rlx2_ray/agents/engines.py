"""The one place that chooses among engines and algorithms. torch is imported only where one of its learners lives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rlx2_ray.agents.learner import Learner
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.networks.sparse_layer import Layers
from rlx2_ray.types import BadInput, Spaces

if TYPE_CHECKING:
    from rlx2_ray.agents.sparse.learner import SparseLearner


Models = Mapping[str, Layers]


def make_learner(config: ExperimentConfig, spaces: Spaces, models: Models | None = None) -> Learner:
    """A new learner of the configured algorithm and engine; `models`: what it has instead of fresh ones, by name."""
    return (_make_sparse if config.engine == "sparse" else _make_torch)(config, spaces, models)


def prepare_engine(config: ExperimentConfig) -> None:
    """Have compiled what the engine needs, where that has not been done on this machine."""
    if config.engine == "sparse":
        from rlx2_ray.agents.warm_up import warm_up

        warm_up(config.algo, _sparse_class(config))


def _sparse_class(config: ExperimentConfig) -> type[SparseLearner]:
    from rlx2_ray.agents.sparse.sac.learner import SparseSACLearner
    from rlx2_ray.agents.sparse.td3.learner import SparseTD3Learner

    return SparseTD3Learner if config.algo == "td3" else SparseSACLearner


def _make_sparse(config: ExperimentConfig, spaces: Spaces, models: Models | None) -> Learner:
    prepare_engine(config)
    learner: Learner = _sparse_class(config)(config, spaces, models)
    return learner


def _make_torch(config: ExperimentConfig, spaces: Spaces, models: Models | None) -> Learner:
    from rlx2_ray.agents.torch.sac.learner import SACLearner
    from rlx2_ray.agents.torch.td3.learner import TD3Learner

    return (TD3Learner if config.algo == "td3" else SACLearner)(config, spaces, models)


def check_engine(config: ExperimentConfig) -> None:
    """Raises BadInput where the engine cannot use the configured device."""
    if config.engine == "sparse":
        if config.device != "cpu":
            raise BadInput(f"device is {config.device!r}, but the sparse engine computes on the cpu: set engine torch.")
        return
    from rlx2_ray.agents.torch.device import is_usable

    if not is_usable(config.device):
        raise BadInput(f"device is {config.device!r}, which torch cannot use here: choose cpu.")
