"""The console script `rlx2`. Exit codes: 0 done, 1 the work failed, 2 bad input, 130 interrupted (resumable)."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from itertools import pairwise
from typing import Annotated

import rlx2_ray.cli.signals as signals  # before what takes time to import

# isort: split
import typer
from typer.exceptions import TyperException

import rlx2_ray.cli.threads  # noqa: F401 - before anything imports numpy
from rlx2_ray.cli import (
    archive,
    bench,
    compress,
    dashboard,
    describe,
    doctor,
    evaluate,
    export,
    report,
    resume,
    sweep,
    train,
)
from rlx2_ray.tracking.uri import hide_secret, redacted
from rlx2_ray.types import BadInput, Interrupted, RunFailed, shortened

OF_A_PATH = (errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES, errno.EROFS, errno.ENOTDIR)  # what no command expects

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
app.command("train")(train.train)
app.command("resume")(resume.resume)
app.command("sweep")(sweep.sweep)
app.command("compress")(compress.compress)
app.command("evaluate")(evaluate.evaluate)
app.command("export")(export.export)
app.command("archive")(archive.archive)
app.command("report")(report.report)
app.command("dashboard")(dashboard.dashboard)
app.command("describe")(describe.describe)
app.command("doctor")(doctor.doctor)
app.add_typer(bench.app, name="bench")


@app.callback()
def rlx2(
    version: Annotated[
        bool, typer.Option("--version", callback=doctor.print_version, is_eager=True, help="Print it, and end.")
    ] = False,
) -> None:
    """Train sparse deep-RL agents from scratch (RLx2 on TD3 and SAC), inline or on Ray actors."""


def main() -> None:
    signals.interrupt_from_now_on()
    hide_secret_of_command_line()
    sys.exit(run(sys.argv[1:]))


def hide_secret_of_command_line() -> None:
    """Begin anew with the secret of --tracking-uri in the environment: lists of processes show command lines."""
    option, shown = "--tracking-uri", list(sys.orig_argv)
    for place, (before, argument) in enumerate(pairwise(sys.orig_argv), start=1):
        name, _, value = argument.partition("=")
        uri = argument if before == option else value if name == option else ""
        if redacted(uri) != uri:
            with suppress(BadInput):  # the command says it
                shown[place] = argument.replace(uri, hide_secret(uri))
    if shown != sys.orig_argv:
        os.execv(sys.executable, shown)


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code; what went wrong is one sentence on standard error."""
    try:
        code = int(app(arguments, standalone_mode=False) or 0)
        return _fail("Interrupted.", code) if code == signals.CODE else code  # typer makes a code of the exception
    except BadInput as error:
        return _fail(str(error), 2)
    except TyperException as error:
        problem = error.format_message().rstrip(".") or "No command was given"
        return _fail(f"{problem}: see 'rlx2 --help'.", 2)
    except OSError as error:
        if error.errno not in OF_A_PATH or error.filename is None:
            raise
        return _fail(f"{error.filename} cannot be used ({error.strerror}): give another path.", 2)
    except RunFailed as error:
        return _fail(str(error), 1)
    except Interrupted as error:
        return _fail(str(error), 130)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("Interrupted.", 130)


def _fail(sentence: str, code: int) -> int:
    print(f"rlx2: {shortened(sentence)}", file=sys.stderr)  # noqa: T201 - this is the command line
    return code
