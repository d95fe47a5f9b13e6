"""An exported C source, compiled by the system's compiler and run in a process of its own.

Whatever it does, it does there: it cannot write into this process, and it is killed where it gives no answer.
"""

from __future__ import annotations

import os
import re
import select
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from rlx2_ray.export.c_reader import CSource
from rlx2_ray.types import BadInput, Floats

FLAGS = ("-std=c99", "-O2", "-w")
COMPILE_S = 120.0  # for the largest tables that are read
ANSWER_S = 10.0  # for one action
FILTER = """\
#include <stdio.h>
#include "{stem}.h"
int main(void)
{{
    float observation[{observation_size}], action[{action_size}];
    while (fread(observation, sizeof observation, 1, stdin) == 1) {{
        {function}(observation, action);
        fwrite(action, sizeof action, 1, stdout);
        fflush(stdout);
    }}
    return 0;
}}
"""
# What stands behind a # in our files; a compiler would take the others' word for reading any file.
DIRECTIVE = re.compile(r"^[ \t]*(?:#|%:)[ \t]*(.*)$", re.MULTILINE)
OURS = re.compile(
    r'include "[\w.+-]+\.h"|include <std(?:def|int)\.h>|(?:if|ifn)def \w+|define \w+(?: \d+)?|endif', re.ASCII
)
SPLICED = re.compile(r"\?\?[=/]|\\[ \t]*$", re.MULTILINE)  # by which a directive would be written in another way


def find_compiler() -> list[str] | None:
    """Returns $CC, or the first compiler of a usual name, with `FLAGS`; None where there is none."""
    for command in (shlex.split(os.environ.get("CC", "")), ["cc"], ["gcc"], ["clang"]):
        if command and shutil.which(command[0]):
            return [*command, *FLAGS]
    return None


@contextmanager
def compiled(compiler: Sequence[str], source: CSource) -> Iterator[Callable[[Floats], Floats]]:
    """The function of a source, (N, observation_size) to (N, action_size), in the environment's units.

    Raises BadInput where it cannot be compiled, or gives no answer.
    """
    if not source.is_ours:
        _check_directives(source)
    with tempfile.TemporaryDirectory(prefix="rlx2-") as folder:
        program = _program(compiler, source, Path(folder))
        try:
            process = subprocess.Popen(
                [str(program)],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=folder,
                env={},
                start_new_session=True,
            )
        except OSError as error:
            raise BadInput(f"{source.path} cannot be run in {folder} ({error.strerror}): set TMPDIR.") from None
        try:
            yield _Filter(process, source, compiler[0]).act
        finally:
            _end(process)


def _program(compiler: Sequence[str], source: CSource, folder: Path) -> Path:
    spaces, apart = source.identity.spaces, folder / "policy"  # whatever its names are
    sizes = {"observation_size": spaces.observation_size, "action_size": spaces.action_size}
    apart.mkdir()
    (folder / "main.c").write_text(FILTER.format(stem=source.stem, function=source.function, **sizes))
    for ending, text in ((".h", source.text.header), (".c", source.text.source)):
        (apart / f"{source.stem}{ending}").write_text(text, encoding="utf-8")
    program = folder / "program"
    files = [f"-I{apart}", str(apart / f"{source.stem}.c"), str(folder / "main.c"), "-o", str(program)]
    _compile([*compiler, *files], source.path, folder)
    return program


def _check_directives(source: CSource) -> None:
    """Raises BadInput for a source or header with a directive that no file of ours has."""
    for text in source.text:
        found = [each for each in DIRECTIVE.findall(text) if not OURS.fullmatch(each.rstrip())]
        if found or SPLICED.search(text.partition(" */\n")[2]):
            what = f"#{found[0][:60]}" if found else "a line that goes on in the next one"
            raise BadInput(
                f"{source.path} has {what}, which no C of rlx2 export has: it is not compiled; export it again."
            )


class _Filter:
    """A program that reads observations and writes actions."""

    def __init__(self, process: subprocess.Popen[bytes], source: CSource, compiler: str) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._path, self._compiler = process, source.path, compiler
        self._into, self._out_of = process.stdin.fileno(), process.stdout.fileno()
        self._size = source.identity.spaces.action_size
        os.set_blocking(self._into, False)

    def act(self, observations: Floats) -> Floats:
        content = memoryview(np.ascontiguousarray(observations, np.float32).tobytes())
        answer = bytearray()
        actions, of_one = len(observations) * 4 * self._size, 4 * self._size
        deadline = time.monotonic() + ANSWER_S
        while len(answer) < actions:
            wanted = actions - len(answer)
            content, part = self._exchange(content, wanted, deadline)
            if len(answer) // of_one < (len(answer) + len(part)) // of_one:
                deadline = time.monotonic() + ANSWER_S
            answer += part
        return np.frombuffer(answer, np.float32).reshape(len(observations), self._size)

    def _exchange(self, content: memoryview, wanted: int, deadline: float) -> tuple[memoryview, bytes]:
        """What is still to be said, and what has been answered."""
        into = [self._into] if content else []
        readable, writable, _ = select.select([self._out_of], into, [], max(0.0, deadline - time.monotonic()))
        if not (readable or writable):
            raise BadInput(f"{self._path}, compiled by {self._compiler}, gave no action in {ANSWER_S:.0f} s: set CC.")
        part = b""
        try:
            if writable:
                content = content[os.write(self._into, content) :]
            if readable and not (part := os.read(self._out_of, wanted)):
                raise BrokenPipeError
        except BrokenPipeError:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(1.0)
            status = self._process.returncode
            raise BadInput(f"{self._path}, compiled by {self._compiler}, ended with status {status}: set CC.") from None
        return content, part


def _compile(command: list[str], source: Path, folder: Path) -> None:
    log = folder / "said"
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True)
        try:
            status = process.wait(COMPILE_S)
            problem = ""
        except subprocess.TimeoutExpired:
            status, problem = -1, f"it took more than {COMPILE_S:.0f} s"
        finally:
            _end(process)
    if status:
        with log.open(encoding="utf-8", errors="replace") as file:
            said = problem or file.readline(300).strip() or "it said nothing"
        raise BadInput(f"{source} cannot be compiled by {command[0]} ({said}): set CC to a C99 compiler.")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it, with all that it has begun."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    with process:  # waits for it, and closes its pipes
        pass
