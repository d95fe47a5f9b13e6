"""What Ctrl-C and SIGTERM do before a command has begun: a sentence and the exit code of all interruptions.

Imported first of all, since the imports take most of that time. Who imports the command line for something else keeps
their own handlers.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import FrameType

CODE = 130
SENTENCE = "rlx2: Interrupted."
SIGNALS = (signal.SIGINT, signal.SIGTERM)
COMMANDS = ("rlx2", "__main__.py")


def interrupt_from_now_on() -> None:
    """Let both signals raise KeyboardInterrupt; a run hears them its own way."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as a shell has it for what runs in the background
            signal.signal(number, signal.default_int_handler)


def _end(number: int, frame: FrameType | None) -> None:
    print(SENTENCE, file=sys.stderr)  # noqa: T201 - this is the command line
    raise SystemExit(CODE)


if Path(sys.argv[0]).name in COMMANDS:
    for _number in SIGNALS:
        if signal.getsignal(_number) is not signal.SIG_IGN:
            signal.signal(_number, _end)
