"""What a shell is offered, asked as bash asks."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.support.runs import RLX2, environment


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("rlx2 ev", {"evaluate"}),
        ("rlx2 train --method ri", {"rigl", "rigl_qstar"}),
        ("rlx2 compress --runtime a", {"actors"}),
    ],
)
def test_commands_and_names_of_options(words: str, offered: set[str]) -> None:
    asked = {"_RLX2_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    done = subprocess.run([str(RLX2)], env=os.environ | environment() | asked, capture_output=True, text=True)
    assert set(done.stdout.split()) == offered, done.stderr
