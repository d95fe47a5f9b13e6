"""The values that pass between the parts: spaces, pieces of experience, batches, and the two kinds of failure."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
Indices = NDArray[np.int64]


LONGEST_VALUE, LONGEST_SENTENCE = 200, 1000  # characters, of a value that a sentence repeats, and of all of it


class BadInput(Exception):
    """What the user gave cannot be used. The text is one sentence that names the key, the value and the remedy.

    What is too long in it loses its middle, for a file may have a value of any length.
    """

    def __init__(self, sentence: str) -> None:
        # What is no text, such as half of a pair of code units, could not be written anywhere.
        super().__init__(shortened(sentence.encode(errors="backslashreplace").decode()))


class Damaged(BadInput):
    """A file is not as this program wrote it. The text is one sentence that names the file and the remedy."""


class RunFailed(Exception):
    """The work itself failed. The text is one sentence that says where; what was saved before is kept."""


class Interrupted(Exception):
    """The user asked the run to stop; it was checkpointed and can be resumed."""


def shown(value: object) -> str:
    """The value as a sentence repeats it."""
    return cut(repr(value), 100)


def shortened(sentence: str) -> str:
    """The sentence, without the middle of what is too long in it, as of a value that it repeats, and of all.

    Characters that are not printed, such as what moves a terminal's cursor or no encoding has, are written out.
    """
    sentence = "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in sentence)
    shorter = re.sub(rf"\S{{{LONGEST_VALUE},}}", lambda word: cut(word[0], 100), sentence)
    return cut(shorter, LONGEST_SENTENCE)


def cut(text: str, longest: int) -> str:
    """The text, without a part of its middle where it is longer than that."""
    start = 3 * longest // 5
    return text if len(text) <= longest else f"{text[:start]}...{text[-(longest - start - 3) :]}"


class Spaces(NamedTuple):
    """Sizes of a task's flattened observation and action, and the action's bounds in the environment's units.

    Everything outside `envs` handles actions in units of these bounds, that is in [-1, 1].
    """

    observation_size: int
    action_size: int
    action_low: tuple[float, ...]
    action_high: tuple[float, ...]
    action_is_integer: bool = False  # the environment takes whole numbers alone

    def fields(self) -> dict[str, Any]:
        """The values by name, for files; that of integers only where it says something, as it came later."""
        named = self._asdict()
        if not self.action_is_integer:
            del named["action_is_integer"]
        return named


class Fragment(NamedTuple):
    """A contiguous piece of ONE episode of one lane (one environment instance), T >= 1 transitions long.

    Each observation stands here once: transition t goes from `observations[t]` to `observations[t + 1]`.
    `terminated` and `truncated` speak of the last transition; both False means that the episode goes on.
    (episode, step) only ever grows in a lane, whichever processes step it one after the other.
    """

    lane: int
    time: int  # env steps begun by the whole run before this fragment; orders transitions of all lanes by age
    episode: int  # of the lane
    step: int  # env steps taken in the episode before this fragment
    observations: Floats  # (T + 1, observation_size)
    actions: Floats  # (T, action_size), in [-1, 1], as executed
    policy_actions: Floats  # (T, action_size), noise-free action at collection; the action itself during warm-up
    rewards: Floats  # (T,)
    terminated: bool
    truncated: bool
    episode_return: float = 0.0  # the sum of the episode's rewards up to the end of the fragment


class Batch(NamedTuple):
    """B windows of up to n steps, each inside one episode. `lengths[b] = m` is the number of steps window b really has.

    Every array has the windows as its last axis and is C-contiguous, which is how the compiled learner reads it.
    Rewards past m are 0. `next_observations` repeats its last real entry past m, so `next_observations[-1]` is always
    the observation the target bootstraps from; its first axis K is n, or 1 when only that one was asked for.
    """

    observations: Floats  # (observation_size, B)
    actions: Floats  # (action_size, B), in [-1, 1]
    rewards: Floats  # (n, B)
    next_observations: Floats  # (K, observation_size, B)
    lengths: Indices  # (B,), in [1, n]
    terminated: Bools  # (B,), True: the window ends in a terminal state, so nothing is bootstrapped
