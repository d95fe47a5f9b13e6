"""What MLflow refuses of a run: that is lost alone, and it is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rlx2_ray.report.record.configs import config_of
from tests.support.runs import small_config
from tests.tracking.test_tracker import LOSS, RETURN, Desk, desk, history, point, stored_run, template

__all__ = ["desk", "template"]  # fixtures

STRANGE: dict[str, Any] = {
    "a+b": 1,
    "plain": {"k" * 300: 2, "c": 3},
    "a.b": 4,
    "/up/../down": 5,
    "many": {f"key{number}": number for number in range(150)},  # more than one batch takes
    "text": "None",
}


def test_no_name_of_a_configuration_is_refused(desk: Desk) -> None:
    config = small_config(env__kwargs=STRANGE)
    tracker = desk.tracker(params=config.model_dump(mode="json"))
    tracker.start()
    tracker.log([point(1000)])
    assert tracker.finish("FINISHED")
    assert desk.warnings == []
    assert history(desk.uri, tracker.run_id) == [(1000, 100.0)]
    assert config_of(stored_run(desk.uri, tracker.run_id).data.params) == config


def test_a_point_that_is_refused_is_lost_alone(desk: Desk) -> None:
    tracker = desk.tracker(params={"seed": 3, "a+b": 1})
    tracker.start()
    tracker.log_tags({"good": "1", "b+d": "2", "e+f": "3"})
    tracker.log([point(1000, **{"in+out": 1.0}), point(2000)])
    tracker.log([point(3000, **{"in+out": 2.0, "x" * 300: 1.0})])
    assert tracker.finish("FINISHED")
    run = stored_run(desk.uri, tracker.run_id)
    assert history(desk.uri, tracker.run_id) == [(1000, 100.0), (2000, 200.0), (3000, 300.0)]
    assert len(history(desk.uri, tracker.run_id, LOSS)) == 3
    assert (run.info.status, run.data.params, run.data.tags["good"]) == ("FINISHED", {"seed": "3"}, "1")
    assert set(run.data.metrics) == {RETURN, LOSS}
    kinds = [warning.split(" of the run's ")[1].split(",")[0] for warning in desk.warnings]
    assert sorted(kinds) == ["metrics", "params", "tags"], desk.warnings
    assert all(warning.endswith("they are left out, and all others are sent.") for warning in desk.warnings)


def test_a_run_that_was_removed_is_no_refusal(desk: Desk) -> None:
    """Its points wait until somebody restores it."""
    from mlflow.tracking import MlflowClient

    tracker = desk.tracker()
    assert tracker.finish("KILLED")
    MlflowClient(desk.uri).delete_run(tracker.run_id)
    tracker.log([point(1000)])
    assert not tracker.finish("FINISHED")
    assert tracker.waiting == 1
    assert "cannot be used now" in desk.warnings[0]
    MlflowClient(desk.uri).restore_run(tracker.run_id)
    assert tracker.finish("FINISHED")
    assert history(desk.uri, tracker.run_id) == [(1000, 100.0)]


def test_a_key_with_a_quote_finds_its_run(desk: Desk) -> None:
    first, second = (desk.tracker("bob's sweep-1") for _ in range(2))
    assert first.finish("KILLED")
    assert second.finish("FINISHED")
    assert first.run_id == second.run_id


def test_a_value_that_is_too_long_is_said(desk: Desk, tmp_path: Path) -> None:
    tracker = desk.tracker(params={"text": "x" * 7000})
    assert tracker.finish("FINISHED")
    assert desk.warnings == ["text is longer than MLflow takes, which has its first 6000 characters."]
