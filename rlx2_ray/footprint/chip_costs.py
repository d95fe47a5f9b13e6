"""What an exported C source takes of a microcontroller, estimated of its tables: flash, RAM, multiply-adds and time.

An instruction count is a sum over weights, rows, actions and observations, each with the instructions that it took on
average where `benchmarks/chips` ran exports under QEMU (gcc 12, -Os). Without a floating point unit it depends on the
numbers too, for the routines that stand for one take fewer instructions for a product with 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from rlx2_ray.footprint.tables import DENSE, Tables

FIXED = "fixed"  # beside float32, int16 and int8: the kind of numbers of a source in integers alone


class Cost(NamedTuple):
    """Instructions of each, and bytes that do not grow with the policy."""

    dense_weight: float
    sparse_weight: float
    constant_weight: float  # of rows of as many weights each, whose loop loads no count
    circulant_weight: float  # of a diagonal in a block, of each row
    row: float
    action: float
    observation: float
    code: int
    stack: int  # beside the activations


# By whether there is a floating point unit, and the numbers of the tables.
COSTS = {
    True: {
        "float32": Cost(5.0, 8.0, 6.8, 7.9, 19.0, 79, 13, 510, 64),
        "int16": Cost(6.9, 10.0, 8.8, 8.5, 20.0, 69, 15, 550, 80),
        "int8": Cost(7.0, 10.0, 8.8, 8.2, 20.0, 88, 12, 550, 88),
        FIXED: Cost(4.9, 7.1, 5.5, 8.5, 54.0, 0, 38, 890, 136),
    },
    False: {
        "float32": Cost(163, 176, 176, 177, 113, 9190, 29, 4080, 140),
        "int16": Cost(212, 219, 219, 188, 235, 9170, 90, 4270, 148),
        "int8": Cost(209, 213, 213, 189, 199, 7630, 924, 4280, 148),
        FIXED: Cost(12.3, 12.7, 12.7, 14.0, 130, 406, 518, 4060, 204),
    },
}
# Bytes of a function for blocks beyond that of rows that it stands for, and of each row of its blocks.
BLOCK_CODE, ROW_CODE = 65, 36


class Chip(NamedTuple):
    """A core, and a chip that has it."""

    core: str
    name: str
    mhz: int
    has_floats: bool


CHIPS = (
    Chip("Cortex-M0+", "RP2040", 133, False),
    Chip("Cortex-M4F", "STM32F405", 168, True),
    Chip("Cortex-M7", "i.MX RT1062", 600, True),
)


class Estimate(NamedTuple):
    core: str
    chip: str
    mhz: int
    flash_bytes: int
    ram_bytes: int
    instructions: int
    microseconds: float  # of an instruction a cycle


def multiply_adds(layers: Sequence[Tables]) -> int:
    """Returns how many products an action adds up."""
    return sum(layer.products for layer in layers)


def estimate(layers: Sequence[Tables], table_bytes: int, normalized: bool = False) -> list[Estimate]:
    """Returns what a source with these layers takes of `CHIPS`; `table_bytes`: of all its tables."""
    return [_of_chip(layers, table_bytes, normalized, chip) for chip in CHIPS]


def _of_chip(layers: Sequence[Tables], table_bytes: int, normalized: bool, chip: Chip) -> Estimate:
    is_fixed = layers[0].multipliers is not None
    cost = COSTS[chip.has_floats][FIXED if is_fixed else layers[0].weights.dtype.name]
    inputs, outputs = layers[0].inputs, layers[-1].outputs
    instructions = sum(_of_layer(layer, cost) for layer in layers) + outputs * cost.action + inputs * cost.observation
    instructions += 2 * inputs * cost.sparse_weight * normalized
    hidden = [layer.outputs for layer in layers[:-1]]
    places = max(hidden[::2], default=0) + max(hidden[1::2], default=0)
    ram = (2 * (places + 2 * inputs + outputs) if is_fixed else 4 * places) + 4 * inputs * normalized
    flash = table_bytes + 8 * inputs * normalized + cost.code + _code_of_blocks(layers)
    microseconds = round(instructions / chip.mhz, 1)
    return Estimate(chip.core, chip.name, chip.mhz, flash, ram + cost.stack, round(instructions), microseconds)


def _of_layer(layer: Tables, cost: Cost) -> float:
    if layer.form == DENSE:
        each = cost.dense_weight
    elif layer.block > 1:
        each = cost.circulant_weight
    else:
        each = cost.constant_weight if layer.has_fan_in else cost.sparse_weight
    return layer.products * each + layer.outputs * cost.row


def _code_of_blocks(layers: Sequence[Tables]) -> int:
    """Of functions that there are one of for numbers of their types, and for layers of whole blocks or others."""
    blocks = [layer for layer in layers if layer.block > 1]
    tables = [[table.dtype for table in (each.counts, each.places) if table is not None] for each in blocks]
    rows = {
        (each.rows, each.inputs % each.block > 0, *own): each.rows for each, own in zip(blocks, tables, strict=True)
    }
    return sum(BLOCK_CODE + ROW_CODE * number for number in rows.values())


def as_fields(layers: Sequence[Tables], table_bytes: int, normalized: bool) -> dict[str, Any]:
    """Returns what `rlx2 export --json` says of it."""
    chips = [each._asdict() for each in estimate(layers, table_bytes, normalized)]
    return {"multiply_adds": multiply_adds(layers), "estimated_on_chips": chips}


def sentence(content: dict[str, Any]) -> str:
    """Returns `as_fields` in words."""
    chips = content["estimated_on_chips"]
    words = [
        f"{each['core']} ({each['chip']}, {each['mhz']} MHz) {each['flash_bytes'] / 1e3:.1f} kB of flash, "
        f"{each['ram_bytes'] / 1e3:.1f} kB of RAM, {each['instructions']} instructions, {each['microseconds']:.0f} us"
        for each in chips
    ]
    return (
        f"An action takes {content['multiply_adds']} multiply-adds. Estimated, at an instruction a cycle and without "
        f"what flash is waited for: {'; '.join(words)}"
    )
