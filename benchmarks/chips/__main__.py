"""What an action costs on a microcontroller: docs/exports.md's table, and results/chips.json.

Exported C is compiled by gcc for three Cortex-M cores, run by QEMU, and checked there by its own test vectors. Counted
are instructions, not cycles: a core takes one or more for each, and waits for flash, which no simulator here knows.

    python -m benchmarks.chips --write     # a minute; needs gcc-arm-none-eabi, libnewlib-arm-none-eabi, qemu-system-arm
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.chips.image import COMPILER, CORES, EMULATOR, is_there, measure
from benchmarks.exports import fresh_groups, fresh_policy
from benchmarks.places import ROOT
from benchmarks.sections import write_section
from rlx2_ray.cli.main import run
from rlx2_ray.export.check import random_observations
from rlx2_ray.networks.policy_file import load_policy, save_policy

POLICIES = {  # name in the table -> file in results/policies
    "Hopper-v5, 98 %": "Hopper-v5-td3-rlx2-s2",
    "Hopper-v5, 99 %": "Hopper-v5-td3-rlx2-99-best-s1",
    "HalfCheetah-v5, 90 %": "HalfCheetah-v5-td3-rlx2-s0",
}
GROUPS = {  # of a network that was not trained: task, zeros
    "Hopper-v5, 98 %, groups": ("Hopper-v5", 0.98),
    "HalfCheetah-v5, 90 %, groups": ("HalfCheetah-v5", 0.9),
}
FRESH = {  # as before the first update: task, zeros, fan-in
    "Hopper-v5, dense": ("Hopper-v5", 0.0, "free"),
    "Hopper-v5, 98 %, constant fan-in": ("Hopper-v5", 0.98, "constant"),
    "HalfCheetah-v5, 90 %, constant fan-in": ("HalfCheetah-v5", 0.9, "constant"),
    "HalfCheetah-v5, 90 %, fresh": ("HalfCheetah-v5", 0.9, "free"),
}
FORMS = {
    "float32": (),
    "int16": ("--int16", "--episodes", "1"),
    "int8": ("--int8", "--episodes", "1"),
    "int8, fixed point": ("--int8", "--fixed-point", "--episodes", "1"),
}
OBSERVATIONS = 8
RESULTS, PAGE = ROOT / "results" / "chips.json", ROOT / "docs" / "exports.md"

Row = dict[str, Any]


def main() -> None:
    """Measure all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="keep the figures, and the table in docs/exports.md")
    arguments = parser.parse_args()
    if not is_there():
        raise SystemExit(f"{COMPILER} or {EMULATOR} is not here: apt-get install gcc-arm-none-eabi "
                         "libnewlib-arm-none-eabi qemu-system-arm.")  # fmt: skip
    content = {"tools": [_version(COMPILER), _version(EMULATOR)], "rows": rows()}
    if arguments.write:
        RESULTS.write_text(json.dumps(content, indent=1) + "\n")
        write_section(PAGE, "chips", "python -m benchmarks.chips --write", text_of(content))
    sys.stdout.write(text_of(content))


def rows() -> list[Row]:
    """Of every policy in every form."""
    with tempfile.TemporaryDirectory(prefix="rlx2-chips-") as folder:
        made = {name: fresh_policy(*of) for name, of in FRESH.items()} | {
            name: fresh_groups(*of) for name, of in GROUPS.items()
        }
        files = {name: Path(folder) / f"fresh-{number}.safetensors" for number, name in enumerate(made)}
        for name, file in files.items():
            save_policy(file, made[name])
        files |= {name: ROOT / "results" / "policies" / f"{stem}.safetensors" for name, stem in POLICIES.items()}
        return [_row(name, form, file, Path(folder)) for name, file in files.items() for form in FORMS]


def _row(name: str, form: str, file: Path, folder: Path) -> Row:
    place = folder / f"{file.stem}-{form.replace(', ', '-').replace(' ', '-')}"
    place.mkdir()
    source = place / "policy.c"
    code = run(["export", str(file), "--format", "c", *FORMS[form], "--out", str(source)])
    assert code == 0, f"{file} could not be exported"
    observations = random_observations(load_policy(file).spaces.observation_size, OBSERVATIONS, None)
    cores = {core: measure(source, observations, how)._asdict() for core, how in CORES.items()}
    return {"policy": name, "form": form, "cores": cores}


def text_of(content: Row) -> str:
    """The section of docs/exports.md."""
    heads = ["policy", "numbers", *(f"{name}: {what}" for name in CORES for what in ("flash", "instructions", "µs"))]
    lines = [f"| {' | '.join([*heads, 'stack'])} |", f"|---|---{'|---:' * (len(heads) - 1)}|"]
    for row in content["rows"]:
        cells = [row["policy"], row["form"]]
        for name, measured in row["cores"].items():
            instructions = measured["instructions"]
            cells += [f"{measured['flash']:,}", f"{instructions:,}", f"{instructions / CORES[name].mhz:,.0f}"]
        stack = max(measured["ram"] for measured in row["cores"].values())
        lines.append(f"| {' | '.join([*cells, f'{stack:,}'])} |")
    chips = ", ".join(f"{name}: {core.chip} at {core.mhz} MHz" for name, core in CORES.items())
    wrong = sum(measured["wrong"] for row in content["rows"] for measured in row["cores"].values())
    said = "every one of the test vectors came out right" if wrong == 0 else f"{wrong} test vectors came out WRONG"
    table = "\n".join(lines)
    return (
        f"{table}\n\nOn all cores {said}. {chips}. {'; '.join(content['tools'])}; `-Os`. Bytes of flash: code, "
        "tables, and on an M0+ the routines that stand for a floating point unit; bytes of stack, the only RAM.\n"
    )


def _version(tool: str) -> str:
    said = subprocess.run([tool, "--version"], capture_output=True, text=True, check=True).stdout
    return said.splitlines()[0]


if __name__ == "__main__":
    main()
