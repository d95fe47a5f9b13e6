"""Why a trial failed is read from the text of its traceback; a pickle beside it is not looked at."""

from __future__ import annotations

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rlx2_ray.sweep.reporter import reason_of
from rlx2_ray.sweep.tracebacks import reason_in

CALLS = '\x1b[36mray::SweepTrial.train()\x1b[39m (pid=1, repr=<x>)\n  File "x.py", line 7, in a\n    raise it\n'
CAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"
CONTEXT = "\nDuring handling of the above exception, another exception occurred:\n\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"{CALLS}ValueError: bad\nthing\n", "ValueError: bad"),
        (f"{CALLS}some.module.Odd: bad\n", "Odd: bad"),
        (f"{CALLS}KeyError\n", "KeyError"),
        (f"{CALLS}ZeroDivisionError: zero{CAUSE}{CALLS}rlx2_ray.types.RunFailed: It failed: so.\n", "It failed: so."),
        (f"{CALLS}rlx2_ray.types.Damaged: It is.{CAUSE}{CALLS}RuntimeError: outer\n", "It is."),
        (
            f"{CALLS}rlx2_ray.envs.lane.EnvironmentFailed: It broke.{CAUSE}{CALLS}"
            "rlx2_ray.experiment.rollout.StepRefused: It broke at env step 150.\n",
            "It broke at env step 150.",
        ),
        (f"{CALLS}KeyError: 'x'{CAUSE}{CALLS}RuntimeError: outer\n", "KeyError: 'x'"),
        (f"{CALLS}KeyError: 'x'{CONTEXT}{CALLS}RuntimeError: outer\n", "RuntimeError: outer"),
        ("The actor died unexpectedly.\n\tpid: 3\n", "The actor died unexpectedly."),
        ("", "unknown"),
    ],
)  # fmt: skip
def test_reason(text: str, reason: str) -> None:
    assert reason_in(text) == reason


class Bomb:
    def __reduce__(self) -> Any:
        return Path.touch, (Path("/tmp/rlx2-code-has-run"),)


def test_pickle_is_not_read(tmp_path: Path) -> None:
    """Of the latest failure; where there is no text, nothing is known."""
    (tmp_path / "error.pkl").write_bytes(pickle.dumps(Bomb()))
    trial: Any = SimpleNamespace(
        error_file=str(tmp_path / "error.txt"), pickled_error_file=str(tmp_path / "error.pkl"), local_path=str(tmp_path)
    )
    assert reason_of(trial) == "unknown"
    failures = [f"Failure # {n} (occurred at 2026-11-27)\n{CALLS}ValueError: bad {n}\n" for n in (1, 2)]
    (tmp_path / "error.txt").write_text("".join(failures))
    assert reason_of(trial) == "ValueError: bad 2"
    assert not Path("/tmp/rlx2-code-has-run").exists()
