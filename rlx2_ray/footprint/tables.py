"""A layer as the tables of its weights in C: of the forms that it can take, the one of the fewest bytes.

dense: all weights, row by row.
columns: of each row, the number of its weights, and of each weight its column.
gaps: the same with the distance to the weight before in the row (of the first, to column 0) instead of the column, so
that one byte does for wide layers. A distance that does not fit is walked in steps, over weights of zero.
Of both there is one without counts, for rows of as many weights each; rows with fewer have weights of zero too.
circulant4 (or 2, 8, 16): of weights that are equal along the diagonals of blocks of so many rows and columns, each
diagonal once: of each block row, the number of its diagonals, and of each diagonal its column in the block's first row,
whether the layer is that wide or not. Rows of a block have one scale, and one multiplier and shift.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlx2_ray.footprint.compact import BLOCKS
from rlx2_ray.footprint.quantize import Integers, IntegerType, dequantize, quantize
from rlx2_ray.networks.policy import DenseLayer
from rlx2_ray.sparse.circulant import along_diagonals, diagonals_of, diagonals_shape
from rlx2_ray.types import Floats

DENSE, COLUMNS, GAPS = "dense", "columns", "gaps"
CIRCULANT = {f"circulant{block}": block for block in BLOCKS}  # form -> block
Numbers = NDArray[Any]
UNSIGNED = (np.uint8, np.uint16, np.uint32)


class Tables(NamedTuple):
    form: str
    inputs: int
    weights: Numbers  # float32, or int8 or int16 where there are scales
    bias: Numbers  # (outputs,), float32 or int32
    counts: Numbers | None = None  # (block rows,), weights of each row, where they are not as many in all
    places: Numbers | None = None  # a column or gap for each weight
    scales: Floats | None = None  # (block rows,)
    multipliers: Numbers | None = None  # (block rows,), of a layer of integers alone, whose bias is int32
    shifts: Numbers | None = None  # (block rows,), of the same

    @property
    def outputs(self) -> int:
        return len(self.bias)

    @property
    def block(self) -> int:
        """How many rows have counts, scales, multipliers and shifts in common, the last of them perhaps fewer."""
        return CIRCULANT.get(self.form, 1)

    @property
    def block_rows(self) -> int:
        return -(-self.outputs // self.block)

    @property
    def products(self) -> int:
        """How many C adds up: also those of rows that the last of several blocks does not have."""
        return len(self.weights) if self.block == 1 else int((_columns_of_rows(self) < self.inputs).sum())

    @property
    def rows(self) -> int:
        """Of a block, of which a small layer has but one."""
        return min(self.block, self.outputs)

    @property
    def has_fan_in(self) -> bool:
        """Whether there are places without counts, since all rows have as many."""
        return self.places is not None and self.counts is None

    @property
    def fan_in(self) -> int:
        """Of each row, where all have as many."""
        return len(self.weights) // self.outputs

    @property
    def bytes(self) -> int:
        return sum(table.nbytes for table in self if isinstance(table, np.ndarray))


def encode(layer: DenseLayer, kind: IntegerType | None) -> Tables:
    """Returns the smallest tables, of integers or of float32; of equally small ones the simplest."""
    matrix, scales = quantize(layer.weights, kind, layer.block) if kind else (layer.weights, None)
    return _smallest_form(matrix, layer.bias, layer.block, {} if scales is None else {"scales": scales})


def encode_fixed(weights: Numbers, bias: Numbers, multipliers: Numbers, shifts: Numbers, block: int) -> Tables:
    """The same of a layer of integers alone, see `fixed_point.FixedLayer`."""
    return _smallest_form(weights, bias, block, {"multipliers": multipliers, "shifts": shifts})


def bytes_of(layers: Sequence[DenseLayer], kind: IntegerType | None = None) -> int:
    """Returns what all tables of a network take that has been made compact."""
    return sum(encode(layer, kind).bytes for layer in layers)


def _smallest_form(matrix: Numbers, bias: Numbers, block: int, of_rows: dict[str, Numbers]) -> Tables:
    """`of_rows`: tables (outputs,) beside it, by name, whose numbers are equal in a block."""
    if block == 1 and np.count_nonzero(matrix) * (matrix.itemsize + 1) >= matrix.nbytes:
        forms = [_dense(matrix, bias)]  # as no place takes less than a byte
    else:
        forms = [_dense(matrix, bias), _columns(matrix, bias)]
        forms += [_gaps(matrix, bias, gap) for gap in UNSIGNED[:2]]
        forms += map(_without_counts, forms[1:])
        forms += [_circulant(matrix, bias, block)] if block in CIRCULANT.values() else []
    return min((_with_rows(form, of_rows) for form in forms), key=lambda tables: tables.bytes)


def _with_rows(tables: Tables, of_rows: dict[str, Any]) -> Tables:
    return tables._replace(**{name: rows[:: tables.block] for name, rows in of_rows.items()})


def decode(tables: Tables) -> DenseLayer:
    """Returns what `encode` was given."""
    matrix = matrix_of(tables)
    weights = matrix if tables.scales is None else dequantize(Integers(matrix, each_row(tables, tables.scales)))
    return DenseLayer(weights, tables.bias, tables.block)


def each_row(tables: Tables, of_blocks: NDArray[Any]) -> NDArray[Any]:
    """Returns (outputs,), of an array (block rows,)."""
    rows: NDArray[Any] = np.repeat(of_blocks, tables.block)[: tables.outputs]
    return rows


def matrix_of(tables: Tables) -> Numbers:
    """Returns (outputs, inputs), zero where there is no weight, of the tables' own type."""
    shape = (tables.outputs, tables.inputs)
    matrix = np.zeros(diagonals_shape(shape, tables.block), tables.weights.dtype)
    if tables.form == DENSE:
        matrix.ravel()[:] = tables.weights
    else:
        rows = np.repeat(np.arange(tables.block_rows), _counts_of(tables))
        np.add.at(matrix, (rows, _columns_of(tables)), tables.weights)
    return along_diagonals(matrix, shape, tables.block) if tables.block > 1 else matrix


def has_own_places(tables: Tables) -> bool:
    """Whether every weight but those of 0 is alone in its place, and read by a row that there is."""
    if tables.form == DENSE:
        return True
    is_there, places = tables.weights != 0, _columns_of(tables)
    rows = np.repeat(np.arange(tables.block_rows), _counts_of(tables))
    outputs = rows[:, None] * tables.block + np.arange(tables.rows)
    is_read = (_columns_of_rows(tables) < tables.inputs) & (outputs < tables.outputs)
    own = (rows * (int(places.max(initial=0)) + 1) + places)[is_there]
    return len(np.unique(own)) == len(own) and bool(is_read[is_there].any(axis=1).all())


def _columns_of_rows(tables: Tables) -> Numbers:
    """(weights, rows of a block), the column of each weight's diagonal in each row, whether there or not."""
    places, block = _columns_of(tables)[:, None], tables.block
    return places // block * block + (places + np.arange(tables.rows)) % block


def last_column(tables: Tables) -> int:
    """The greatest that a weight stands in, -1 where none does; of all but `dense` it depends on the numbers.

    Of a diagonal it is the first of its block: C asks of each weight of it whether the layer is that wide.
    """
    if tables.form == DENSE:
        return tables.inputs - 1
    return int((_columns_of(tables) // tables.block * tables.block).max(initial=-1))


def _columns_of(tables: Tables) -> Numbers:
    """Of each weight, in a form that has places."""
    assert tables.places is not None
    columns = tables.places.astype(np.int64)
    return _sums_by_row(columns, _counts_of(tables)) if tables.form == GAPS else columns


def _counts_of(tables: Tables) -> Numbers:
    """Of each row, in a form that has places."""
    counts = np.full(tables.block_rows, tables.fan_in) if tables.counts is None else tables.counts
    return counts.astype(np.int64)


def _dense(matrix: Numbers, bias: Numbers) -> Tables:
    return Tables(DENSE, matrix.shape[1], matrix.ravel(), bias)


def _columns(matrix: Numbers, bias: Numbers) -> Tables:
    rows, columns = np.nonzero(matrix)
    places = columns.astype(smallest(matrix.shape[1] - 1))
    return Tables(COLUMNS, matrix.shape[1], matrix[rows, columns], bias, _count(rows, len(matrix)), places)


def _gaps(matrix: Numbers, bias: Numbers, kind: type[np.unsignedinteger[Any]]) -> Tables:
    """Gaps of an unsigned integer type, with steps where they are greater than it holds."""
    rows, columns = np.nonzero(matrix)
    limit = np.iinfo(kind).max
    starts_row = np.diff(rows, prepend=-1) != 0
    gaps = np.where(starts_row, columns, np.diff(columns, prepend=0))
    steps = np.maximum(gaps - 1, 0) // limit  # before each weight
    ends = np.cumsum(steps + 1) - 1  # where each weight stands among the steps
    places = np.full(len(rows) + steps.sum(), limit, kind)
    places[ends] = gaps - steps * limit
    weights = np.zeros(len(places), matrix.dtype)
    weights[ends] = matrix[rows, columns]
    counts = _count(np.repeat(rows, steps + 1), len(matrix))
    return Tables(GAPS, matrix.shape[1], weights, bias, counts, places)


def _circulant(matrix: Numbers, bias: Numbers, block: int) -> Tables:
    diagonals = diagonals_of(matrix, block)
    once = _columns(diagonals, np.zeros(len(diagonals), np.float32))
    return once._replace(form=f"circulant{block}", inputs=matrix.shape[1], bias=bias)


def _without_counts(tables: Tables) -> Tables:
    """The same, all rows filled with weights of zero to the length of the longest, and to one at least."""
    assert tables.places is not None
    counts = _counts_of(tables)
    fan_in = max(1, int(counts.max()))
    is_there = np.arange(fan_in) < counts[:, None]
    weights = np.zeros(is_there.shape, tables.weights.dtype)
    places = np.zeros_like(weights, tables.places.dtype)
    weights[is_there], places[is_there] = tables.weights, tables.places
    return tables._replace(weights=weights.ravel(), places=places.ravel(), counts=None)


def _count(rows: Numbers, outputs: int) -> Numbers:
    counts = np.bincount(rows, minlength=outputs)
    return counts.astype(smallest(int(counts.max(initial=0))))


def smallest(value: int) -> type[np.unsignedinteger[Any]]:
    """Returns the smallest unsigned type that holds `value`."""
    return next(kind for kind in UNSIGNED if value <= np.iinfo(kind).max)


def _sums_by_row(gaps: Numbers, counts: Numbers) -> Numbers:
    """Running sums that begin again at each row."""
    sums: Numbers = np.cumsum(gaps)
    before = np.concatenate([[0], sums])[np.cumsum(counts) - counts]  # of the rows before
    sums -= np.repeat(before, counts)
    return sums
