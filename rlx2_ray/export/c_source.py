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
from rlx2_ray.export.identity import sha256
from rlx2_ray.export.tables import COLUMNS, DENSE, GAPS, Tables
from rlx2_ray.networks.policy_reader import CLIP, Normalization
from rlx2_ray.types import BadInput, Spaces

NORMALIZATION = ("observation_mean", "observation_scale")  # tables
NO_DIGEST = "0" * 64
WIDTH = 110
NEW_LINE = "\n"  # which an f-string's expressions may not hold in Python 3.11

C_TYPES = {"float32": "float", "float64": "double"} | {
    each: f"{each}_t" for each in ("int8", "int16", "uint8", "uint16", "uint32")
}

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

SUMS = {
    DENSE: "for (place = 0; place < inputs; place++) sum += (float)*weights++ * x[place];",
    COLUMNS: "for (count = *counts++; count > 0; count--) sum += (float)*weights++ * x[*places++];",
    GAPS: """\
for (count = *counts++; count > 0; count--) {
            place += *places++;
            sum += (float)*weights++ * *place;
        }""",
}
LOCALS = {DENSE: "size_t place;", COLUMNS: "size_t count;", GAPS: "size_t count;\n        const float *place = x;"}


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
) -> Text:
    """Returns header and source for `path`; the notes are at the source's top, the description in it for programs."""
    inputs = spaces.observation_size if normalization else 0  # that are normalised
    name = c_name(path)
    header = _header(name, spaces, description["env"]["id"], version)
    parts = [
        _comment(name, description, [*notes, *_sizes(layers, inputs)], version),
        f'#include "{path.stem}.h"\n\n#include <stddef.h>\n#include <stdint.h>\n',
        *map(table, NORMALIZATION, normalization or ()),
        *(_tables(number, tables) for number, tables in enumerate(layers, start=1)),
        _bounds(spaces),
        *dict.fromkeys(_layer_function(tables) for tables in layers),
        *([RELU] if len(layers) > 1 else []),
        TANH,
        _act(name, layers, spaces, inputs),
    ]
    text = Text(header, "\n".join(parts))
    return text._replace(source=text.source.replace(NO_DIGEST, text.digest, 1))


def _header(name: str, spaces: Spaces, env_id: str, version: str) -> str:
    macro = name.upper()
    integer = ", and is a whole number, the nearest" if spaces.action_is_integer else ""
    return f"""\
/* A policy for {_in_comment(env_id)}, written by rlx2 {version}; the source beside it says more. */
#ifndef {macro}_H
#define {macro}_H

#define {macro}_OBSERVATION_SIZE {spaces.observation_size}
#define {macro}_ACTION_SIZE {spaces.action_size}

#ifdef __cplusplus
extern "C" {{
#endif

/* Both in the environment's units; the action lies within its bounds, but for rounding{integer}.
   Where a number of the observation is NaN or infinite, every action is NaN: the trainer stops there, and what drives
   a machine has to do as it does. (Not with -ffast-math, which takes such numbers for impossible.) */
void {name}_act(const float observation[{macro}_OBSERVATION_SIZE], float action[{macro}_ACTION_SIZE]);

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


def _sizes(layers: Sequence[Tables], inputs: int) -> list[str]:
    units = " -> ".join(str(size) for size in (layers[0].inputs, *(tables.outputs for tables in layers)))
    weights = sum(int(np.count_nonzero(tables.weights)) for tables in layers)
    stack = 4 * (sum(_buffer_sizes(layers)) + inputs)
    return [
        f"Network: {units} units that matter, {weights} weights, {sum(t.bytes for t in layers)} bytes of tables.",
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
    }
    return "".join(table(f"{kind}_{number}", array) for kind, array in named.items() if array is not None)


def _bounds(spaces: Spaces) -> str:
    dtype = np.float64 if are_far(spaces).any() else np.float32
    low, half_range = np.asarray(spaces.action_low), half_ranges(spaces)
    return table("low", low.astype(dtype)) + table("half_range", half_range.astype(dtype))


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


def _layer_function(tables: Tables) -> str:
    parameters = ["const float *x", "float *y", *(["size_t inputs"] if tables.form == DENSE else []), "size_t outputs"]
    for name in ("counts", "places", "weights", "scales", "bias"):
        table = getattr(tables, name)
        parameters += [] if table is None else [f"const {C_TYPES[table.dtype.name]} *{name}"]
    scaled = "sum" if tables.scales is None else "sum * *scales++"
    return f"""\
static void {_function_name(tables)}(
    {f",{NEW_LINE}    ".join(parameters)})
{{
    for (; outputs > 0; outputs--) {{
        float sum = 0.0f;
        {LOCALS[tables.form]}
        {SUMS[tables.form]}
        *y++ = {scaled} + *bias++;
    }}
}}
"""


def _function_name(tables: Tables) -> str:
    if tables.counts is None or tables.places is None:
        return tables.form
    return f"{tables.form}_{8 * tables.counts.itemsize}_{8 * tables.places.itemsize}"


def _buffer_sizes(layers: Sequence[Tables]) -> list[int]:
    """The hidden layers take turns with two buffers."""
    hidden = [tables.outputs for tables in layers[:-1]]
    return [max(sizes) for sizes in (hidden[::2], hidden[1::2]) if sizes]


def _act(name: str, layers: Sequence[Tables], spaces: Spaces, inputs: int) -> str:
    macro, buffers = name.upper(), ("first", "second")
    lines = [f"float {buffer}[{size}];" for buffer, size in zip(buffers, _buffer_sizes(layers), strict=False)]
    lines += [f"float normalized[{inputs}];"] * (inputs > 0)
    lines += ["float fault = 0.0f;  /* or NaN, of an observation that is none */", "size_t index;"]
    observations = f"for (index = 0; index < {spaces.observation_size}; index++)"
    lines.append(f"{observations} fault += observation[index] * 0.0f;")
    lines += NORMALIZE.format(size=inputs).splitlines() if inputs else []
    source = "normalized" if inputs else "observation"
    for number, tables in enumerate(layers, start=1):
        is_last = number == len(layers)
        target = "action" if is_last else buffers[(number - 1) % 2]
        lines.append(f"{_function_name(tables)}({', '.join(_arguments(number, tables, source, target))});")
        if not is_last:
            lines.append(f"relu({target}, {tables.outputs});")
        source = target
    lines.append(f"for (index = 0; index < {spaces.action_size}; index++) {{")
    lines.append(f"    action[index] = fault == 0.0f ? {_scaled(spaces)} : fault;")
    lines.append("}")
    body = "".join(f"    {line}\n" for line in lines)
    return f"""\
void {name}_act(const float observation[{macro}_OBSERVATION_SIZE], float action[{macro}_ACTION_SIZE])
{{
{body}}}
"""


def _scaled(spaces: Spaces) -> str:
    above_low = "(squash(action[index]) + 1.0f) * half_range[index]"
    if spaces.action_is_integer:
        above_low = f"(float)(uint32_t)({above_low} + 0.5f)"
    scaled = f"low[index] + {above_low}"
    return f"(float)({scaled})" if are_far(spaces).any() else scaled


def _arguments(number: int, tables: Tables, source: str, target: str) -> list[str]:
    sizes = [str(tables.inputs)] * (tables.form == DENSE) + [str(tables.outputs)]
    names = [f"counts_{number}", f"{tables.form}_{number}"] if tables.counts is not None else []
    names += [f"weights_{number}", *([f"scales_{number}"] if tables.scales is not None else []), f"bias_{number}"]
    return [source, target, *sizes, *names]
