"""Ctrl-C and SIGTERM as a wish to stop at the next safe moment; the second Ctrl-C ends at once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopWish:
    """`wished` turns True at the first signal."""

    def __init__(self) -> None:
        self.wished = False

    def handle(self, signal_number: int, frame: FrameType | None) -> None:
        if self.wished:
            raise KeyboardInterrupt
        self.wished = True


@contextmanager
def stop_on_signals() -> Iterator[StopWish]:
    """Only for the main thread."""
    wish = StopWish()
    before = {number: signal.signal(number, wish.handle) for number in SIGNALS}
    try:
        yield wish
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
