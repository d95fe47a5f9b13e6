"""The code of a logged policy: MLflow copies this one file into the model and runs it wherever the model is loaded.

It stands alone, so that the model acts where this package is not installed; the package's own reader of policies, which
needs no more, is in the model too, as an artifact.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow.pyfunc import PythonModel


class SparsePolicy(PythonModel):  # type: ignore[misc]
    """Noise-free actions of a policy.safetensors, within the environment's bounds."""

    def load_context(self, context: Any) -> None:
        path = Path(context.artifacts["policy"])
        reader = _import(context.artifacts["reader"])
        if path.stat().st_size > reader.LARGEST_FILE:
            raise ValueError(f"{path} is larger than any policy that rlx2 wrote: register the policy again.")
        try:
            content = reader.parse(path.read_bytes())
            spaces = reader.parse_spaces(content.spaces)
        except ValueError as problem:
            raise ValueError(f"{path} {problem}") from None
        self._size = spaces["action_size"]  # of SAC's outputs the first half, the mean
        # In double, since bounds may lie far from zero.
        self._low = np.asarray(spaces["action_low"], np.float64)
        self._high = np.asarray(spaces["action_high"], np.float64)
        self._is_integer = spaces["action_is_integer"]
        self._normalization = content.normalization
        self._layers: list[tuple[np.ndarray, np.ndarray]] = []  # (weights, bias)
        for layer in content.layers:
            weights = np.zeros(layer.shape, np.float32)
            weights.ravel()[layer.indices] = layer.weights
            self._layers.append((weights, layer.bias))

    def predict(self, context: Any, model_input: np.ndarray, params: dict[str, Any] | None = None) -> np.ndarray:
        """(N, action_size) actions in the environment's units for (N, observation_size) observations.

        These may be an array of any numbers, lists, a DataFrame, or what MLflow's server makes of a request, whatever
        the hint says: MLflow warns of others.
        """
        hidden = _to_observations(model_input, self._layers[0][0].shape[1])
        hidden = hidden if self._normalization is None else self._normalization.apply(hidden)
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


def _import(path: str) -> Any:
    """The module in a file, under a name that no other module has."""
    spec = importlib.util.spec_from_file_location("rlx2_policy_reader", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its types look for it
    spec.loader.exec_module(module)
    return module


mlflow.models.set_model(SparsePolicy())
