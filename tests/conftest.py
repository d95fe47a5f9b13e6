"""Settings of the whole suite."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("rlx2", deadline=None)  # a busy machine is not a failing test
settings.load_profile("rlx2")
