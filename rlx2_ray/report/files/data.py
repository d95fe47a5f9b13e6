"""Arms and pairs as CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

from rlx2_ray.report.analysis.run_rows import run_rows
from rlx2_ray.report.files.rows import Row, arm_rows, pair_rows
from rlx2_ray.report.page.page import write_page
from rlx2_ray.report.record.record import Record


def write_csv(records: Sequence[Record], path: Path) -> list[Path]:
    """Writes the arms, and beside them the pairs where there are any; returns the files."""
    files = [write_page(path, _csv(arm_rows(records)))]
    if found := pair_rows(records):
        files.append(write_page(path.with_name(f"{path.stem}_pairs{path.suffix}"), _csv(found)))
    return files


def write_json(records: Sequence[Record], path: Path) -> list[Path]:
    """Writes one object with the arms, their pairs and the runs that they are made of."""
    runs = [{name: None if value != value else value for name, value in row.items()} for row in run_rows(records)]
    content = {"arms": arm_rows(records), "pairs": pair_rows(records), "runs": runs}
    return [write_page(path, json.dumps(content, indent=1, allow_nan=False) + "\n")]


def _csv(rows: Sequence[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
