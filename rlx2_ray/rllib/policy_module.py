"""A finished policy as a module of RLlib: its env runners, evaluations and offline tools act with it."""

from __future__ import annotations

import logging
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import gymnasium
import numpy as np
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor, nn

from rlx2_ray.agents.torch.sac.policy import sample_action
from rlx2_ray.algorithms import ALGORITHMS
from rlx2_ray.experiment.playback import find_policy
from rlx2_ray.networks.masked_mlp import MLP, forward
from rlx2_ray.networks.policy_file import PolicyFile, save_policy
from rlx2_ray.networks.policy_reader import CLIP, Normalization
from rlx2_ray.networks.policy_weights import PolicyWeights
from rlx2_ray.networks.sparse_layer import SparseLayer
from rlx2_ray.rllib.checkpoint_files import local_folder, write_class_files
from rlx2_ray.types import BadInput, Spaces

NORMALIZATION = ("observation_mean", "observation_scale")  # buffers
POLICY_FILE = "policy.safetensors"
EXPLORATION_NOISE = 0.1  # of TD3 where none is given, as `agent.exploration_noise`

logger = logging.getLogger(__name__)


class RLx2PolicyModule(TorchRLModule):  # type: ignore[misc]
    """Acts with a policy of any sparsity; it does not learn.

    Its actions are in [-1, 1]: RLlib's connectors bring them to the environment's bounds, as by default
    (`normalize_actions`). Observations and actions may have any shape that is as large as the policy's.

    `model_config` is {"policy": PATH}, a policy file or a run directory, and for TD3 perhaps {"exploration_noise": 0.1}
    in units of the action bound.
    """

    model_config: dict[str, Any]

    def setup(self) -> None:
        """Raises BadInput where there is no policy, or not for these spaces."""
        given = dict(self.model_config or {})
        policy = _read(Path(given.pop("policy"))) if "policy" in given else None
        # From here on without the path, so that a copy on another machine needs no file.
        self.model_config = {**given, **_describe(policy)} if policy else given
        self._check()
        layers = (_Layer(outputs, inputs) for inputs, outputs in pairwise(self.model_config["sizes"]))
        self.layers: Any = nn.ModuleList(layers)
        if self.model_config.get("normalizes"):
            for name in NORMALIZATION:
                self.register_buffer(name, torch.zeros(self.model_config["sizes"][0]))
        if policy:
            self._fill(policy.weights)

    def _check(self) -> None:
        if "sizes" not in self.model_config:
            raise BadInput("The module has no policy: give one by rl_module(model_config={'policy': PATH}).")
        wanted = self.model_config["sizes"][0], self.model_config["action_size"]
        given = _size(self.observation_space), _size(self.action_space)
        if given != wanted:
            raise BadInput(
                f"The policy is for {wanted[0]} observations and {wanted[1]} actions, but the environment has "
                f"{given[0]} and {given[1]}: give it the environment that it was trained on."
            )

    def _fill(self, policy: PolicyWeights) -> None:
        for own, values in zip(self._normalization, policy.normalization or (), strict=True):
            own.copy_(torch.from_numpy(values.copy()))
        for own, layer in zip(self.layers, policy.layers, strict=True):
            own.weight.copy_(torch.from_numpy(layer.scatter()))
            own.bias.copy_(torch.from_numpy(layer.bias.copy()))
            own.mask.copy_(torch.from_numpy(layer.mask()))

    @property
    def _is_stochastic(self) -> bool:
        return ALGORITHMS[self.model_config["algo"]].is_stochastic

    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Noise-free actions."""
        outputs = forward(self._mlp, self._observations(batch))
        if self._is_stochastic:
            outputs = outputs.chunk(2, dim=-1)[0]
        return self._actions(outputs.tanh())

    @torch.no_grad()
    def _forward_exploration(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """As in training: TD3 adds Gaussian noise, SAC takes a sample, and has the log of its density."""
        observations = self._observations(batch)
        noise = torch.randn(len(observations), self.model_config["action_size"], device=observations.device)
        if self._is_stochastic:
            actions, log_probs = sample_action(self._mlp, observations, noise)
            return {**self._actions(actions), Columns.ACTION_LOGP: log_probs}
        scale = self.model_config.get("exploration_noise", EXPLORATION_NOISE)
        actions = forward(self._mlp, observations).tanh() + scale * noise
        return self._actions(actions.clamp(-1, 1))

    @property
    def _mlp(self) -> MLP:
        return list(self.layers)  # they have the attributes of a MaskedLinear

    def _observations(self, batch: dict[str, Any]) -> Tensor:
        """(B, observation_size)"""
        observations: Tensor = batch[Columns.OBS]
        observations = observations.reshape(len(observations), -1).float()
        if not self._normalization:
            return observations
        mean, scale = self._normalization
        return ((observations - mean) * scale).clamp(-CLIP, CLIP)

    @property
    def _normalization(self) -> list[Tensor]:
        """Mean and scale, or nothing."""
        return [getattr(self, name) for name in NORMALIZATION if self.model_config.get("normalizes")]

    def _actions(self, actions: Tensor) -> dict[str, Any]:
        if self._is_integer:  # RLlib's connectors take them for numbers of places above the lower bound
            span = self.action_space.high.astype(np.float64) - self.action_space.low
            half_range = torch.from_numpy(span.ravel() / 2).to(actions.device)
            dtype = torch.from_numpy(np.empty(0, self.action_space.dtype)).dtype
            actions = ((actions + 1.0) * half_range + 0.5).floor().to(torch.int64).to(dtype)
        return {Columns.ACTIONS: actions.reshape(len(actions), *self.action_space.shape)}

    @property
    def _is_integer(self) -> bool:
        return bool(self.action_space.dtype.kind in "iub")

    # Saved as what `rlx2 evaluate` takes too, with the files that RLlib wants beside it.

    def save_to_path(
        self, path: str | Path | None = None, *, filesystem: object = None, state: object = None, **kwargs: Any
    ) -> str:
        """Writes policy.safetensors into a local folder. RLlib's `state` and `use_msgpack` change nothing."""
        folder = local_folder(path, filesystem)
        folder.mkdir(parents=True, exist_ok=True)
        save_policy(folder / POLICY_FILE, self.to_policy_file())
        write_class_files(self, folder)
        return str(folder)

    def restore_from_path(self, path: str | Path, *, filesystem: object = None, **kwargs: Any) -> None:
        """The weights of a module, a run or a policy file, of the same sizes. Raises BadInput for a damaged one."""
        policy = _read(local_folder(path, filesystem))
        described = _describe(policy)
        if any(described.get(key) != self.model_config.get(key) for key in ("algo", "sizes", "normalizes")):
            raise BadInput(f"{path} is a policy of other sizes: make the module from it by from_checkpoint.")
        self._fill(policy.weights)

    @classmethod
    def from_checkpoint(cls, path: str | Path, filesystem: object = None, **kwargs: Any) -> Self:
        """Makes the module of a saved one, a run directory or a policy file; nothing is unpickled. Raises BadInput."""
        file = local_folder(path, filesystem)
        spaces = _read(file).spaces
        made: Self = cls(
            observation_space=gymnasium.spaces.Box(-np.inf, np.inf, (spaces.observation_size,), np.float32),
            action_space=_action_space(spaces),
            inference_only=True,
            model_config={"policy": str(file), **kwargs},
        )
        return made

    def to_policy_file(self) -> PolicyFile:
        layers = tuple(
            SparseLayer.from_dense(layer.weight.cpu().numpy(), layer.mask.cpu().numpy(), layer.bias.cpu().numpy())
            for layer in self.layers
        )
        low, high = (tuple(map(float, bound.ravel())) for bound in (self.action_space.low, self.action_space.high))
        spaces = Spaces(self.model_config["sizes"][0], self.model_config["action_size"], low, high, self._is_integer)
        arrays = [tensor.cpu().numpy().copy() for tensor in self._normalization]
        inputs = Normalization(*arrays) if arrays else None
        return PolicyFile(layers, self.model_config["algo"], self.model_config["env"], spaces, normalization=inputs)


class _Layer(nn.Module):
    normalized = False

    def __init__(self, outputs: int, inputs: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(outputs, inputs))
        self.register_buffer("bias", torch.zeros(outputs))
        self.register_buffer("mask", torch.zeros(outputs, inputs, dtype=torch.bool))


def _read(path: Path) -> PolicyFile:
    return find_policy(path, logger.warning)


def _describe(policy: PolicyFile) -> dict[str, Any]:
    """All that a module without weights is made from."""
    sizes = [policy.layers[0].shape[1], *(layer.shape[0] for layer in policy.layers)]
    described = {"algo": policy.algo, "env": policy.env, "sizes": sizes, "action_size": policy.spaces.action_size}
    return described | ({"normalizes": True} if policy.normalization else {})


def _action_space(spaces: Spaces) -> gymnasium.spaces.Box:
    dtype: type[Any] = np.int64 if spaces.action_is_integer else np.float32
    low, high = (np.asarray(bound).astype(dtype) for bound in (spaces.action_low, spaces.action_high))
    return gymnasium.spaces.Box(low, high, dtype=dtype)


def _size(space: gymnasium.Space[Any]) -> int:
    """Of a Box; 0 for any other space, which no policy is for."""
    return int(np.prod(space.shape)) if isinstance(space, gymnasium.spaces.Box) else 0
