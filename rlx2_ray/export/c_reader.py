"""An exported C source, read back: is it as it was written, what is it a policy of, and what do its tables say?"""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlx2_ray import files
from rlx2_ray.export.c_fixed import FIXED_TABLES, Fixed, network_of
from rlx2_ray.export.c_source import NO_DIGEST, NORMALIZATION, Text, write_text
from rlx2_ray.export.c_text import C_TYPES
from rlx2_ray.export.fixed_point import MOST_SHIFT, TANH, sums_fit
from rlx2_ray.export.identity import damaged, read_description
from rlx2_ray.footprint.tables import (
    CIRCULANT,
    COLUMNS,
    DENSE,
    GAPS,
    Tables,
    decode,
    has_own_places,
    last_column,
    matrix_of,
)
from rlx2_ray.networks.policy import DenseNetwork, Network, normalized
from rlx2_ray.networks.policy_reader import Normalization, check_chain, read_normalization, shorten, wrong
from rlx2_ray.types import BadInput, Damaged, Floats, Spaces

LARGEST_FILE = 2**26  # bytes, which a compiler should manage in its time
LARGEST_HEADER = 2**16  # bytes; ours have one thousand
DIGEST = re.compile(r"^ \* rlx2-digest: ([0-9a-f]{64})$", re.MULTILINE)
POLICY = re.compile(r"^ \* rlx2-policy: (\{.*\})$", re.MULTILINE)
HEADER = re.compile(r'^#include "([\w.+-]{1,200})\.h"$', re.MULTILINE | re.ASCII)
FUNCTION = re.compile(r"^void (\w{1,200}_act)\(", re.MULTILINE | re.ASCII)
VERSION = re.compile(r", written by rlx2 ([\w.+-]{1,40}); do not edit\.\n", re.ASCII)
TABLE = re.compile(r"^static const (\w+) (\w+)\[(\d{1,9})\] = \{([^}]*)\};$", re.MULTILINE)
DTYPES = {name: np.dtype(dtype) for dtype, name in C_TYPES.items()}
FLOATS = ("float32", "float64")
# What the tables of a layer, and of the bounds, may hold.
KINDS = {
    "weights": ("float32", "int8", "int16"),
    "bias": ("float32", "int32"),
    "scales": ("float32",),
    "multipliers": ("int32",),
    "shifts": ("uint8",),
    "limits": ("int16",),
    "steps": ("float32",),
    "squashed": ("int16",),
    **dict.fromkeys(("counts", COLUMNS, GAPS, *CIRCULANT), ("uint8", "uint16", "uint32")),
    "low": FLOATS,
    "half_range": FLOATS,
    **dict.fromkeys(NORMALIZATION, ("float32",)),
}
OWN_LINES = 5  # of the comment at the top, that are no notes: a first, and four last, or five with a normalisation


class Contents(NamedTuple):
    layers: list[Tables]
    bounds: dict[str, NDArray[Any]]  # by name
    normalization: Normalization | None
    fixed: Fixed | None = None  # of integers alone


class CSource:
    """A file that says that `rlx2 export` wrote it, and has not changed by accident."""

    def __init__(self, path: Path, stem: str, function: str, text: Text, description: str) -> None:
        self.path = path
        self.stem = stem  # of the names that the files had, by which the source finds its header
        self.function = function
        self.text = text
        self._description, self.identity = read_description(path, description)

    @cached_property
    def tables(self) -> Contents:
        """Raises Damaged where they are not those of the policy."""
        try:
            return read_tables(self.text.source, self.identity.spaces)
        except ValueError as problem:
            raise Damaged(f"{self.path} {problem}") from None

    @cached_property
    def is_ours(self) -> bool:
        """Whether it is, byte for byte, what is written today for its tables: such code does nothing but act."""
        comment = self.text.source.partition(" */\n")[0]
        version = VERSION.search(comment)
        try:
            layers, _, normalization, fixed = self.tables
        except Damaged:
            return False
        own = OWN_LINES + (normalization is not None)
        notes = [line.removeprefix(" * ") for line in comment.splitlines()[1:]][1 : 1 - own]
        path = Path(self.stem).with_name(f"{self.stem}.c")
        spaces = self.identity.spaces
        return version is not None and self.text == write_text(
            path, layers, spaces, self._description, notes, version[1], normalization, fixed
        )

    def act(self, observations: Floats) -> Floats:
        """Returns what the C does, in numpy on its tables: (N, action_size), in the environment's units."""
        layers, bounds, normalization, fixed = self.tables
        own: Network = network_of(layers, fixed) if fixed else DenseNetwork([decode(tables) for tables in layers])
        network = normalized(own, normalization)
        squashed = network.outputs(observations, network.output_size)
        above_low = (squashed + 1) * bounds["half_range"]
        if self.identity.spaces.action_is_integer:
            above_low = np.floor(above_low + 0.5)
        actions: Floats = (bounds["low"] + above_low).astype(np.float32)
        return actions


def read_source(path: Path) -> CSource:
    """Reads a file. Raises BadInput for one that `rlx2 export` did not write, that lacks its header, or was changed."""
    text = _read(path, LARGEST_FILE)
    found = [pattern.search(text) for pattern in (DIGEST, POLICY, HEADER, FUNCTION)]
    if None in found:
        raise BadInput(f"{path} is no C that rlx2 export wrote: give a run directory, or a file that it wrote.")
    digest, policy, stem, function = (match[1] for match in found if match)
    header = path.with_name(f"{stem}.h")
    if not header.exists():
        raise BadInput(f"{path} needs {header}, which is not there: put it back, or export again.")
    both = Text(_read(header, LARGEST_HEADER), text)
    if both._replace(source=text.replace(digest, NO_DIGEST, 1)).digest != digest:
        raise damaged(path)
    return CSource(path, stem, function, both, policy)


def read_tables(text: str, spaces: Spaces) -> Contents:
    """Returns what the tables hold. Raises ValueError.

    What the layers say leads from an observation to an action, and never beyond a table.
    """
    named: dict[str, NDArray[Any]] = {}
    for kind, name, size, body in TABLE.findall(text):
        if name in named:
            raise wrong(f"it has the table {shorten(name)} twice")
        named[name] = _numbers(kind, name, int(size), body)
    bounds = {name: named.pop(name, np.empty(0)) for name in ("low", "half_range")}
    if any(len(bound) != spaces.action_size for bound in bounds.values()):
        raise wrong(f"its bounds are not those of {spaces.action_size} actions")
    found = tuple(named.pop(name) for name in NORMALIZATION if name in named)
    normalization = read_normalization(found, spaces.observation_size) if found else None
    of_fixed = [named.pop(name) for name in FIXED_TABLES if name in named]
    layers: list[Tables] = []
    while f"weights_{len(layers) + 1}" in named:
        inputs = layers[-1].outputs if layers else spaces.observation_size
        layers.append(_layer(named, len(layers) + 1, inputs))
    if named:
        raise wrong(f"it has the table {shorten(next(iter(named)))}")
    check_chain([(layer.outputs, layer.inputs) for layer in layers], spaces.observation_size, (spaces.action_size,))
    return Contents(layers, bounds, normalization, _fixed(of_fixed, layers))


def _fixed(arrays: list[NDArray[Any]], layers: list[Tables]) -> Fixed | None:
    """Returns what layers of integers alone have in common. Raises ValueError where a sum might not fit."""
    are_fixed = {tables.multipliers is not None for tables in layers}
    if are_fixed != {bool(arrays)} or len(arrays) not in (0, len(FIXED_TABLES)):
        raise wrong("its layers are neither all of integers alone nor all of floats")
    if not arrays:
        return None
    limits, steps, squashed = arrays
    if len(limits) != len(layers) or len(steps) != 1 or not np.array_equal(squashed, TANH):
        raise wrong("its tables of integers have other sizes or contents than they are written with")
    if np.frexp(steps[0])[0] != 0.5 or limits.min() < 1:
        raise wrong("its limits or steps are none that it is written with")
    for tables, limit in zip(layers, limits.tolist(), strict=True):
        if not sums_fit(matrix_of(tables), tables.bias, limit, tables.block):
            raise wrong("its numbers are too great for sums of 32 bits")
    return Fixed(limits, float(steps[0]))


def _numbers(kind: str, name: str, size: int, body: str) -> NDArray[Any]:
    dtype = DTYPES.get(kind)
    if dtype is None or dtype.name not in KINDS.get(name.rstrip("0123456789").rstrip("_"), ()):
        raise wrong(f"it has the table {shorten(name)} of {shorten(kind)}")
    numbers = [number.strip().rstrip("f") for number in body.split(",") if number.strip()]
    if len(numbers) != size:
        raise wrong(f"{shorten(name)} has {len(numbers)} numbers and says {size}")
    try:
        with np.errstate(over="ignore"):
            table = np.array([float(each) if dtype.kind == "f" else int(each) for each in numbers], dtype)
    except (ValueError, OverflowError):
        raise wrong(f"{shorten(name)} has what is no number of its type") from None
    if not np.isfinite(table).all():
        raise wrong(f"{shorten(name)} has what is no finite number")
    return table


def _layer(named: dict[str, NDArray[Any]], number: int, inputs: int) -> Tables:
    """Takes the tables of a layer out of those that are left."""
    form = next((form for form in (COLUMNS, GAPS, *CIRCULANT) if f"{form}_{number}" in named), DENSE)
    counts, places, scales, weights, bias = (
        named.pop(f"{name}_{number}", None) for name in ("counts", form, "scales", "weights", "bias")
    )
    multipliers, shifts = (named.pop(f"{name}_{number}", None) for name in ("multipliers", "shifts"))
    if weights is None or bias is None or not len(bias) or (places is None and counts is not None):
        raise wrong(f"layer {number} lacks a table")
    tables = Tables(form, inputs, weights, bias, counts, places, scales, multipliers, shifts)
    if not _fits(tables):
        raise wrong(f"the scales of layer {number} do not fit its weights")
    if places is not None:
        active = len(weights) if counts is None else int(counts.sum(dtype=np.int64))
        can_lack_counts = len(weights) % len(bias) == 0 and tables.block == 1
        are_rows = can_lack_counts if counts is None else len(counts) == tables.block_rows
        if not are_rows or not len(weights) == len(places) == max(active, 1):  # C has no empty arrays
            raise wrong(f"the tables of layer {number} have other sizes than it says")
        tables = tables._replace(weights=weights[:active], places=places[:active])
    elif len(weights) != len(bias) * inputs:
        raise wrong(f"layer {number} has {len(weights)} weights for {len(bias)} units and {inputs} inputs")
    if last_column(tables) >= inputs:
        raise wrong(f"layer {number} reads beyond its {inputs} inputs")
    if not has_own_places(tables):
        raise wrong(f"layer {number} has two weights in one place, or one that nothing reads")
    return tables


def _fits(tables: Tables) -> bool:
    """Whether what brings a layer's sums to the next one is there, of its kind and number."""
    weights, bias, scales, rows = tables.weights, tables.bias, tables.scales, tables.block_rows
    multipliers, shifts = tables.multipliers, tables.shifts
    if multipliers is None or shifts is None:
        has_scales = weights.dtype != np.float32
        is_float = multipliers is shifts is None and bias.dtype == np.float32
        return is_float and (scales is not None) == has_scales and (scales is None or len(scales) == rows)
    are_integers = scales is None and weights.dtype == np.int8 and bias.dtype == np.int32
    are_in_range = multipliers.min(initial=0) >= 0 and shifts.max(initial=0) <= MOST_SHIFT
    return are_integers and rows == len(multipliers) == len(shifts) and bool(are_in_range)


def _read(path: Path, most: int) -> str:
    try:
        text = files.read(path, most).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read as C ({error}): give a file that rlx2 export wrote.") from None
    return text.replace("\r\n", "\n")  # whatever line ends a version control system has given it
