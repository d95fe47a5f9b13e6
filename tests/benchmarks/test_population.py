"""The speed script of populations is for a machine that is lent for a quarter of an hour."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from benchmarks import population
from benchmarks.population import Item, Measured, items, small, whole


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_all_that_is_measured_fits_by_its_own_forecast(device: str) -> None:
    plan = whole(device, 13.5)
    listed = list(items(plan))
    assert sum(item.forecast_s for item in listed) <= 60 * plan.minutes
    kinds = [
        tuple(item.about.get(key) for key in ("what", "of", "env", "algo", "method", "members")) for item in listed
    ]
    assert len({*map(json.dumps, [item.about for item in listed])}) == len(listed), "nothing is measured twice"
    for env, algo, members in [
        (env, algo, slots) for env in plan.tasks for algo in plan.algorithms for slots in plan.slots
    ]:
        assert ("updates", "population", env, algo, "dense", members) in kinds
    wanted = [("training", "population", env, "td3", "dense", 64) for env in ("Hopper-v5", "Ant-v5")]
    assert [kind for kind in kinds if kind[0] == "training"][:2] == wanted


def test_what_fails_or_does_not_fit_is_said_and_the_rest_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    def fail() -> dict[str, Any]:
        raise ValueError("none")

    def listed(plan: Measured) -> list[Item]:
        good: Callable[[], dict[str, Any]] = lambda: {"per_s": 3.0}  # noqa: E731
        return [Item({"what": "a"}, 1, fail), Item({"what": "b"}, 1e6, good), Item({"what": "c"}, 1, good)]

    monkeypatch.setattr(population, "items", listed)
    monkeypatch.setattr("sys.argv", ["population", "--small", "--out", str(tmp_path / "out.jsonl")])
    population.main()
    shown = capsys.readouterr().out
    assert shown == (tmp_path / "out.jsonl").read_text()
    assert population.read_done(tmp_path / "out.jsonl") == [{"what": "c"}]
    failed, left_out, measured = map(json.loads, shown.splitlines())
    assert failed["failed"] == "ValueError: none"
    assert "s are left" in left_out["left_out"]
    assert (measured["per_s"], measured["device"]) == (3.0, "cpu")
    assert len(list(items(small("cpu", 3)))) > 10
