"""Rings that start tiny, so that short streams wrap round and grow."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="package")
def tiny_rings() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rlx2_ray.replay.lane.INITIAL_ROWS", 2)
        yield
