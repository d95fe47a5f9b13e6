"""A policy as C99: a header and a source that need no heap, no library and nothing of this program.

All tables are `const`, so that a linker puts them into flash. The activations are on the stack.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlx2_ray import __version__
from rlx2_ray.envs.actions import are_far, half_ranges
from rlx2_ray.export import c_fixed
from rlx2_ray.export.c_fixed import Fixed
from rlx2_ray.export.c_text import (
    C_TYPES,
    NEW_LINE,
    Kinds,
    function,
    function_name,
    place_names,
    sizes,
    sum_of_row,
    sums_of_block,
    table,
)
from rlx2_ray.export.fixed_point import MOST
from rlx2_ray.export.identity import sha256
from rlx2_ray.footprint.tables import Tables, matrix_of
from rlx2_ray.networks.policy_reader import CLIP, Normalization
from rlx2_ray.types import BadInput, Spaces

NORMALIZATION = ("observation_mean", "observation_scale")  # tables
NO_DIGEST = "0" * 64

# Lambert's continued fraction, from the inside out: x / (1 + x^2 / (3 + x^2 / (5 + ...))).
TANH = """\
/* Absolute error below 3e-7 for any x: beyond 9 a float of it is 1. */
static float squash(float x)
{
    float square = x * x;
    float fraction = 27.0f;
    float odd;
    if (x > 9.0f) return 1.0f;
    if (x < -9.0f) return -1.0f;
    for (odd = 25.0f; odd > 0.0f; odd -= 2.0f) fraction = odd + square / fraction;
    return x / fraction;
}
"""

RELU = """\
static void relu(float *x, size_t size)
{
    for (; size > 0; size--, x++) {
        if (*x < 0.0f) *x = 0.0f;
    }
}
"""

NORMALIZE = f"""\
for (index = 0; index < {{size}}; index++) {{{{
    float value = (observation[index] - observation_mean[index]) * observation_scale[index];
    normalized[index] = value < -{CLIP}f ? -{CLIP}f : value > {CLIP}f ? {CLIP}f : value;
}}}}
"""


class Text(NamedTuple):
    header: str
    source: str

    @property
    def digest(self) -> str:
        """Returns SHA-256, in hex, over both, but for the digits of the digest itself."""
        return sha256((self.header + self.source).encode())


def c_name(path: Path) -> str:
    """Returns the C identifier before a file's names. Raises BadInput where an #include could not name it."""
    if not re.fullmatch(r"[\w.+-]+", path.stem, re.ASCII):
        raise BadInput(f"--out is {path}, whose name C cannot include: use letters, digits, '_', '-' and '.' alone.")
    name = re.sub(r"\W", "_", path.stem)
    return name if name[0].isalpha() else f"policy_{name}"


def write_text(
    path: Path,
    layers: Sequence[Tables],
    spaces: Spaces,
    description: dict[str, Any],
    notes: Iterable[str],
    version: str = __version__,
    normalization: Normalization | None = None,
    fixed: Fixed | None = None,
) -> Text:
    """Returns header and source for `path`; the notes are at the source's top, the description in it for programs.

    `fixed`: of layers of integers alone.
    """
    inputs = spaces.observation_size if normalization else 0  # that are normalised
    name = c_name(path)
    more = c_fixed.declaration(name, fixed, inputs > 0) if fixed else ""
    header = _header(name, spaces, description["env"]["id"], version, more)
    parts = [
        _comment(name, description, [*notes, *_sizes(layers, inputs, fixed)], version),
        f'#include "{path.stem}.h"\n\n#include <stddef.h>\n#include <stdint.h>\n',
        *map(table, NORMALIZATION, normalization or ()),
        *(_tables(number, tables) for number, tables in enumerate(layers, start=1)),
        _bounds(spaces),
        *(_fixed_functions(name, layers, spaces, inputs, fixed) if fixed else _functions(name, layers, spaces, inputs)),
    ]
    text = Text(header, "\n".join(parts))
    return text._replace(source=text.source.replace(NO_DIGEST, text.digest, 1))


def _functions(name: str, layers: Sequence[Tables], spaces: Spaces, inputs: int) -> list[str]:
    of_layers = dict.fromkeys(_layer_function(tables) for tables in layers)
    return [*of_layers, *([RELU] if len(layers) > 1 else []), TANH, _act(name, layers, spaces, inputs)]


def _fixed_functions(name: str, layers: Sequence[Tables], spaces: Spaces, inputs: int, fixed: Fixed) -> list[str]:
    buffers = dict(zip(("first", "second"), _buffer_sizes(layers), strict=False))
    return [
        c_fixed.fixed_tables(fixed),
        c_fixed.FUNCTIONS,
        *dict.fromkeys(c_fixed.layer_function(tables) for tables in layers),
        *([c_fixed.RECTIFY] if len(layers) > 1 else []),
        c_fixed.act_fixed(name, list(layers), buffers),
        _act_by_fixed(name, spaces, inputs),
    ]


def _header(name: str, spaces: Spaces, env_id: str, version: str, more: str) -> str:
    """`more`: declarations of integers."""
    macro = name.upper()
    integer = ", and is a whole number, the nearest" if spaces.action_is_integer else ""
    return f"""\
/* A policy for {_in_comment(env_id)}, written by rlx2 {version}; the source beside it says more. */
#ifndef {macro}_H
#define {macro}_H

{"#include <stdint.h>" + NEW_LINE + NEW_LINE if more else ""}#define {macro}_OBSERVATION_SIZE {spaces.observation_size}
#define {macro}_ACTION_SIZE {spaces.action_size}

#ifdef __cplusplus
extern "C" {{
#endif

/* Both in the environment's units; the action lies within its bounds, but for rounding{integer}.
   Where a number of the observation is NaN or infinite, every action is NaN: the trainer stops there, and what drives
   a machine has to do as it does. (Not with -ffast-math, which takes such numbers for impossible.) */
void {name}_act(const float observation[{macro}_OBSERVATION_SIZE], float action[{macro}_ACTION_SIZE]);
{NEW_LINE + more if more else ""}
#ifdef __cplusplus
}}
#endif

#endif
"""


def _comment(name: str, description: dict[str, Any], notes: Iterable[str], version: str) -> str:
    lines = [
        f"{name}: a policy for {description['env']['id']}, written by rlx2 {version}; do not edit.",
        *notes,
        f"rlx2-digest: {NO_DIGEST}",
        f"rlx2-policy: {json.dumps(description)}",
    ]
    return "/*\n" + "".join(f" * {_in_comment(line)}\n" for line in lines) + " */\n"


def _in_comment(text: str) -> str:
    """Neither ends the comment nor seems to begin another; JSON reads it as the same."""
    return text.replace("*", r"\u002a")


def _sizes(layers: Sequence[Tables], inputs: int, fixed: Fixed | None) -> list[str]:
    units = " -> ".join(str(size) for size in (layers[0].inputs, *(tables.outputs for tables in layers)))
    weights = sum(int(np.count_nonzero(each.weights if each.block == 1 else matrix_of(each))) for each in layers)
    values = sum(int(np.count_nonzero(tables.weights)) for tables in layers)
    shared = f" of {values} values" if values < weights else ""
    held = sum(_buffer_sizes(layers))
    of_fixed = 2 * (2 * layers[0].inputs + layers[-1].outputs)  # at the border too
    stack = 2 * held + of_fixed + 4 * inputs if fixed else 4 * (held + inputs)
    of_tables = sum(tables.bytes for tables in layers) + (c_fixed.SHARED_BYTES if fixed else 0)
    return [
        f"Network: {units} units that matter, {weights} weights{shared}, {of_tables} bytes of tables.",
        *([f"Observations are normalised and clipped to {CLIP:g} deviations: {8 * inputs} bytes more."] * (inputs > 0)),
        f"Stack: {stack} bytes of activations. No heap, no library.",
    ]


def _tables(number: int, tables: Tables) -> str:
    named: dict[str, NDArray[Any] | None] = {
        "counts": tables.counts,
        tables.form: tables.places,
        "weights": tables.weights,
        "scales": tables.scales,
        "bias": tables.bias,
        "multipliers": tables.multipliers,
        "shifts": tables.shifts,
    }
    return "".join(table(f"{kind}_{number}", array) for kind, array in named.items() if array is not None)


def _bounds(spaces: Spaces) -> str:
    dtype = np.float64 if are_far(spaces).any() else np.float32
    low, half_range = np.asarray(spaces.action_low), half_ranges(spaces)
    return table("low", low.astype(dtype)) + table("half_range", half_range.astype(dtype))


def _layer_function(tables: Tables) -> str:
    parameters = ["const float *x", "float *y", *(f"size_t {name}" for name in sizes(tables))]
    for name in ("counts", "places", "weights", "scales", "bias"):
        table = getattr(tables, name)
        parameters += [] if table is None else [f"const {C_TYPES[table.dtype.name]} *{name}"]
    kinds, has_scales = Kinds("float", "float"), tables.scales is not None
    if tables.block > 1:
        body = sums_of_block(tables, kinds, f"{{sum}}{' * *scales' * has_scales} + *bias++")
        body += "        scales++;\n" * has_scales
    else:
        body = sum_of_row(tables, kinds, "0.0f", f"{{sum}}{' * *scales++' * has_scales} + *bias++")
    return function(tables, parameters, body)


def _buffer_sizes(layers: Sequence[Tables]) -> list[int]:
    """The hidden layers take turns with two buffers."""
    hidden = [tables.outputs for tables in layers[:-1]]
    return [max(sizes) for sizes in (hidden[::2], hidden[1::2]) if sizes]


def _act_by_fixed(name: str, spaces: Spaces, inputs: int) -> str:
    """The function of floats, by that of integers."""
    macro, size = name.upper(), spaces.observation_size
    lines = [f"int16_t in[{size}], out[{spaces.action_size}];", *[f"float normalized[{inputs}];"] * (inputs > 0)]
    lines += _faults(size)
    lines += NORMALIZE.format(size=inputs).splitlines() if inputs else []
    source = "normalized" if inputs else "observation"
    lines.append(f"for (index = 0; index < {size}; index++) in[index] = fixed({source}[index]);")
    lines.append(f"{name}_act_fixed(in, out);")
    lines += _answers(spaces, f"(float)out[index] * (1.0f / {MOST}.0f)")
    return _act_of(name, macro, lines)


def _faults(size: int) -> list[str]:
    return [
        "float fault = 0.0f;  /* or NaN, of an observation that is none */",
        "size_t index;",
        f"for (index = 0; index < {size}; index++) fault += observation[index] * 0.0f;",
    ]


def _answers(spaces: Spaces, squashed: str) -> list[str]:
    """`squashed`: an action in [-1, 1]."""
    return [
        f"for (index = 0; index < {spaces.action_size}; index++) {{",
        f"    action[index] = fault == 0.0f ? {_scaled(spaces, squashed)} : fault;",
        "}",
    ]


def _act_of(name: str, macro: str, lines: Sequence[str]) -> str:
    body = "".join(f"    {line}\n" for line in lines)
    return f"""\
void {name}_act(const float observation[{macro}_OBSERVATION_SIZE], float action[{macro}_ACTION_SIZE])
{{
{body}}}
"""


def _act(name: str, layers: Sequence[Tables], spaces: Spaces, inputs: int) -> str:
    macro, buffers = name.upper(), ("first", "second")
    lines = [f"float {buffer}[{size}];" for buffer, size in zip(buffers, _buffer_sizes(layers), strict=False)]
    lines += [f"float normalized[{inputs}];"] * (inputs > 0)
    lines += _faults(spaces.observation_size)
    lines += NORMALIZE.format(size=inputs).splitlines() if inputs else []
    source = "normalized" if inputs else "observation"
    for number, tables in enumerate(layers, start=1):
        is_last = number == len(layers)
        target = "action" if is_last else buffers[(number - 1) % 2]
        lines.append(f"{function_name(tables)}({', '.join(_arguments(number, tables, source, target))});")
        if not is_last:
            lines.append(f"relu({target}, {tables.outputs});")
        source = target
    lines += _answers(spaces, "squash(action[index])")
    return _act_of(name, macro, lines)


def _scaled(spaces: Spaces, squashed: str) -> str:
    above_low = f"({squashed} + 1.0f) * half_range[index]"
    if spaces.action_is_integer:
        above_low = f"(float)(uint32_t)({above_low} + 0.5f)"
    scaled = f"low[index] + {above_low}"
    return f"(float)({scaled})" if are_far(spaces).any() else scaled


def _arguments(number: int, tables: Tables, source: str, target: str) -> list[str]:
    names = place_names(tables, number)
    names += [f"weights_{number}", *([f"scales_{number}"] if tables.scales is not None else []), f"bias_{number}"]
    return [source, target, *map(str, sizes(tables).values()), *names]
