"""Tables as MLflow's page of a run shows them: what `mlflow.log_table` writes, but as a whole and so repeatable."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

LOGGED_ARTIFACTS_TAG = "mlflow.loggedArtifacts"  # JSON list of {"path", "type"}: where the page finds its tables

Columns = Mapping[str, Sequence[object]]  # name -> values, a row each


def table_json(columns: Columns) -> str:
    """A table as JSON in pandas' orientation "split"; what JSON has no word for, NaN and infinity, becomes null."""
    rows = zip(*columns.values(), strict=True)
    return json.dumps({"columns": list(columns), "data": [[_plain(value) for value in row] for row in rows]})


def _plain(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list | tuple):
        return [_plain(element) for element in value]
    return value


def with_table(tag: str, path: str) -> str:
    """The tag's value with a table more; the same one where it is in there already."""
    entry = {"path": path, "type": "table"}
    entries = json.loads(tag or "[]")
    return tag if entry in entries else json.dumps([*entries, entry])
