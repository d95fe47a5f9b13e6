"""Batches on their way to a run. What the store refuses is lost alone: one bad name does not cost the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from rlx2_ray.tracking.store import root_cause

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

Kind = Literal["metrics", "params", "tags"]
LARGEST = {"metrics": 1000, "params": 100, "tags": 100}  # of a batch, MLflow's limits
_REFUSALS = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST", "MALFORMED_REQUEST")


def send(client: MlflowClient, run_id: str, kind: Kind, entities: Sequence[Any]) -> dict[str, str]:
    """Send them; returns the names of those that the store refuses, and why. Raises where it is out of reach."""
    refused: dict[str, str] = {}
    for start in range(0, max(1, len(entities)), LARGEST[kind]):
        refused |= _send_batch(client, run_id, kind, entities[start : start + LARGEST[kind]])
    return refused


def _send_batch(client: MlflowClient, run_id: str, kind: Kind, batch: Sequence[Any]) -> dict[str, str]:
    from mlflow.exceptions import MlflowException

    try:
        client.log_batch(run_id, **{kind: batch})
    except MlflowException as error:
        is_active = error.error_code in _REFUSALS and client.get_run(run_id).info.lifecycle_stage == "active"
        if not is_active or not batch:  # it is the run that cannot be written to
            raise
        if len(batch) == 1:
            return {batch[0].key: root_cause(error)}
        half = len(batch) // 2
        return _send_batch(client, run_id, kind, batch[:half]) | _send_batch(client, run_id, kind, batch[half:])
    return {}
