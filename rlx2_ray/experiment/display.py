"""What a person sees of a run: a live bar in a terminal, plain lines elsewhere. Both go to standard error."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from rlx2_ray import files
from rlx2_ray.experiment.pace import Pace

REFRESH_S = 0.2
PLAIN_INTERVAL_S = 30.0

Status = dict[str, str]  # name -> value, in the order of showing
Rate = Callable[[], float | None]


class Display(Protocol):
    def advance(self, env_steps: int, status: Callable[[], Status], rate: Rate | None = None) -> None:
        """Show progress; cheap enough for every env step.

        `status`: what else to show, asked for only when it is shown, as is `rate`, in env steps a second, for who
        knows it better than by `env_steps`: not all of them may have been done just now.
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
        self._total = total
        self._pace = Pace()
        self._progress = _BarAndStatus(
            TextColumn("env steps"),
            MofNCompleteColumn(),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[pace]}"),
            console=console,
            transient=True,
            redirect_stdout=sys.stdout.isatty(),  # elsewhere it is nobody's to see, such as what Ray Tune says
        )
        self._task = self._progress.add_task("", total=total, pace="", status="")
        self._last = 0.0
        self._progress.start()

    def advance(self, env_steps: int, status: Callable[[], Status], rate: Rate | None = None) -> None:
        now = time.monotonic()
        if now - self._last < REFRESH_S:
            return
        self._last = now
        self._pace.hear(env_steps, now)
        pace = " ".join(_pace_in_words(self._total - env_steps, rate() if rate else self._pace.rate))
        self._progress.update(self._task, completed=env_steps, pace=pace, status=_in_words(status()))

    def retotal(self, env_steps: int) -> None:
        self._total = env_steps
        self._progress.update(self._task, total=env_steps)

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)

    def close(self) -> None:
        self._progress.stop()


class PlainDisplay:
    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._pace = Pace()
        self._last: float | None = None  # moment of the latest line, or of the first env step that was heard of

    def advance(self, env_steps: int, status: Callable[[], Status], rate: Rate | None = None) -> None:
        now = time.monotonic()
        if self._last is None:  # a resumed run begins anywhere
            self._last = now
            self._pace.hear(env_steps, now)
        if now - self._last < PLAIN_INTERVAL_S:
            return
        self._last = now
        self._pace.hear(env_steps, now)
        pace = "  ".join(_pace_in_words(self._total - env_steps, rate() if rate else self._pace.rate))
        self.say(f"env steps {env_steps}/{self._total} ({env_steps / self._total:.0%})  {pace}  {_in_words(status())}")

    def retotal(self, env_steps: int) -> None:
        self._total = env_steps

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)

    def close(self) -> None:
        pass


class LogDisplay(PlainDisplay):
    """A display of plain lines at the end of a file."""

    def __init__(self, path: Path, total: int) -> None:
        self._file = io.TextIOWrapper(files.open_to_append(path), line_buffering=True)  # for whoever follows it
        super().__init__(Console(file=self._file, highlight=False), total)

    def close(self) -> None:
        self._file.close()


def _pace_in_words(env_steps_left: int, rate: float | None) -> list[str]:
    if not rate:
        return ["ETA unknown"]
    return [f"{rate:.0f}/s", f"ETA {_duration(max(env_steps_left, 0) / rate)}"]


def _in_words(status: Status) -> str:
    return "  ".join(f"{name} {value}" for name, value in status.items())


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
