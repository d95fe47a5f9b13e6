"""Commands in this process, and what they say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rlx2_ray.cli.main import run


def succeeded(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    """The JSON object of a command that has nothing to say on standard error."""
    assert run([*map(str, arguments), "--json"]) == 0
    output, error = capsys.readouterr()
    assert error == ""
    content: dict[str, Any] = json.loads(output.splitlines()[-1])
    return content


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What is said on standard error of bad input, which is one line."""
    assert run([*map(str, arguments)]) == 2
    output, error = capsys.readouterr()
    assert (output, error.count("\n")) == ("", 1)
    return error
