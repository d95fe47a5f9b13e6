"""Tables in a narrow terminal."""

from __future__ import annotations

import re

import pytest

from rlx2_ray.cli.output import print_table


def test_nothing_of_a_row_is_cut_off(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    names = [
        f"hopper-{seed:05d}-algo=td3-method=dense-sparsity.policy=0-sparsity.critic=0-seed={seed}" for seed in (0, 1)
    ]
    print_table("2 trials", ["trial", "state", "score"], [[name, "inconclusive", "3333.3"] for name in names])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    text = re.sub(r"[^\S\n]+", " ", "\n".join(lines))
    first = "".join(line.split("│")[1].strip() for line in lines if line.startswith("│"))
    assert first == "".join(names)
    assert text.count("inconclusive") == 2
    assert "…" not in text
