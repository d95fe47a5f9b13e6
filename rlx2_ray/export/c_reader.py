"""An exported C source, read back: is it as it was written, what is it a policy of, and what do its tables say?"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlx2_ray.export.c_source import C_TYPES, NO_DIGEST, Text
from rlx2_ray.export.identity import Identity, damaged, read_identity
from rlx2_ray.export.tables import COLUMNS, DENSE, GAPS, Tables, decode
from rlx2_ray.networks.policy import DenseLayer, DenseNetwork
from rlx2_ray.types import BadInput, Floats

DIGEST = re.compile(r"^ \* rlx2-digest: ([0-9a-f]{64})$", re.MULTILINE)
POLICY = re.compile(r"^ \* rlx2-policy: (\{.*\})$", re.MULTILINE)
HEADER = re.compile(r'^#include "(.+)"$', re.MULTILINE)
FUNCTION = re.compile(r"^void (\w+)_act\(", re.MULTILINE)
TABLE = re.compile(r"^static const (\w+) (\w+)\[(\d+)\] = \{([^}]*)\};$", re.MULTILINE)
DTYPES = {name: np.dtype(dtype) for dtype, name in C_TYPES.items()}


class CSource(NamedTuple):
    path: Path
    function: str  # the name of what acts
    identity: Identity
    text: str

    def act(self, observations: Floats) -> Floats:
        """Returns what the C does, in numpy on its tables: (N, action_size), in the environment's units."""
        tables = read_tables(self.text)
        network = read_network(tables, self.identity.spaces.observation_size)
        squashed = network.outputs(observations, network.output_size)
        above_low = (squashed + 1) * tables["half_range"]
        if self.identity.spaces.action_is_integer:
            above_low = np.floor(above_low + 0.5)
        actions: Floats = (tables["low"] + above_low).astype(np.float32)
        return actions


def read_source(path: Path) -> CSource:
    """Reads a file. Raises BadInput for one that `rlx2 export` did not write, that lacks its header, or was changed."""
    text = _read(path)
    found = [pattern.search(text) for pattern in (DIGEST, POLICY, HEADER, FUNCTION)]
    if None in found:
        raise BadInput(f"{path} is no C that rlx2 export wrote: give a run directory, or a file that it wrote.")
    digest, policy, include, function = (match[1] for match in found if match)
    header = path.with_name(include)
    if not header.is_file():
        raise BadInput(f"{path} needs {header}, which is not there: put it back, or export again.")
    if Text(_read(header), text.replace(digest, NO_DIGEST, 1)).digest != digest:
        raise damaged(path)
    return CSource(path, f"{function}_act", read_identity(json.loads(policy)), text)


def read_tables(text: str) -> dict[str, NDArray[Any]]:
    """Returns tables by name. Raises OverflowError for a number that its type does not hold."""
    tables = {}
    for kind, name, size, body in TABLE.findall(text):
        numbers = [number.strip().rstrip("f") for number in body.split(",") if number.strip()]
        parsed: list[Any] = [float(number) if kind in ("float", "double") else int(number) for number in numbers]
        if len(parsed) != int(size):
            raise ValueError(f"{name} has {len(parsed)} numbers and says {size}")
        tables[name] = np.array(parsed, DTYPES[kind])
    return tables


def read_network(tables: Mapping[str, NDArray[Any]], observation_size: int) -> DenseNetwork:
    layers: list[DenseLayer] = []
    inputs = observation_size
    while f"weights_{len(layers) + 1}" in tables:
        number = len(layers) + 1
        form = next((form for form in (COLUMNS, GAPS) if f"{form}_{number}" in tables), DENSE)
        counts, places, scales = (tables.get(f"{name}_{number}") for name in ("counts", form, "scales"))
        weights, bias = tables[f"weights_{number}"], tables[f"bias_{number}"]
        if counts is not None and places is not None:  # an empty layer's tables hold one number for C's sake
            weights, places = weights[: counts.sum()], places[: counts.sum()]
        layers.append(decode(Tables(form, inputs, weights, bias, counts, places, scales)))
        inputs = len(bias)
    return DenseNetwork(layers)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")  # whatever line ends a version control system has given it
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read as C ({error}): give a file that rlx2 export wrote.") from None
