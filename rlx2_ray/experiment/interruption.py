"""Ctrl-C and SIGTERM as a wish to stop at the next safe moment; the second ends at once.

A run hears the wish once it has begun its work (`hear`). Until then there is nothing to save, and the first signal ends
it at once.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopAsked(Exception):
    """Raised in the middle of work that a wish to stop cuts short; whoever began it saves what there is."""


class StopWish:
    """`wished` turns True at the first signal."""

    def __init__(self) -> None:
        self.wished = False
        self._is_heard = False

    def handle(self, signal_number: int, frame: FrameType | None) -> None:
        if self.wished or not self._is_heard:
            raise KeyboardInterrupt
        self.wished = True

    def hear(self) -> bool:
        """Whether the user asked to stop; from now on it is asked for."""
        self._is_heard = True
        return self.wished

    def check(self) -> None:
        """Raises StopAsked where the user asked to stop. To be called at every env step."""
        if self.wished:
            raise StopAsked


@contextmanager
def stop_on_signals() -> Iterator[StopWish]:
    """Signals come to the main thread; in another one, as of a notebook's or a server's, nothing is heard."""
    wish = StopWish()
    if threading.current_thread() is not threading.main_thread():
        yield wish
        return
    before = {number: signal.signal(number, wish.handle) for number in SIGNALS}
    try:
        yield wish
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
