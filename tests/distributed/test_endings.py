"""How a run on actors ends where something hangs or is gone for good: soon, in one sentence, and able to go on."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from rlx2_ray.distributed import patience as module
from rlx2_ray.distributed.cluster import Unreachable
from rlx2_ray.distributed.patience import Patience
from rlx2_ray.experiment.interruption import StopAsked
from tests.distributed import mortal_envs
from tests.support.runs import (
    Changes,
    actors_of,
    check_gone,
    checkpoint_names,
    ended,
    family,
    points_there,
    resume_and_check,
    said,
    start_train,
    tracked_run,
    wait_for,
)

RUN: Changes = {
    "env.id": f"{mortal_envs.MODULE}:Unhurried-v0",
    "env.kwargs": {"step_s": 0.004},
    "runtime.kind": "actors",
    "agent.warmup_steps": 100,
    "evaluation.interval": 200,
    "checkpoint.interval": 200,
    "steps": 3000,
}
POINTS = list(range(200, 3001, 200))
STOPPED = "rlx2: Stopped; 'rlx2 resume {}' goes on."
UNSAVED = "rlx2: Stopped, though not all actors answered: 'rlx2 resume {}' goes on from {}."
SECONDS = 10.0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("worker", "sentence"),
    [
        ("LearnerWorker", UNSAVED),
        ("ReplayShard", UNSAVED),
        ("RolloutWorker", STOPPED),
        ("EvaluationWorker", STOPPED),
    ],
)
def test_run_with_an_actor_that_hangs_ends_soon_after_the_first_signal(
    worker: str, sentence: str, tmp_path: Path
) -> None:
    directory = tmp_path / "run"
    with ended(start_train(directory, **RUN)) as process:
        wait_for(points_there(directory, 2), process)
        (hanging,) = actors_of(process, worker)
        hanging.suspend()
        time.sleep(2)
        processes = family(process)
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        _, error = process.communicate(timeout=60)
        took_s = time.monotonic() - began
    assert process.returncode == 130
    assert said(error)[-1] == sentence.format(directory, checkpoint_names(directory)[-1])
    assert took_s < SECONDS
    assert tracked_run(directory).info.status == "KILLED"
    check_gone(processes)
    resume_and_check(directory, POINTS)


@pytest.mark.slow
def test_run_whose_ray_dies_under_it_says_so(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    slow = RUN | {"env.kwargs": {"step_s": 0.02}}  # as actors outlive it by some seconds
    with ended(start_train(directory, **slow)) as process:
        wait_for(points_there(directory, 2), process)
        processes = family(process)
        (raylet,) = [each for each in processes if each.name() == "raylet"]
        raylet.kill()
        _, error = process.communicate(timeout=120)
    assert process.returncode == 1
    last = f"rlx2: Ray's own process raylet died: 'rlx2 resume {directory}' goes on from the last checkpoint."
    assert said(error)[-1] == last
    assert tracked_run(directory).info.status == "FAILED"
    check_gone(processes)
    resume_and_check(directory, POINTS)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_while_a_run_starts_ends_it_in_a_sentence(number: signal.Signals, tmp_path: Path) -> None:
    for moment, delay_s in enumerate((1.0, 2.0, 3.5, 5.0, 7.0)):
        directory = tmp_path / f"run{moment}"
        with ended(start_train(directory, **RUN)) as process:
            time.sleep(delay_s)
            processes = family(process)
            process.send_signal(number)
            _, error = process.communicate(timeout=60)
        assert process.returncode == 130, error
        pattern = rf"^rlx2: (Interrupted\.|Ended at once: .*{directory}.*|Stopped; .*{directory}.*)$"
        assert re.match(pattern, said(error)[-1]), error
        assert "Traceback" not in error
        check_gone(processes)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_to_a_command_that_still_imports_ends_it_in_a_sentence(number: signal.Signals, tmp_path: Path) -> None:
    with ended(start_train(tmp_path / "run", **RUN)) as process:
        mapped = Path(f"/proc/{process.pid}/maps")
        wait_for(lambda: "pydantic" in mapped.read_text(), process)
        process.send_signal(number)
        output, error = process.communicate(timeout=60)
    assert (process.returncode, output, error) == (130, "", "rlx2: Interrupted.\n")


# Waiting


@pytest.fixture
def never(monkeypatch: pytest.MonkeyPatch) -> str:
    """A reference that is never ready, and short limits."""
    monkeypatch.setattr(module, "TICK_S", 0.01)
    monkeypatch.setattr(module, "STALL_S", 0.1)
    monkeypatch.setattr(module.ray, "wait", lambda pending, num_returns, timeout: ([], pending))
    return "never"


def test_waiting_is_said_and_has_a_limit(never: Any) -> None:
    heard: list[str] = []
    with pytest.raises(Unreachable, match=r"^The learner did not answer for 0 s$"):
        Patience(heard.append, lambda: False).get(never, "learner", limit_s=0.3)
    assert heard
    assert all("calls to learner are waited for" in line for line in heard)


def test_waiting_ends_soon_after_a_wish_to_stop(never: Any) -> None:
    with pytest.raises(StopAsked):
        Patience(pytest.fail, lambda: True).get(never, "learner", stop_s=0.05)
