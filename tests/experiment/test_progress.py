"""What is said of a command that takes long, and of a run before it begins."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import pytest
from rich.console import Console

from rlx2_ray.experiment import progress
from rlx2_ray.experiment.progress import Progress
from tests.support.runs import train


class Watched(io.StringIO):
    """A file that tells when a word was written to it."""

    def __init__(self, word: str) -> None:
        super().__init__()
        self._word, self.has_come = word, threading.Event()

    def write(self, text: str) -> int:
        written = super().write(text)
        if self._word in self.getvalue():
            self.has_come.set()
        return written


@pytest.mark.parametrize("is_terminal", [True, False])
def test_place_is_said_after_a_moment(is_terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TERMINAL_S", "PLAIN_S", "REFRESH_S"):
        monkeypatch.setattr(progress, name, 0.01)
    file = Watched("It plays: episode 1")
    with Progress("It plays", Console(file=file, force_terminal=is_terminal, width=80)) as shown:
        shown.at("episode 1")
        assert file.has_come.wait(60)


def test_what_is_quick_says_nothing() -> None:
    file = io.StringIO()
    with Progress("It plays", Console(file=file)):
        pass
    assert not file.getvalue()


def test_heading_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(tmp_path / "first", steps=200)
    said = capsys.readouterr().err
    assert "InvertedPendulum-v5 (4 observations, 1 action), TD3, rlx2, seed 0: 200 env steps, engine sparse" in said
    assert "Policy 168 weights (50.0% zeros), critics 422 weights (40.1% zeros): 1.8 times smaller than dense" in said
    assert f"Into {tmp_path / 'first'}, tracked at sqlite:///{tmp_path}/mlflow.db; how long it takes is shown" in said
    train(tmp_path / "second", steps=300, seed=1)
    assert "mlflow.db; less than a minute" in capsys.readouterr().err, "as the first took"
