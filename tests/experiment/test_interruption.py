"""Ctrl-C: the first is a wish, the second ends at once."""

from __future__ import annotations

import os
import signal

import pytest

from rlx2_ray.experiment.interruption import stop_on_signals
from rlx2_ray.types import RunFailed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_is_a_wish_and_the_second_ends_at_once(number: signal.Signals) -> None:
    with stop_on_signals() as wish:
        assert not wish.hear()
        os.kill(os.getpid(), number)
        assert wish.wished
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nothing_is_waited_for_before_a_run_hears(number: signal.Signals) -> None:
    with stop_on_signals(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)


def test_handlers_are_put_back_after_an_error() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(RunFailed), stop_on_signals():
        raise RunFailed
    assert signal.getsignal(signal.SIGTERM) == before
