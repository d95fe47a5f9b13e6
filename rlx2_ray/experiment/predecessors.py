"""What a run takes over from finished ones: an expert's critics, or a ticket's structure.

Sources: both are experiments of RLx2 (Tan et al. 2023, arXiv 2205.15043): figure 2, where the values of TD targets come
from a trained critic, and figures 3 and 7, where the structure that a run ended with is trained again from that run's
own initial weights (the lottery ticket of Frankle & Carbin 2019, arXiv 1803.03635).
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from rlx2_ray.agents.engines import make_learner
from rlx2_ray.agents.learner import Learner
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.networks.initial import fresh_layers
from rlx2_ray.networks.sparse_layer import Arrays, Layers, SparseLayer, from_arrays
from rlx2_ray.runs.checkpoint import DamagedCheckpoint, list_checkpoints, read_checkpoint
from rlx2_ray.runs.checkpoint_form import RunForm
from rlx2_ray.runs.directory import RunDirectory
from rlx2_ray.seeding import make_generator
from rlx2_ray.sparse.plan import plan_agent
from rlx2_ray.types import BadInput, Spaces


def expert_config(config: ExperimentConfig) -> ExperimentConfig | None:
    """The configuration of the run whose critics a run takes over, if it does. Raises BadInput where it is gone."""
    path = config.target.expert
    return None if path is None else _open("target.expert", path)[1]


class FinishedRun(NamedTuple):
    config: ExperimentConfig
    arrays: Arrays  # of its last checkpoint


def make_run_learner(config: ExperimentConfig, spaces: Spaces) -> Learner:
    """Make a new learner with what the configuration takes over. Raises BadInput where that cannot be read or used."""
    return make_learner(config, spaces, inherited_models(config, spaces))


def inherited_models(config: ExperimentConfig, spaces: Spaces) -> dict[str, Layers]:
    """The models that a run takes over, by name; the others begin afresh. Raises BadInput where one cannot be read."""
    models: dict[str, Layers] = {}
    if config.topology.ticket is not None:
        models |= _ticket(config, spaces, config.topology.ticket)
    if config.target.expert is not None:
        models["target_critic"] = _expert(config, spaces, config.target.expert)
    return models


def _expert(config: ExperimentConfig, spaces: Spaces, path: str) -> Layers:
    """The critics of the run in `path`; they may be wider, deeper or denser than the run's own."""
    run = _read("target.expert", path, spaces)
    if run.config.agent.normalize_observations:
        raise BadInput(
            f"target.expert is {path}, whose critics know normalised observations alone: give a run without "
            "agent.normalize_observations."
        )
    theirs, ours = run.config.network.critic_norm, config.network.critic_norm
    if theirs != ours:
        raise BadInput(
            f"network.critic_norm is {ours} but target.expert {path} was trained with {theirs}: give the same."
        )
    layers = from_arrays(run.arrays, "critic")
    inputs = spaces.observation_size + spaces.action_size
    if layers[0].shape[1] != inputs:
        raise BadInput(
            f"target.expert is {path}, whose critics have {layers[0].shape[1]} inputs and not {inputs}: give a run of "
            "the same environment."
        )
    return layers


def _ticket(config: ExperimentConfig, spaces: Spaces, path: str) -> dict[str, Layers]:
    """The last structure of the run in `path` with that run's own first weights; targets are copies."""
    key = "topology.ticket"
    run = _read(key, path, spaces)
    plans = plan_agent(run.config, spaces.observation_size, spaces.action_size)._asdict()
    models: dict[str, Layers] = {}
    for name, plan in plan_agent(config, spaces.observation_size, spaces.action_size)._asdict().items():
        last = from_arrays(run.arrays, name)
        if run.config.algo != config.algo or [layer.shape for layer in last] != [each.shape for each in plan.layers]:
            raise BadInput(
                f"{key} is {path}, whose {name} has other layers: give a run of the same environment, algorithm and "
                "network.hidden."
            )
        sparsity = getattr(run.config.sparsity, name)
        counts = [len(layer.indices) for layer in last]
        if counts != [each.active for each in plans[name].layers]:
            raise BadInput(
                f"{key} is {path}, whose {name} has not come to the weights that were planned, as with topology.hold "
                "and sparsity.block it need not: give another run."
            )
        if counts != [each.active for each in plan.layers]:
            raise BadInput(
                f"sparsity.{name} is {getattr(config.sparsity, name)} but {key} {path} was trained with {sparsity}: "
                "give the same."
            )
        fresh = fresh_layers(plans[name], run.config, make_generator(run.config.seed, name))
        models[name] = models[f"target_{name}"] = tuple(
            SparseLayer.from_dense(first.weights, layer.mask(), first.bias)
            for first, layer in zip(fresh, last, strict=True)
        )
    return models


def _open(key: str, path: str) -> tuple[RunDirectory, ExperimentConfig]:
    directory = RunDirectory(Path(path))
    if not directory.config_file.exists():
        raise BadInput(f"{key} is {path}, which holds no run: give a directory that 'rlx2 train' wrote.")
    return directory, directory.open()[0]


def _read(key: str, path: str, spaces: Spaces) -> FinishedRun:
    """Raises BadInput where there is no finished run, or its last checkpoint is gone or damaged."""
    directory, config = _open(key, path)
    if directory.read_result() is None:
        raise BadInput(f"{key} is {path}, a run that is not finished: 'rlx2 resume {path}' goes on with it.")
    checkpoints = list_checkpoints(directory.checkpoints)
    try:
        return FinishedRun(config, read_checkpoint(checkpoints[-1], RunForm(config, spaces)).arrays)
    except IndexError:
        raise BadInput(f"{key} is {path}, whose checkpoints are gone: give a run that has its last one.") from None
    except (DamagedCheckpoint, OSError) as error:
        raise BadInput(f"{key} is {path}, whose checkpoint is damaged ({error}): give another run.") from None
