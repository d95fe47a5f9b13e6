"""What C is written of, of floats or of integers: tables, and the loop over a row's weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlx2_ray.footprint.tables import COLUMNS, DENSE, GAPS, Tables

WIDTH = 110
NEW_LINE = "\n"  # which an f-string's expressions may not hold in Python 3.11

C_TYPES = {"float32": "float", "float64": "double"} | {
    each: f"{each}_t" for each in ("int8", "int16", "int32", "uint8", "uint16", "uint32")
}


class Kinds(NamedTuple):
    """C's types in a layer's function."""

    number: str  # of a sum
    value: str  # of what comes in


# Of each form; `count` is how many weights a row has.
LOOPS = {
    DENSE: """\
size_t place;
        for (place = 0; place < inputs; place++) sum += ({number})*weights++ * x[place];""",
    COLUMNS: """\
size_t count;
        for (count = {count}; count > 0; count--) sum += ({number})*weights++ * x[*places++];""",
    GAPS: """\
size_t count;
        const {value} *place = x;
        for (count = {count}; count > 0; count--) {{
            place += *places++;
            sum += ({number})*weights++ * *place;
        }}""",
}
# Of a block row: a diagonal goes from the column that is its place down to the right, and in its block around.
BLOCK_ROW = """\
        {number} {sums};
        size_t count;
        for (count = *counts++; count > 0; count--, places++) {{
            size_t turn = *places % {block};
            size_t first = *places - turn;
            const {value} *start = x + first;
            {number} weight = *weights++;
            {products}
        }}
        {answers}
        outputs = outputs > {block} ? outputs - {block} : 0;
"""


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


def sum_of_row(tables: Tables, kinds: Kinds, first: str, answer: str) -> str:
    """Returns what is done for each row: it sums up from `first`, and puts out `answer`, which has `{sum}` in it."""
    loop = LOOPS[tables.form].format(**kinds._asdict(), count="fan_in" if tables.has_fan_in else "*counts++")
    return f"""\
        {kinds.number} sum = {first};
        {loop}
        *y++ = {answer.format(sum="sum")};
"""


def sums_of_block(tables: Tables, kinds: Kinds, answer: str) -> str:
    """Returns what is done for each block of rows, the last of which may have fewer, and the last columns too."""
    block, rows = tables.block, range(tables.rows)
    places = [f"(turn + {row}) % {block}" if row else "turn" for row in rows]
    guards = [f"if (first + {place} < inputs) " if _is_ragged(tables) else "" for place in places]
    products = [f"{guards[row]}sum_{row} += weight * start[{places[row]}];" for row in rows]
    answers = [f"{f'if (outputs > {row}) ' if row else ''}*y++ = {answer.format(sum=f'sum_{row}')};" for row in rows]
    return BLOCK_ROW.format(
        **kinds._asdict(),
        block=block,
        sums=", ".join(f"sum_{row} = 0" for row in rows),
        products=f"{NEW_LINE}            ".join(products),
        answers=f"{NEW_LINE}        ".join(answers),
    )


def function(tables: Tables, parameters: Sequence[str], body: str) -> str:
    """Returns the function of a layer, of what is done for each row, or block of them."""
    head = "for (; outputs > 0; outputs--)" if tables.block == 1 else "while (outputs > 0)"
    return f"""\
static void {function_name(tables)}(
    {f",{NEW_LINE}    ".join(parameters)})
{{
    {head} {{
{body}    }}
}}
"""


def _is_ragged(tables: Tables) -> bool:
    return tables.inputs % tables.block > 0


def sizes(tables: Tables) -> dict[str, int]:
    """Returns what the function of a layer is told beside arrays: name -> value."""
    if tables.form == DENSE or _is_ragged(tables):
        of_rows = {"inputs": tables.inputs}
    else:
        of_rows = {"fan_in": tables.fan_in} if tables.counts is None else {}
    return of_rows | {"outputs": tables.outputs}


def place_names(tables: Tables, number: int) -> list[str]:
    """Returns the arrays that say where a layer's weights stand."""
    counts = [] if tables.counts is None else [f"counts_{number}"]
    return counts + ([] if tables.places is None else [f"{tables.form}_{number}"])


def function_name(tables: Tables) -> str:
    if tables.places is None:
        return tables.form
    if tables.counts is None:
        return f"constant_{tables.form}_{8 * tables.places.itemsize}"
    rows = f"rows_{tables.rows}_" if tables.rows < tables.block else ""
    ragged = "ragged_" if _is_ragged(tables) else ""
    return f"{rows}{ragged}{tables.form}_{8 * tables.counts.itemsize}_{8 * tables.places.itemsize}"
