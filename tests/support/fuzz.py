"""Tests of altered files: how many alterations each tries, and what reading one may cost."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.limits import within_seconds_and_bytes

LONG = bool(os.environ.get("RLX2_LONG_FUZZ"))
EXAMPLES = 10_000 if LONG else 200
SECONDS = 10
BYTES = 10**9


def fuzz(test: Callable[..., None]) -> Callable[..., None]:
    """Make a test of one alteration, which it draws from `data`, one of many: the same 200, or, where RLX2_LONG_FUZZ is
    set, 10 000 new ones. Each is to take no more than 10 s and 1 GB.
    """

    @functools.wraps(test)
    def limited(**given: Any) -> None:
        with within_seconds_and_bytes(SECONDS, BYTES):
            test(**given)

    many = settings(max_examples=EXAMPLES, derandomize=not LONG, suppress_health_check=list(HealthCheck))
    return pytest.mark.fuzz(pytest.mark.timeout(0)(many(given(data=st.data())(limited))))
