"""Records of made-up sweeps, for all who only look at them."""

from __future__ import annotations

import pytest

from rlx2_ray.report.record.directory import read_directory
from rlx2_ray.report.record.record import Record
from tests.support.sweeps import compression, sweep, write_directory


@pytest.fixture(scope="session")
def search(tmp_path_factory: pytest.TempPathFactory) -> Record:
    return read_directory(write_directory(tmp_path_factory.mktemp("search") / "sweep", *compression()))


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """As `search`, and every run has its deployed score."""
    return read_directory(write_directory(tmp_path_factory.mktemp("played") / "sweep", *compression(played=True)))


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Record:
    return read_directory(write_directory(tmp_path_factory.mktemp("running") / "sweep", *compression(running=True)))


@pytest.fixture(scope="session")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Record:
    return read_directory(write_directory(tmp_path_factory.mktemp("grid") / "sweep", *sweep()))
