"""One small run, and what it exports."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.runs import train


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("api") / "run"
    train(directory)
    return directory
