"""Environments that misbehave as those of people do, each in one way, while a file is there; their id is `FAULTY`.

The file says which and from when. Without it all of them are the same environment, so a run that goes on after the
repair ends as one that was never disturbed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from tests.support.strange_envs import Drift

FAULTY = f"{__name__}:Faulty-v0"


class Fault(NamedTuple):
    """`problem`: what the sentence has to say, as a regular expression; None where the run goes on to its end.

    `step` and `reset` change what the environment answers, or raise.
    """

    problem: str | None
    step: Callable[[Any], Any] | None = None
    reset: Callable[[Any], Any] | None = None


class Unpicklable(Exception):
    def __init__(self, code: int, socket: object) -> None:
        super().__init__(f"code {code}")
        self.socket = socket


def raising(error: BaseException) -> Callable[[Any], Any]:
    def fail(answer: Any) -> Any:
        raise error

    return fail


def with_(place: int, value: Any) -> Callable[[Any], Any]:
    """The answer with another value at a place: 0 the observation, 1 the reward, 2 terminated, 3 truncated."""

    def change(answer: Any) -> Any:
        changed = list(answer)
        changed[place] = value(answer[place]) if callable(value) else value
        return tuple(changed)

    return change


def replaced(index: int, value: Any) -> Callable[[Any], Any]:
    def change(observation: Any) -> Any:
        observation = observation.astype(type(value))
        observation[index] = value
        return observation

    return with_(0, change)


FAULTS: dict[str, Fault] = {
    # What it raises
    "raises": Fault(r"raised ValueError \(boom; environments.py, line \d+\)", raising(ValueError("boom"))),
    "raises without a word": Fault(r"raised RuntimeError \(environments.py", raising(RuntimeError())),
    "raises a page": Fault(r"raised OSError \(one two; env", raising(OSError("one\n\ntwo\n"))),
    "exits": Fault(r"raised SystemExit \(3; ", raising(SystemExit(3))),
    "stops an iteration": Fault("raised StopIteration", raising(StopIteration())),
    "raises what cannot be sent": Fault(r"raised Unpicklable \(code 5", raising(Unpicklable(5, lambda: 0))),
    "asserts": Fault("raised AssertionError", raising(AssertionError("action out of bounds"))),
    "runs out of memory": Fault("raised MemoryError", raising(MemoryError())),
    # The shape of the answer
    "four values": Fault("answered with a tuple of 4 and not", lambda answer: (*answer[:3], answer[4])),
    "six values": Fault("answered with a tuple of 6 and not", lambda answer: (*answer, None)),
    "a list of five": Fault("answered with a list and not", list),
    "nothing": Fault("answered with None and not", lambda answer: None),
    # Observations
    "nan observed": Fault(r"returned nan as observation\[1\]", replaced(1, np.nan)),
    "inf observed": Fault(r"returned -inf as observation\[0\]", replaced(0, -np.inf)),
    "beyond float32 observed": Fault(r"returned 1e\+39 as observation\[1\]", replaced(1, 1e39)),
    "square beyond float32 observed": Fault(r"returned 1e\+30 as observation\[1\]", replaced(1, np.float32(1e30))),
    "one number more": Fault(r"an array of shape \(3,\) as observation", with_(0, lambda seen: np.append(seen, 1.0))),
    "one axis more": Fault(r"an array of shape \(1, 2\) as observation", with_(0, lambda seen: seen[None])),
    "one number": Fault(r"returned 1\.5 as observation", with_(0, 1.5)),
    "nothing observed": Fault("returned None as observation", with_(0, None)),
    "a dict observed": Fault("returned a dict as observation", with_(0, lambda seen: {"position": seen})),
    "a pair observed": Fault("returned a tuple of 2 as observation|raised ValueError", with_(0, lambda x: (x, {}))),
    "a ragged list observed": Fault("raised ValueError", with_(0, [[1.0, 2.0], [3.0]])),
    "text observed": Fault("an observation of <U3 and not of numbers", with_(0, np.array(["one", "two"]))),
    "objects observed": Fault("an observation of object and not", with_(0, np.array([None, 1.0]))),
    "complex observed": Fault("an observation of complex64 and not", with_(0, lambda seen: seen + 1j)),
    # Rewards
    "nan rewarded": Fault("returned nan as reward", with_(1, np.nan)),
    "inf rewarded": Fault("returned -inf as reward", with_(1, -np.inf)),
    "beyond float32 rewarded": Fault(r"returned 1e\+39 as reward", with_(1, 1e39)),
    "square beyond float32 rewarded": Fault(r"returned -1e\+20 as reward", with_(1, -1e20)),
    "an int beyond floats rewarded": Fault("as reward", with_(1, 10**400)),
    "nothing rewarded": Fault("returned None as reward", with_(1, None)),
    "an array rewarded": Fault(r"returned an array of shape \(1,\) as reward", with_(1, lambda x: np.array([x]))),
    "text rewarded": Fault("returned '1' as reward", with_(1, "1")),
    "complex rewarded": Fault("as reward", with_(1, 1j)),
    # Ends
    "no end": Fault("returned None and False as terminated and truncated", with_(2, None)),
    "text as an end": Fault("returned 'no' and", with_(2, "no")),
    "an array as an end": Fault(r"returned False and an array of shape \(1,\)", with_(3, lambda _: np.array([False]))),
    # Resets
    "reset raises": Fault(r"raised KeyError \('map'; .* at the reset", reset=raising(KeyError("map"))),
    "reset takes no seed": Fault("raised TypeError .* at the reset", reset=raising(TypeError("no argument 'seed'"))),
    "reset gives no info": Fault(r"answered with an array of shape \(2,\) and not", reset=lambda answer: answer[0]),
    "reset gives three": Fault("answered with a tuple of 3 and not", reset=lambda answer: (*answer, 0)),
    "reset gives another shape": Fault(
        r"returned an array of shape \(3,\) as observation.* at the reset", reset=with_(0, np.zeros(3))
    ),
    "reset gives nan": Fault(r"returned nan as observation\[1\] at the reset", reset=replaced(1, np.nan)),
    # What a run can do with
    "float64 observed": Fault(None, with_(0, lambda seen: seen.astype(np.float64))),
    "a list observed": Fault(None, with_(0, lambda seen: seen.tolist())),
    "beyond its space observed": Fault(None, with_(0, lambda seen: seen + 1000)),
    "float32 rewarded": Fault(None, with_(1, np.float32)),
    "an int rewarded": Fault(None, with_(1, lambda reward: int(reward))),
    "a bool rewarded": Fault(None, with_(1, True)),
    "ends of numpy": Fault(None, with_(3, np.bool_)),
    "ends of ints": Fault(None, with_(2, int)),
    "both ends": Fault(None, lambda answer: (*answer[:2], answer[3], answer[3], {})),
    "no info": Fault(None, with_(4, None)),
    "numbers at random": Fault(None, lambda answer: (np.random.seed(0), answer)[1]),  # noqa: NPY002 - as they do
    "prints": Fault(None, lambda answer: (print("step"), answer)[1]),  # noqa: T201 - as they do
}
REFUSED = [name for name, fault in FAULTS.items() if fault.problem is not None]
TAKEN = [name for name, fault in FAULTS.items() if fault.problem is None]


class Switch(NamedTuple):
    """A fault that shows from step `step` and reset `reset` of every instance's life on, while it is on file."""

    fault: str
    step: int
    reset: int

    def write(self, file: Path) -> None:
        file.write_text(json.dumps(self._asdict()))


class Faulty(Drift):
    """It cannot be closed, as many simulators. Its observation is one array, written again at every step."""

    def __init__(self, file: str, fault: str | None = None) -> None:
        """`fault`: in place of the one in the file."""
        self._file, self._fault = Path(file), fault
        self._steps_ever = self._resets = 0
        self._seen = np.zeros(2, np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self._resets += 1
        answer, switch = super().reset(seed=seed), self._switch()
        change = FAULTS[switch.fault].reset if switch and self._resets >= switch.reset else None
        return change(answer) if change else answer

    def step(self, action: np.ndarray) -> Any:
        self._steps_ever += 1
        answer, switch = super().step(action), self._switch()
        action[:] = 0
        change = FAULTS[switch.fault].step if switch and self._steps_ever >= switch.step else None
        return change(answer) if change else answer

    def close(self) -> None:
        raise RuntimeError("the simulator is gone")

    def _switch(self) -> Switch | None:
        if not self._file.exists():
            return None
        switch = Switch(**json.loads(self._file.read_text()))
        return switch._replace(fault=self._fault) if self._fault else switch

    def _observation(self) -> np.ndarray:
        self._seen[:] = super()._observation()
        return self._seen


gymnasium.register("Faulty-v0", Faulty)
