"""What a person sees of a run: a live bar in a terminal, plain lines elsewhere. Both go to standard error."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

REFRESH_S = 0.2
PLAIN_INTERVAL_S = 30.0

Status = dict[str, str]  # name -> value, in the order of showing


class Display(Protocol):
    def advance(self, env_steps: int, status: Callable[[], Status]) -> None:
        """Show progress; cheap enough for every env step.

        `status`: what else to show, asked for only when it is shown.
        """
        ...

    def retotal(self, env_steps: int) -> None:
        """Take note that another number of env steps is to be done."""
        ...

    def say(self, text: str) -> None:
        """Show one line that stays."""
        ...

    def close(self) -> None: ...


def make_display(total_env_steps: int) -> Display:
    console = Console(stderr=True, highlight=False)
    kind = TerminalDisplay if console.is_terminal else PlainDisplay
    return kind(console, total_env_steps)


class _BarAndStatus(Progress):
    """Two lines: in one, a terminal of 80 columns would have no room for the numbers."""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        yield from (Text(task.fields["status"]) for task in self.tasks)


class TerminalDisplay:
    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._progress = _BarAndStatus(
            TextColumn("env steps"),
            MofNCompleteColumn(),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[rate]}"),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task("", total=total, rate="", status="")
        self._last = 0.0
        self._progress.start()

    def advance(self, env_steps: int, status: Callable[[], Status]) -> None:
        now = time.monotonic()
        if now - self._last < REFRESH_S:
            return
        self._last = now
        speed = self._progress.tasks[self._task].speed
        rate = f"{speed:.0f}/s" if speed else ""
        self._progress.update(self._task, completed=env_steps, rate=rate, status=_in_words(status()))

    def retotal(self, env_steps: int) -> None:
        self._progress.update(self._task, total=env_steps)

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)

    def close(self) -> None:
        self._progress.stop()


class PlainDisplay:
    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._last: float | None = None  # moment of the latest line, or of the first env step that was heard of
        self._last_env_steps = 0

    def advance(self, env_steps: int, status: Callable[[], Status]) -> None:
        now = time.monotonic()
        if self._last is None:  # a resumed run begins anywhere
            self._last, self._last_env_steps = now, env_steps
        if now - self._last < PLAIN_INTERVAL_S:
            return
        rate = (env_steps - self._last_env_steps) / (now - self._last)
        self._last, self._last_env_steps = now, env_steps
        eta = f"ETA {_duration((self._total - env_steps) / rate)}" if rate > 0 else "ETA unknown"
        share = env_steps / self._total
        self.say(f"env steps {env_steps}/{self._total} ({share:.0%})  {rate:.0f}/s  {eta}  {_in_words(status())}")

    def retotal(self, env_steps: int) -> None:
        self._total = env_steps

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)

    def close(self) -> None:
        pass


class LogDisplay(PlainDisplay):
    """A display of plain lines at the end of a file."""

    def __init__(self, path: Path, total: int) -> None:
        self._file = path.open("a", buffering=1)  # a line at a time, for whoever follows it
        super().__init__(Console(file=self._file, highlight=False), total)

    def close(self) -> None:
        self._file.close()


def _in_words(status: Status) -> str:
    return "  ".join(f"{name} {value}" for name, value in status.items())


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
