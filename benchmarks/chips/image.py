"""Exported C as a program for a Cortex-M, and what it says when QEMU runs it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rlx2_ray.export.c_text import table
from rlx2_ray.types import Floats

HERE = Path(__file__).parent
COMPILER, EMULATOR = "arm-none-eabi-gcc", "qemu-system-arm"
STRICT = ("-std=c99", "-Os", "-Wall", "-Wextra", "-Werror", "-pedantic", "-mthumb", "-ffunction-sections")
LINKED = ("-nostdlib", "-nostartfiles", "-Wl,--gc-sections", "-T", str(HERE / "mps2.ld"))
NOTHING = """\
#include "policy.h"

void policy_act(const float observation[POLICY_OBSERVATION_SIZE], float action[POLICY_ACTION_SIZE])
{
    action[0] = observation[0];
}
"""
LONGEST_S = 120  # of a run


class Core(NamedTuple):
    flags: tuple[str, ...]
    machine: str  # of QEMU
    chip: str  # that has such a core
    mhz: int  # of that chip


# A Cortex-M3 runs the instructions of an M0+, which QEMU has on no board with room for a dense policy.
CORES = {
    "Cortex-M0+": Core(("-mcpu=cortex-m0plus", "-mfloat-abi=soft"), "mps2-an385", "RP2040", 133),
    "Cortex-M4F": Core(("-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"), "mps2-an386", "STM32F405", 168),
    "Cortex-M7": Core(("-mcpu=cortex-m7", "-mfpu=fpv5-d16", "-mfloat-abi=hard"), "mps2-an500", "i.MX RT1062", 600),
}


class Measured(NamedTuple):
    wrong: int  # of the check's observations
    flash: int  # bytes: code, tables and, without a floating point unit, the routines that stand for one
    ram: int  # bytes: of an action's stack; there is no other
    instructions: int  # of the action that takes most, of some observations


def is_there() -> bool:
    """Whether there is all that it takes: packages gcc-arm-none-eabi and qemu-system-arm."""
    return all(map(shutil.which, (COMPILER, EMULATOR)))


def measure(source: Path, observations: Floats, core: Core) -> Measured:
    """Runs an exported policy.c, which has its header and its check beside it, on a core; observations (n, size)."""
    folder = source.parent
    (folder / "vectors.c").write_text(f"{table('vectors', observations.ravel()).replace('static ', '')}\n")
    (folder / "nothing.c").write_text(NOTHING)
    count = (f"-DVECTORS={len(observations)}",)
    image = _build(folder, core, [source.name, f"{source.stem}_check.c", "vectors.c"], "image.elf", count)
    alone = (*count, "-DSIZE_ALONE")
    with_it = _build(folder, core, [source.name, "vectors.c"], "with.elf", alone)
    without = _build(folder, core, ["nothing.c", "vectors.c"], "without.elf", alone)
    said = _run(image, core)
    return Measured(said["wrong"], _flash(with_it) - _flash(without), said["stack"], said["instructions"])


def _build(folder: Path, core: Core, sources: Sequence[str], name: str, defines: Sequence[str]) -> Path:
    command = [COMPILER, *STRICT, *core.flags, *defines, f"-I{folder}", *sources, str(HERE / "image.c"), *LINKED]
    subprocess.run([*command, "-lc", "-lgcc", "-o", name], cwd=folder, check=True)
    return folder / name


def _flash(image: Path) -> int:
    """Code and constants, and what variables begin as."""
    said = subprocess.run(["arm-none-eabi-size", image], capture_output=True, text=True, check=True).stdout
    code, data = said.splitlines()[1].split()[:2]
    return int(code) + int(data)


def _run(image: Path, core: Core) -> dict[str, int]:
    command = [EMULATOR, "-M", core.machine, "-nographic", "-icount", "shift=0", "-semihosting", "-kernel", str(image)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S, check=True)
    lines = (line.split() for line in (done.stdout + done.stderr).splitlines())
    return {words[0]: int(words[1]) for words in lines if len(words) == 2}
