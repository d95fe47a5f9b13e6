"""Sentences that repeat what somebody wrote."""

from __future__ import annotations

import pytest

from rlx2_ray.types import BadInput


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("agent.tau", "agent.tau"),
        ("größe 日本", "größe 日本"),
        ("\ud800", r"\ud800"),  # no encoding has it
        ("\x1b[2J", r"\x1b[2J"),  # would clear the screen
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\u202egnp", r"\u202egnp"),  # would turn the rest of the line round
    ],
)
def test_what_is_not_printed_is_written_out(written: str, said: str) -> None:
    assert str(BadInput(f"There is no key {written}.")) == f"There is no key {said}."
