"""`record.json`: how a record is written to it, and read from it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from rlx2_ray import files
from rlx2_ray.report.record.record import DenseArm, Record
from rlx2_ray.runs import sealed
from rlx2_ray.strict import first_problem
from rlx2_ray.tracking.uri import redacted
from rlx2_ray.types import Damaged

RECORD_FILE = "record.json"
MOST_BYTES = 2**26  # the dense curves of a thousand seeds
SILENCE_S = 120.0  # without a new record, after which its writer is taken for dead
# Keys that are in the file while they are empty too, by kind; others come when they are known.
WRITTEN_EMPTY = {"sweep": ("spaces_of",), "compress": ("dense", "decisions", "beliefs", "ultimate")}


def to_json(record: Record) -> str:
    """Returns the text of its file."""
    return sealed.to_text(to_content(record), 1)


def to_content(record: Record) -> dict[str, Any]:
    """Returns what its file holds, as plain values."""
    kept = ("messages", *WRITTEN_EMPTY.get(record.kind, ()))
    content: dict[str, Any] = _adapter().dump_python(record)
    return {key: value for key, value in content.items() if key in kept or value not in (None, (), {})}


def read_record(file: Path) -> Record:
    """Returns the record in a file without its trials. Raises Damaged where it is not as a campaign writes it."""
    try:
        content = files.read(file, MOST_BYTES)
    except FileNotFoundError:
        content = b""
    except OSError as error:
        raise Damaged(f"{file} cannot be read ({error.strerror}): make it readable, or restore a copy.") from None
    return parse_record(content, str(file))


def parse_record(text: bytes, where: str) -> Record:
    """Returns the record without its trials. Raises Damaged where the text is not as a campaign writes it."""
    try:
        return parse_content(sealed.parse(text))
    except ValueError as error:
        problem = str(error)
    raise Damaged(f"{where} is damaged or of another version ({problem}): restore it from a copy.")


def parse_content(content: Mapping[str, Any]) -> Record:
    """Returns the record that keys and values of a file say. Raises ValueError where they do not."""
    known = {key: value for key, value in content.items() if key not in ("trials", "source")}
    try:
        record = _adapter().validate_python(known)
    except ValidationError as error:
        raise ValueError(first_problem(error)) from None
    tracking = record.tracking  # of which an earlier version wrote all
    return record if tracking is None else replace(record, tracking=replace(tracking, uri=redacted(tracking.uri)))


@cache
def _adapter() -> TypeAdapter[Record]:
    return TypeAdapter(Record)


def parse_dense(content: object) -> DenseArm:
    """Returns the dense arm that plain values of a record or a result say."""
    return TypeAdapter(DenseArm).validate_python(content)


def as_seen(record: Record) -> Record:
    """Returns the record with the state that it has for others: a writer that was killed could not say so."""
    is_silent = record.updated is not None and time.time() - record.updated > SILENCE_S
    return replace(record, state="interrupted") if record.state == "running" and is_silent else record
