"""An exported C source, compiled by the system's compiler: in a program of its own, or as a library in this process."""

from __future__ import annotations

import ctypes
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np

from rlx2_ray.export.c_reader import CSource
from rlx2_ray.types import BadInput, Floats

FLAGS = ("-std=c99", "-O2")
FILTER = """\
#include <stdio.h>
#include "{header}"
int main(void)
{{
    float observation[{observation_size}], action[{action_size}];
    while (fread(observation, sizeof observation, 1, stdin) == 1) {{
        {function}(observation, action);
        fwrite(action, sizeof action, 1, stdout);
    }}
    return 0;
}}
"""


def find_compiler() -> list[str] | None:
    """Returns $CC, or the first compiler of a usual name, with `FLAGS`; None where there is none."""
    for command in (shlex.split(os.environ.get("CC", "")), ["cc"], ["gcc"], ["clang"]):
        if command and shutil.which(command[0]):
            return [*command, *FLAGS]
    return None


def run_program(compiler: list[str], source: CSource, observations: Floats, folder: Path) -> Floats:
    """Returns the actions of a program, which is made in `folder`: (N, action_size), in the environment's units."""
    spaces = source.identity.spaces
    main, program = folder / "filter_main.c", folder / "filter"
    main.write_text(
        FILTER.format(
            header=source.path.with_suffix(".h").name,
            observation_size=spaces.observation_size,
            action_size=spaces.action_size,
            function=source.function,
        )
    )
    _compile([*compiler, f"-I{source.path.parent}"], source.path, [str(main), "-o", str(program)])
    content = np.ascontiguousarray(observations, np.float32).tobytes()
    done = subprocess.run([str(program)], input=content, capture_output=True)
    actions = np.frombuffer(done.stdout, np.float32)
    if done.returncode or actions.size != len(observations) * spaces.action_size:
        raise BadInput(f"{source.path}, compiled by {compiler[0]}, ended with status {done.returncode}: set CC.")
    return actions.reshape(len(observations), spaces.action_size)


class Library:
    """The C function of a file, called in this process."""

    def __init__(self, compiler: list[str], source: CSource, folder: Path) -> None:
        library = folder / "policy.so"
        _compile([*compiler, "-shared", "-fPIC"], source.path, ["-o", str(library)])
        self._act = getattr(ctypes.CDLL(str(library)), source.function)
        self._size = source.identity.spaces.action_size

    def act(self, observations: Floats) -> Floats:
        """Returns actions, (N, action_size), in the environment's units."""
        observations = np.ascontiguousarray(observations, np.float32)
        actions = np.empty((len(observations), self._size), np.float32)
        for observation, action in zip(observations, actions, strict=True):
            self._act(observation.ctypes.data_as(ctypes.c_void_p), action.ctypes.data_as(ctypes.c_void_p))
        return actions


def _compile(command: list[str], source: Path, rest: list[str]) -> None:
    done = subprocess.run([*command, str(source), *rest], capture_output=True, text=True)
    if done.returncode:
        said = next(iter(done.stderr.splitlines()), "it said nothing")
        raise BadInput(f"{source} cannot be compiled by {command[0]} ({said}): set CC to a C99 compiler.")
