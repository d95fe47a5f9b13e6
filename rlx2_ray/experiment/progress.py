"""What a command without a display of its own is doing, said on standard error where it takes longer than a moment."""

from __future__ import annotations

import threading
import time
from typing import Self

from rich.console import Console

TERMINAL_S, PLAIN_S = 2.0, 30.0  # until it is said; elsewhere than in a terminal it is said anew as often
REFRESH_S = 0.2


class Progress:
    """A line that changes in a terminal, and is gone at the end; plain lines elsewhere."""

    def __init__(self, doing: str, console: Console | None = None) -> None:
        self._doing = doing
        self._at = ""
        self._console = console or Console(stderr=True, highlight=False)
        self._ended = threading.Event()
        self._started = time.monotonic()
        self._thread = threading.Thread(target=self._show, name="progress", daemon=True)

    def at(self, place: str) -> None:
        """Take note how far it is; cheap enough for every env step."""
        self._at = place

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _show(self) -> None:
        if self._console.is_terminal:
            if not self._ended.wait(TERMINAL_S):
                with self._console.status("") as status:
                    while not self._ended.wait(REFRESH_S):
                        status.update(self._text())
            return
        while not self._ended.wait(PLAIN_S):
            self._console.print(self._text(), markup=False, soft_wrap=True)

    def _text(self) -> str:
        place = f": {self._at}" if self._at else ""
        return f"{self._doing}{place} ({time.monotonic() - self._started:.0f} s)"
