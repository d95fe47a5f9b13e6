"""The code of a logged policy: MLflow copies this one file into the model and runs it wherever the model is loaded.

It stands alone, so that the model acts where this package is not installed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import mlflow
import numpy as np
from mlflow.pyfunc import PythonModel
from safetensors import safe_open


class SparsePolicy(PythonModel):  # type: ignore[misc]
    """Noise-free actions of a policy.safetensors, within the environment's bounds."""

    def load_context(self, context: Any) -> None:
        with safe_open(context.artifacts["policy"], "numpy") as file:
            metadata = file.metadata()
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
        if metadata.pop("digest", None) != _digest(metadata, arrays):
            path = context.artifacts["policy"]
            raise ValueError(f"{path} is damaged (its content does not match its digest): register the policy again.")
        spaces = json.loads(metadata["spaces"])
        self._size = int(spaces["action_size"])  # of SAC's outputs the first half, the mean
        # In double, since bounds may lie far from zero.
        self._low = np.asarray(spaces["action_low"], np.float64)
        self._high = np.asarray(spaces["action_high"], np.float64)
        self._is_integer = spaces.get("action_is_integer", False)
        self._layers: list[tuple[np.ndarray, np.ndarray]] = []  # (weights, bias)
        while (key := f"policy.{len(self._layers)}.") + "shape" in arrays:
            weights = np.zeros(arrays[key + "shape"], np.float32)
            weights.ravel()[arrays[key + "indices"]] = arrays[key + "weights"]
            self._layers.append((weights, arrays[key + "bias"]))

    def predict(self, context: Any, model_input: np.ndarray, params: dict[str, Any] | None = None) -> np.ndarray:
        """(N, action_size) actions in the environment's units for (N, observation_size) observations.

        These may be an array of any numbers, lists, a DataFrame, or what MLflow's server makes of a request, whatever
        the hint says: MLflow warns of others.
        """
        hidden = _to_observations(model_input, self._layers[0][0].shape[1])
        for weights, bias in self._layers[:-1]:
            hidden = np.maximum(hidden @ weights.T + bias, 0)
        weights, bias = self._layers[-1]
        action = np.tanh(hidden @ weights[: self._size].T + bias[: self._size])
        scaled: np.ndarray = self._low + (action + 1.0) * ((self._high - self._low) / 2)
        return (np.floor(scaled + 0.5) if self._is_integer else scaled).astype(np.float32)


def _to_observations(given: Any, size: int) -> np.ndarray:
    if isinstance(given, Mapping) and len(given) == 1:  # the server's, where a request names its input
        (given,) = given.values()
    try:
        values = np.asarray(given)
        values = np.asarray(values.ravel().tolist() if values.dtype == object else values, np.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(f"The observations are no numbers ({error}): give {size} for each.") from None
    values = values[np.newaxis] if values.ndim == 1 else values
    if values.ndim != 2 or values.shape[1] != size:
        raise ValueError(f"The observations have shape {values.shape}: give (N, {size}).")
    return values


def _digest(metadata: Mapping[str, str], arrays: Mapping[str, np.ndarray]) -> str:
    """That of a policy file, as the package makes it."""
    policy = hashlib.sha256()
    for number in range(len(arrays) // 4):
        for name in ("shape", "indices", "weights", "bias"):
            policy.update(arrays[f"policy.{number}.{name}"].tobytes())
    return hashlib.sha256((json.dumps(metadata, sort_keys=True) + policy.hexdigest()).encode()).hexdigest()


mlflow.models.set_model(SparsePolicy())
