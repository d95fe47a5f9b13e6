"""Settings of the whole suite."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import settings

from rlx2_ray import plugins
from rlx2_ray.envs import modules

settings.register_profile("rlx2", deadline=None)  # a busy machine is not a failing test
settings.load_profile("rlx2")
# Nothing that the tests remember of stores is kept for the person who runs them.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="rlx2-tests-")
atexit.register(shutil.rmtree, os.environ["XDG_STATE_HOME"], ignore_errors=True)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has it ignored in what runs in the background


@pytest.fixture(autouse=True)
def consent(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test allows in its process is not allowed in the next one's."""
    for variable in (plugins.VARIABLE, modules.VARIABLE):
        monkeypatch.setenv(variable, os.environ.get(variable, ""))


@pytest.fixture(autouse=True)
def denormal_numbers() -> Iterator[None]:
    """A learner has its whole thread round denormal numbers to zero; hypothesis refuses to draw floats then."""
    yield
    if np.float32(1e-30) * np.float32(1e-10) == 0:
        import torch  # only here, for it takes seconds

        torch.set_flush_denormal(False)
