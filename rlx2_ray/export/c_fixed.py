"""The C of a policy in integers alone (`fixed_point.py`): its functions, and the border where floats come in."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rlx2_ray.export.c_text import (
    C_TYPES,
    Kinds,
    function,
    function_name,
    place_names,
    sizes,
    sum_of_row,
    sums_of_block,
    table,
)
from rlx2_ray.export.fixed_point import MOST, OUTPUT_STEPS, TANH, TANH_BITS, FixedLayer, FixedNetwork, Shorts
from rlx2_ray.footprint.tables import Tables, each_row, encode_fixed, matrix_of

SHARED_BYTES = TANH.nbytes  # of the table that every policy has
FIXED_TABLES = ("limits", "steps", "squashed")


class Fixed(NamedTuple):
    """What a policy in integers has beside the tables of its layers."""

    limits: Shorts  # (layers,), up to which the values reach that come into each
    steps: float  # of an observation's number, in 1


def tables_of(network: FixedNetwork) -> tuple[list[Tables], Fixed]:
    return [encode_fixed(*layer) for layer in network.layers], Fixed(network.limits, network.steps)


def network_of(layers: list[Tables], fixed: Fixed) -> FixedNetwork:
    """Returns what the tables hold, of layers that have multipliers and shifts."""
    found = []
    for tables in layers:
        assert tables.multipliers is not None
        assert tables.shifts is not None
        multipliers, shifts = each_row(tables, tables.multipliers), each_row(tables, tables.shifts)
        found.append(FixedLayer(matrix_of(tables), tables.bias, multipliers, shifts, tables.block))
    return FixedNetwork(found, fixed.limits, fixed.steps)


def fixed_tables(fixed: Fixed) -> str:
    arrays = (fixed.limits, np.array([fixed.steps], np.float32), TANH)
    return "".join(map(table, FIXED_TABLES, arrays))


def declaration(name: str, fixed: Fixed, is_normalized: bool) -> str:
    """Of the header."""
    macro = name.upper()
    what = "the observation, normalised as the other function does it," if is_normalized else "the observation"
    return f"""\
/* The same in integers alone, for a chip without a floating point unit. In: {what}
   in {fixed.steps:.15g} steps to 1. Out: how far each action is from the middle of its range, whose half is {MOST}.
   Numbers beyond what was foreseen count as the greatest; whatever comes in, no sum overflows. */
void {name}_act_fixed(const int16_t observation[{macro}_OBSERVATION_SIZE], int16_t action[{macro}_ACTION_SIZE]);
"""


FUNCTIONS = f"""\
static int16_t within(int16_t x, int16_t limit)
{{
    return x > limit ? limit : x < -limit ? (int16_t)-limit : x;
}}

/* sum * multiplier / 2^shift, the nearest, within the limit. */
static int16_t rescaled(int32_t sum, int32_t multiplier, unsigned shift, int16_t limit)
{{
    int64_t scaled = (int64_t)(sum < 0 ? -sum : sum) * multiplier;
    scaled = (scaled + ((int64_t)1 << shift >> 1)) >> shift;
    if (scaled > limit) scaled = limit;
    return (int16_t)(sum < 0 ? -scaled : scaled);
}}

/* {MOST} times tanh(x / {OUTPUT_STEPS}), to 1e-4 of it. */
static int16_t squash(int16_t x)
{{
    int32_t distance = x < 0 ? -x : x;
    const int16_t *at = squashed + (distance >> {TANH_BITS});
    int32_t between = distance & {2**TANH_BITS - 1};
    int32_t value = at[0] + (((at[1] - at[0]) * between + {2 ** (TANH_BITS - 1)}) >> {TANH_BITS});
    return (int16_t)(x < 0 ? -value : value);
}}

/* Of a number that is none the greatest; act() then gives none. */
static int16_t fixed(float x)
{{
    float limit = (float)limits[0];
    x *= steps[0];
    if (!(x < limit)) return limits[0];
    if (x <= -limit) return (int16_t)-limits[0];
    return (int16_t)(x < 0.0f ? x - 0.5f : x + 0.5f);
}}
"""

RECTIFY = """\
static void relu(int16_t *x, size_t size)
{
    for (; size > 0; size--, x++) {
        if (*x < 0) *x = 0;
    }
}
"""


def layer_function(tables: Tables) -> str:
    parameters = ["const int16_t *x", "int16_t *y", *(f"size_t {name}" for name in sizes(tables)), "int16_t limit"]
    for name in ("counts", "places", "weights", "bias", "multipliers", "shifts"):
        array = getattr(tables, name)
        parameters += [] if array is None else [f"const {C_TYPES[array.dtype.name]} *{name}"]
    kinds = Kinds("int32_t", "int16_t")
    if tables.block > 1:
        body = sums_of_block(tables, kinds, "rescaled({sum} + *bias++, *multipliers, *shifts, limit)")
        body += "        multipliers++, shifts++;\n"
    else:
        body = sum_of_row(tables, kinds, "*bias++", "rescaled({sum}, *multipliers++, *shifts++, limit)")
    return function(tables, parameters, body)


def act_fixed(name: str, layers: list[Tables], buffers: dict[str, int]) -> str:
    """The function of integers; `buffers`: name -> size, which the hidden layers take turns with."""
    macro, names = name.upper(), list(buffers)
    lines = [f"int16_t {buffer}[{size}];" for buffer, size in buffers.items()]
    lines += [f"int16_t input[{layers[0].inputs}];", "size_t index;"]
    lines.append(f"for (index = 0; index < {layers[0].inputs}; index++) {{")
    lines += ["    input[index] = within(observation[index], limits[0]);", "}"]
    source = "input"
    for number, tables in enumerate(layers, start=1):
        is_last = number == len(layers)
        target = "action" if is_last else names[(number - 1) % 2]
        limit = str(MOST) if is_last else f"limits[{number}]"
        lines.append(f"{function_name(tables)}({', '.join(_arguments(number, tables, source, target, limit))});")
        if not is_last:
            lines.append(f"relu({target}, {tables.outputs});")
        source = target
    lines.append(f"for (index = 0; index < {layers[-1].outputs}; index++) action[index] = squash(action[index]);")
    body = "".join(f"    {line}\n" for line in lines)
    return f"""\
void {name}_act_fixed(const int16_t observation[{macro}_OBSERVATION_SIZE], int16_t action[{macro}_ACTION_SIZE])
{{
{body}}}
"""


def _arguments(number: int, tables: Tables, source: str, target: str, limit: str) -> list[str]:
    names = place_names(tables, number)
    names += [f"{kind}_{number}" for kind in ("weights", "bias", "multipliers", "shifts")]
    return [source, target, *map(str, sizes(tables).values()), limit, *names]
