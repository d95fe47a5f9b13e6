"""What MLflow costs before the first request, and what is left as it was."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from rlx2_ray.tracking.store import _no_garbage_collection
from tests.support.runs import environment


def test_garbage_is_collected_again_after_an_import_that_fails() -> None:
    seen: list[bool] = []

    def fail() -> None:
        with _no_garbage_collection():
            seen.append(gc.isenabled())
            raise ImportError

    with pytest.raises(ImportError):
        fail()
    assert [*seen, gc.isenabled()] == [False, True]


IMPORTED = """
import sys
from rlx2_ray.tracking.store import import_mlflow
import_mlflow(sys.argv[1])
print("mlflow.tracking" in sys.modules, "mlflow.store.tracking.sqlalchemy_store" in sys.modules)
"""


@pytest.mark.parametrize(
    ("uri", "imported"), [("sqlite:////tmp/mlflow.db", "True True\n"), ("http://localhost:5000", "True False\n")]
)
def test_only_databases_load_the_code_for_databases(uri: str, imported: str) -> None:
    command = [sys.executable, "-c", IMPORTED, uri]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True)
    assert done.stdout == imported, done.stderr
