"""Two parts of a population take turns: one steps while the other learns, and each run is what it would be without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rlx2_ray.agents.population.population import Population
from rlx2_ray.experiment.population import arm, lockstep
from rlx2_ray.experiment.population.lanes import LocalLane, LocalPhysics
from rlx2_ray.runs.directory import RunDirectory
from tests.experiment.population import late
from tests.experiment.population.arms import member_of, train
from tests.support.runs import evaluated_steps

CHANGES = {"steps": 140, "checkpoint__interval": 115}


def outcome(directory: Path, seed: int) -> Any:
    result = RunDirectory(member_of(directory, seed)).read_result()
    assert result is not None
    return result["policy_digest"], result["evaluations"], result["learner_steps"]


@pytest.fixture(scope="module")
def by_themselves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An arm of two slots, which is not split, of those seeds that will be in one part of four."""
    directory = tmp_path_factory.mktemp("themselves") / "arm"
    train(directory, (0, 2), **CHANGES)
    return directory


class Recorded(LocalPhysics):
    """What is done in which order: steps of which seed begin or end, and updates."""

    def __init__(self, events: list[str]) -> None:
        self._events = events

    def make_lane(self, config: Any, stream: str) -> LocalLane:
        events = self._events

        class Lane(LocalLane):
            def finish_step(self) -> Any:
                events.append(f"end {config.seed % 2}")
                return super().finish_step()

        return Lane(config.env, config.seed, stream)

    def send_steps(self) -> None:
        self._events.append("begin")

    def look(self, seconds: float) -> None:
        pass


def test_one_part_learns_while_the_other_steps(
    by_themselves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    update = Population.update

    def recorded(self: Population, members: Any) -> None:
        (part,) = {member._config.seed % 2 for member in members}
        events.append(f"learn {part}")
        update(self, members)

    monkeypatch.setattr(Population, "update", recorded)
    monkeypatch.setattr(lockstep, "SPLIT_FROM", 4)
    late.use(Recorded(events), monkeypatch)
    train(tmp_path / "arm", (0, 1, 2, 3), **CHANGES)
    first, second = ["begin", "learn 1", "end 0", "end 0"], ["begin", "learn 0", "end 1", "end 1"]
    alone = ["begin", "end 0", "end 0"]
    from_first_update = events[events.index("learn 0") - 1 :]
    before = [*alone, "begin", "end 1", "end 1"] * 100
    assert events == [*before, *alone, *second, *(first + second) * 39, "begin", "learn 1"][: len(events)]
    assert from_first_update.count("learn 0") == from_first_update.count("learn 1") == 40
    for seed in (0, 2):
        assert outcome(tmp_path / "arm", seed) == outcome(by_themselves, seed)


class Stopped(BaseException):
    """As a kill, but that locks are let go."""


@pytest.mark.parametrize("look", [262, pytest.param(263, marks=pytest.mark.slow)])
def test_killed_while_a_part_has_stepped_and_not_learned(
    look: int, by_themselves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(looks: int) -> None:
        if looks == look:
            raise Stopped

    monkeypatch.setattr(lockstep, "SPLIT_FROM", 4)
    with monkeypatch.context() as patched:
        late.use(late.Late(30, stop), patched)
        with pytest.raises(Stopped):
            train(tmp_path / "arm", (0, 1, 2, 3), **CHANGES)
    arm.resume(tmp_path / "arm")
    for seed in (0, 2):
        assert outcome(tmp_path / "arm", seed) == outcome(by_themselves, seed)
        assert evaluated_steps(member_of(tmp_path / "arm", seed)) == [100, 140]
