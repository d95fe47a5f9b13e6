"""The structure of a model as flat integer arrays, in the order in which the kernels read them.

A model is one network, or several over the same inputs (twin critics). Its weights and biases lie in one float32 array,
the parameters: the weights of every layer, then the biases of every layer. A place in it is a slot. Its units lie in
the rows of one matrix, the workspace: the inputs, then the outputs of every layer.

A layer is sparse (compressed rows for the forward pass and the weight gradient, compressed columns for the input
gradient) or, above the break-even density, dense (a full matrix for BLAS, zero where inactive).

A unit of a sparse layer from which no path leads to an output is not live: nothing is computed for it, because all its
gradients are zero. Where hidden layers are normalised every unit is live, for it is among those that the others of its
layer are normalised by.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlx2_ray.types import Bools

Int32s = NDArray[np.int32]
Int64s = NDArray[np.int64]

LAYER: Final = np.dtype(
    [
        (name, np.int64)
        for name in (
            *("inputs", "outputs"),  # sizes
            *("source", "target"),  # workspace rows of the first input and the first output
            *("weights", "bias"),  # slots of the first weight and the first bias
            *("is_dense", "is_output", "is_normalized"),  # 0 or 1
            "first_input",  # inputs before it need no gradient
            *("rows", "columns"),  # where the layer begins in row_start and in column_start
            *("live", "live_end"),  # its part of `live`
            *("inactive", "inactive_end"),  # its part of `inactive`
            *("connections", "connections_end"),  # its part of `connections`; none where rows are faster
        )
    ]
)


class Structure(NamedTuple):
    """Row r of layer l is slots row_start[l.rows + r] up to the next; its column c is entries of `places` likewise."""

    layers: NDArray[Any]  # of LAYER
    row_start: Int64s
    units: Int32s  # (weight slots,), workspace row of a sparse layer's weight's input
    live: Int32s  # live outputs of each layer, counted from the layer's first
    column_start: Int64s
    column_units: Int32s  # (entries,), workspace row of a weight's output
    places: Int32s  # (entries,), the weight's slot
    inactive: Int32s  # slots of dense layers that must stay zero
    connections: Int32s  # (some layers' live weights, 3): input unit, output unit and slot, column after column


BREAK_EVEN_DENSITY: Final = 0.5  # BLAS does about twice as many multiplications a second (benchmarks/RESULTS.md)
BREAK_EVEN_SIZE: Final = 32  # and needs so many rows and columns to do them


SHORT_ROW: Final = 6  # weights of a row on average, below which one observation is faster column after column


def is_dense(mask: Bools) -> bool:
    """Whether BLAS does the whole of a layer faster than the sparse kernels do its active part."""
    return min(mask.shape) >= BREAK_EVEN_SIZE and bool(np.count_nonzero(mask) > BREAK_EVEN_DENSITY * mask.size)


def weight_slots(mask: Bools) -> int:
    return mask.size if is_dense(mask) else int(np.count_nonzero(mask))


def build_structure(
    masks: Sequence[Bools], networks: int = 1, first_input: int = 0, normalized: bool = False
) -> Structure:
    """The structure of `networks` networks of equal depth, one after the other in `masks` (each (outputs, inputs)).

    Gradients of the loss by the model's inputs are wanted from input `first_input` on. `normalized`: the hidden layers.
    """
    live = [np.ones(len(mask), np.bool_) for mask in masks] if normalized else find_live(masks, networks)
    layers = _lay_out(masks, networks, first_input)
    layers["is_normalized"] = normalized & (layers["is_output"] == 0)
    parts = [_sparse_part(*arguments) for arguments in zip(layers, masks, live, strict=True)]
    for name, array in (
        *(("rows", "row_start"), ("columns", "column_start")),
        *(("live", "live"), ("inactive", "inactive"), ("connections", "connections")),
    ):
        layers[name] = _offsets([len(getattr(part, array)) for part in parts])[:-1]
    for name in ("live", "inactive", "connections"):
        layers[f"{name}_end"] = layers[name] + [len(getattr(part, name)) for part in parts]
    entries = _offsets([len(part.places) for part in parts])
    columns = [part.column_start + first for part, first in zip(parts, entries, strict=False)]
    joined = [np.concatenate(arrays) for arrays in zip(*(part[1:] for part in parts), strict=True)]
    return Structure(layers, *joined)._replace(column_start=np.concatenate(columns))


def find_live(masks: Sequence[Bools], networks: int) -> list[Bools]:
    """Returns for each layer which of its (outputs,) reach an output of the model. Of a dense layer all do."""
    depth = len(masks) // networks
    live: list[Bools] = []
    for number in reversed(range(len(masks))):
        is_output = (number + 1) % depth == 0
        if is_output or is_dense(masks[number]):
            live.append(np.ones(len(masks[number]), np.bool_))
        else:
            live.append(np.asarray(masks[number + 1][live[-1]].any(axis=0)))
    return live[::-1]


def _lay_out(masks: Sequence[Bools], networks: int, first_input: int) -> NDArray[Any]:
    """Sizes and places of all layers, those in the structure's arrays excepted."""
    depth = len(masks) // networks
    numbers = np.arange(len(masks))
    layers = np.zeros(len(masks), LAYER)
    layers["outputs"], layers["inputs"] = np.transpose([mask.shape for mask in masks])
    slots = _offsets([weight_slots(mask) for mask in masks])
    units = _offsets(layers["outputs"])
    layers["weights"] = slots[:-1]
    layers["bias"] = slots[-1] + units[:-1]
    layers["target"] = masks[0].shape[1] + units[:-1]
    starts_network = numbers % depth == 0
    layers["source"] = np.where(starts_network, 0, np.roll(layers["target"], 1))
    layers["first_input"] = np.where(starts_network, first_input, 0)
    layers["is_output"] = numbers % depth == depth - 1
    layers["is_dense"] = [is_dense(mask) for mask in masks]
    return layers


def _sparse_part(layer: Any, mask: Bools, live: Bools) -> Structure:
    """One layer's own arrays; entries are counted from the layer's first."""
    live_units = np.flatnonzero(live).astype(np.int32)
    if layer["is_dense"]:
        none, nowhere = np.zeros(0, np.int32), np.zeros(0, np.int64)
        units, connections = np.zeros(mask.size, np.int32), np.zeros((0, 3), np.int32)
        inactive = (layer["weights"] + np.flatnonzero(~mask)).astype(np.int32)
        return Structure(layer, nowhere, units, live_units, nowhere, none, none, inactive, connections)
    rows, columns = np.nonzero(mask)
    by_column = np.argsort(columns, kind="stable")
    by_column = by_column[live[rows[by_column]]]
    connections = np.stack(
        [layer["source"] + columns[by_column], layer["target"] + rows[by_column], layer["weights"] + by_column], axis=1
    ).astype(np.int32)
    wanted = columns[by_column] >= layer["first_input"]
    has_short_rows = not layer["is_output"] and len(rows) < SHORT_ROW * len(mask)
    return Structure(
        layer,
        layer["weights"] + _offsets(mask.sum(axis=1)),
        (layer["source"] + columns).astype(np.int32),
        live_units,
        _offsets(np.bincount(columns[by_column][wanted], minlength=mask.shape[1])),
        connections[wanted, 1],
        connections[wanted, 2],
        np.zeros(0, np.int32),
        connections if has_short_rows else connections[:0],
    )


def _offsets(counts: Any) -> Int64s:
    """(N,) counts to (N + 1,): where each begins, and the end of all."""
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
