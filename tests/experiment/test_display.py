"""What a person sees: plain lines, or a live bar in a terminal; the same facts in both."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import termios
import time
from pathlib import Path

import pytest
from rich.console import Console

from rlx2_ray.experiment import display as display_module
from rlx2_ray.experiment.display import PlainDisplay, TerminalDisplay, make_display
from tests.support.runs import RLX2, database_uri, environment, small_arguments

STATUS = {"return": "12.3", "sparsity": "90%/80%", "buffer": "4567", "policy distance": "0.042"}
FACTS = ("return 12.3", "sparsity 90%/80%", "buffer 4567", "policy distance 0.042")


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(display_module, "time", clock)
    return clock


def plain(total: int) -> tuple[PlainDisplay, io.StringIO]:
    output = io.StringIO()
    return PlainDisplay(Console(file=output, width=80), total), output


def test_plain_line_tells_step_rate_time_left_and_status(clock: Clock) -> None:
    display, output = plain(total=10_000)
    display.advance(1, lambda: STATUS)
    clock.now += 30
    display.advance(3001, lambda: STATUS)
    (line,) = output.getvalue().splitlines()
    assert line.startswith("env steps 3001/10000 (30%)  100/s  ETA 0:01:10  ")
    assert [fact for fact in FACTS if fact not in line] == []


def test_plain_lines_are_half_a_minute_apart(clock: Clock) -> None:
    display, output = plain(total=10_000)
    for second in range(100):
        clock.now += 1
        display.advance(second, lambda: STATUS)
    assert len(output.getvalue().splitlines()) == 3


def test_status_is_put_into_words_only_for_a_line(clock: Clock) -> None:
    display, output = plain(total=10_000)
    asked = []
    for second in range(100):
        clock.now += 1
        display.advance(second, lambda: asked.append(1) or STATUS)
    assert len(asked) == len(output.getvalue().splitlines()) == 3


def test_rate_of_a_resumed_run_counts_only_the_steps_of_this_life(clock: Clock) -> None:
    display, output = plain(total=10_000)
    clock.now += 1
    display.advance(5000, lambda: STATUS)  # the first that it hears of
    clock.now += 40
    display.advance(5400, lambda: STATUS)
    assert "env steps 5400/10000 (54%)  10/s  ETA 0:07:40" in output.getvalue()


def test_time_left_is_unknown_while_nothing_moves(clock: Clock) -> None:
    display, output = plain(total=10_000)
    for _ in range(2):
        clock.now += 31
        display.advance(100, lambda: STATUS)
    assert output.getvalue().splitlines()[-1].count("ETA unknown") == 1


def test_message_is_one_plain_line_however_long(clock: Clock) -> None:
    display, output = plain(total=10_000)
    display.say("env step 250  [bold]" + "x" * 200)
    assert output.getvalue() == "env step 250  [bold]" + "x" * 200 + "\n"


def without_escapes(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)


@pytest.mark.parametrize("width", [80, 200])
def test_terminal_shows_the_same_facts_and_leaves_only_the_messages(width: int) -> None:
    output = io.StringIO()
    display = TerminalDisplay(Console(file=output, width=width, force_terminal=True), 3_000_000)
    for env_steps in range(2_000_998, 2_001_002):
        display.advance(env_steps, lambda: STATUS)
        time.sleep(0.25)
    display.say("a message")
    display.close()
    shown = without_escapes(output.getvalue())
    assert [fact for fact in ("2001001/3000000", "/s ETA ", *FACTS, "a message") if fact not in shown] == []


def test_output_that_is_no_terminal_gets_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    display = make_display(100)
    display.say("hello")
    display.close()
    assert isinstance(display, PlainDisplay)
    assert capsys.readouterr() == ("", "hello\n")


@pytest.mark.slow
def test_training_in_a_real_terminal_shows_a_live_bar(tmp_path: Path) -> None:
    """A pseudo-terminal of 80 columns, as a person would have."""
    uri = database_uri(tmp_path)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
    arguments = ["train", "--out", "run", "--tracking-uri", uri, *small_arguments(steps=3000)]
    process = subprocess.Popen(
        [str(RLX2), *arguments],
        cwd=tmp_path,
        env=environment() | {"TERM": "xterm-256color"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = _read_all(ours)
    assert process.wait(60) == 0
    text = without_escapes(shown)
    assert re.search(r"env steps +\d+/3000 ", text)
    assert re.search(r"\d/s ETA 0:00:0\d", text)
    for fact in (r"return \d+\.\d", "sparsity 50%/40%", r"buffer \d+", r"policy distance 0\.\d{3}"):
        assert re.search(fact, text), fact
    assert "\x1b[" in shown
    assert shown.endswith("\n")


def _read_all(descriptor: int) -> str:
    """Until the other end is closed, which Linux reports as an error."""
    parts = []
    while True:
        try:
            part = os.read(descriptor, 65536)
        except OSError:
            part = b""
        if not part:
            os.close(descriptor)
            return b"".join(parts).decode()
        parts.append(part)
