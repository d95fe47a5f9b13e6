"""Settings of the whole suite."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings

settings.register_profile("rlx2", deadline=None)  # a busy machine is not a failing test
settings.load_profile("rlx2")


@pytest.fixture(autouse=True)
def denormal_numbers() -> Iterator[None]:
    """A learner has its whole process round denormal numbers to zero; hypothesis refuses to draw floats then."""
    yield
    if {"torch", "numba"} & sys.modules.keys():
        import torch

        torch.set_flush_denormal(False)
