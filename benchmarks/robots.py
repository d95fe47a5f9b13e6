"""Which small policy for a robot? Return kept, bytes, and time of every kind of network in every kind of number.

The policies are those of runs of `tune_configs/robots.yaml` by their best evaluation (`rlx2 export RUN --best`). Each
is exported as C, played before and after on the same episodes, timed here, and run on simulated chips, as in
benchmarks/chips.

    python -m benchmarks.robots --write     # half an hour of a core; needs what benchmarks/chips needs
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import sys
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.chips.image import COMPILER, CORES, EMULATOR, is_there, measure
from benchmarks.exports import CALLS, SMALL, TASKS, many_calls
from benchmarks.places import ROOT
from benchmarks.sections import write_section
from rlx2_ray.bench.timing import time_in_turns
from rlx2_ray.cli.main import run
from rlx2_ray.export.check import random_observations
from rlx2_ray.networks.policy_file import load_policy
from rlx2_ray.types import Floats

EPISODES = 20
OBSERVATIONS = 8  # on a chip
STRICT = ("-Wall", "-Wextra", "-Werror")
KINDS = {  # in a file's name -> in the table
    "dense": "dense",
    "rlx2": "RLx2",
    "fan_in": "constant fan-in",
    "structured": "structured",
    "group": "groups",
}
PLAYED = ("--episodes", str(EPISODES))
FORMS: dict[str, tuple[str, ...]] = {
    "float32": (),
    "int16": ("--int16", *PLAYED),
    "int8": ("--int8", *PLAYED),
    "int8 tuned": ("--int8", "--tune", *PLAYED),
    "int8 tuned, fixed point": ("--int8", "--tune", "--fixed-point", *PLAYED),
}
POLICIES = ROOT / "results" / "policies" / "robots"
RESULTS, PAGE = ROOT / "results" / "robots.json", ROOT / "docs" / "exports.md"
SHOWN = ("Cortex-M0+", "Cortex-M4F")
Row = dict[str, Any]


def main() -> None:
    """Measure all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="keep the figures, and the table in docs/exports.md")
    arguments = parser.parse_args()
    if not is_there():
        raise SystemExit(f"{COMPILER} or {EMULATOR} is not here: see benchmarks/chips.")
    content = {"rows": [row_of(file) for file in sorted(POLICIES.glob("*.safetensors"), key=_order)]}
    if arguments.write:
        RESULTS.write_text(json.dumps(content, indent=1) + "\n")
        write_section(PAGE, "robots", "python -m benchmarks.robots --write", text_of(content))
    sys.stdout.write(text_of(content))


def _order(file: Path) -> tuple[int, int]:
    env_id, kind = _names(file)
    return list(TASKS).index(env_id), list(KINDS).index(kind)


def _names(file: Path) -> tuple[str, str]:
    """Task and kind of network: Hopper-v5-fan_in-s0 is ("Hopper-v5", "fan_in")."""
    found = re.fullmatch(r"(.+-v\d+)-(.+)-s\d+", file.stem)
    assert found is not None, f"{file.name} is not TASK-KIND-sSEED.safetensors"
    return found[1], found[2]


def row_of(file: Path) -> Row:
    sys.stderr.write(f"{file.stem}\n")
    policy = load_policy(file)
    observations = random_observations(policy.spaces.observation_size, OBSERVATIONS, None)
    return {
        "env_id": policy.env["id"],
        "kind": _names(file)[1],
        "weights": sum(len(layer.indices) for layer in policy.layers),
        "forms": {form: _form(file, options, observations) for form, options in FORMS.items()},
    }


def _form(file: Path, options: Sequence[str], observations: Floats) -> Row:
    with tempfile.TemporaryDirectory(prefix="rlx2-robots-") as name:
        source, said = Path(name) / "policy.c", StringIO()
        with redirect_stdout(said):
            code = run(["export", str(file), "--format", "c", *options, "--out", str(source), "--json"])
        assert code == 0, f"{file} could not be exported"
        content = json.loads(said.getvalue())
        cores = {core: measure(source, observations, CORES[core])._asdict() for core in SHOWN}
        action_size = load_policy(file).spaces.action_size
        return {
            "loss": content["int8"] or content["int16"],
            "multiply_adds": content["multiply_adds"],
            "tables": content["table_bytes"],
            "cores": cores,
            "us": _microseconds(source, observations[0], action_size),
        }


def _microseconds(source: Path, observation: Floats, action_size: int) -> float:
    """Of an action here, in C by `cc -Os`, called from C: median over rounds."""
    action = np.empty(action_size, np.float32)
    call = many_calls((*SMALL, *STRICT), source.with_suffix(".so"), observation, action)
    return time_in_turns({"c": call}).calls["c"].microseconds / CALLS


def text_of(content: Row) -> str:
    """The section of docs/exports.md."""
    heads = ["network", "weights", "numbers", "return", "kept", "flash", "stack"]
    heads += [f"{core}: {what}" for core in SHOWN for what in ("instructions", "µs")] + ["µs here"]
    above = [f"| {' | '.join(heads)} |", f"|---|---:|---{'|---:' * (len(heads) - 3)}|"]
    parts = []
    for task in TASKS:
        lines = [line for row in content["rows"] if row["env_id"] == task for line in _lines(row)]
        parts += [f"### {task}\n", *above, *lines, ""] if lines else []
    measured = [core for row in content["rows"] for form in row["forms"].values() for core in form["cores"].values()]
    wrong = sum(core["wrong"] for core in measured)
    said = "every one of the test vectors came out right" if wrong == 0 else f"{wrong} test vectors came out WRONG"
    chips = ", ".join(f"{name}: {CORES[name].chip} at {CORES[name].mhz} MHz" for name in SHOWN)
    parts.append(
        f"Return: mean of {EPISODES} episodes of the exported policy; kept: of the trained policy's on the same "
        f"episodes. Flash and stack in bytes, on a Cortex-M4F. On both cores {said}. {chips}; an instruction a cycle. "
        f"Here: {platform.machine()}, one core, `cc -Os`."
    )
    return "\n".join(parts) + "\n"


def _lines(row: Row) -> list[str]:
    before = row["forms"]["int8"]["loss"]["return_before"]
    lines = []
    for form, measured in row["forms"].items():
        after = measured["loss"]["return_after"] if measured["loss"] else before
        cells = [KINDS[row["kind"]], f"{row['weights']:,}", form, f"{after:,.0f}", f"{after / before:.0%}"]
        cells += [f"{measured['cores']['Cortex-M4F'][what]:,}" for what in ("flash", "ram")]
        for name in SHOWN:
            instructions = measured["cores"][name]["instructions"]
            cells += [f"{instructions:,}", f"{instructions / CORES[name].mhz:,.0f}"]
        lines.append(f"| {' | '.join([*cells, format(measured['us'], '.1f')])} |")
    return lines


if __name__ == "__main__":
    main()
