"""What C is written of, of floats or of integers: tables, and the loop over a row's weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlx2_ray.footprint.tables import COLUMNS, DENSE, GAPS, Tables

WIDTH = 110
NEW_LINE = "\n"  # which an f-string's expressions may not hold in Python 3.11

C_TYPES = {"float32": "float", "float64": "double"} | {
    each: f"{each}_t" for each in ("int8", "int16", "int32", "uint8", "uint16", "uint32")
}
# Of each form; `count` is how many weights a row has, `number` is the type of a sum, `value` that of what comes in.
SUMS = {
    DENSE: "for (place = 0; place < inputs; place++) sum += ({number})*weights++ * x[place];",
    COLUMNS: "for (count = {count}; count > 0; count--) sum += ({number})*weights++ * x[*places++];",
    GAPS: """\
for (count = {count}; count > 0; count--) {{
            place += *places++;
            sum += ({number})*weights++ * *place;
        }}""",
}
LOCALS = {DENSE: "size_t place;", COLUMNS: "size_t count;", GAPS: "size_t count;\n        const {value} *place = x;"}


def table(name: str, array: NDArray[Any]) -> str:
    """Returns a `static const` array that holds the values exactly."""
    literal = _double_literal if array.dtype == np.float64 else _literal
    values = [literal(value) for value in array.tolist()] or ["0"]  # C has no empty arrays
    lines = [""]
    for value in values:
        if len(lines[-1]) + len(value) > WIDTH:
            lines.append("")
        lines[-1] += f"{value}, "
    body = "".join(f"    {line.rstrip()}\n" for line in lines)
    return f"static const {C_TYPES[array.dtype.name]} {name}[{len(values)}] = {{\n{body}}};\n"


def _literal(value: float) -> str:
    """Nine digits bring back any float32 exactly."""
    if isinstance(value, int):
        return str(value)
    text = f"{value:.9g}"
    return f"{text}f" if set(text) & set(".en") else f"{text}.0f"


def _double_literal(value: float) -> str:
    return repr(value)


def sum_of_row(tables: Tables, number: str) -> str:
    """Returns the loop that adds to `sum`, of a C type."""
    return SUMS[tables.form].format(number=number, count="fan_in" if tables.has_fan_in else "*counts++")


def sizes(tables: Tables) -> dict[str, int]:
    """Returns what the function of a layer is told beside arrays: name -> value."""
    of_rows = {"inputs": tables.inputs} if tables.form == DENSE else {"fan_in": tables.fan_in}
    return (of_rows if tables.counts is None else {}) | {"outputs": tables.outputs}


def place_names(tables: Tables, number: int) -> list[str]:
    """Returns the arrays that say where a layer's weights stand."""
    counts = [] if tables.counts is None else [f"counts_{number}"]
    return counts + ([] if tables.places is None else [f"{tables.form}_{number}"])


def function_name(tables: Tables) -> str:
    if tables.places is None:
        return tables.form
    if tables.counts is None:
        return f"constant_{tables.form}_{8 * tables.places.itemsize}"
    return f"{tables.form}_{8 * tables.counts.itemsize}_{8 * tables.places.itemsize}"
