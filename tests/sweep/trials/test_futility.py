"""When a run is given up, worked by hand, and that it counts as what it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rlx2_ray.distributed.launch import train as train_on_runtime
from rlx2_ray.experiment import session
from rlx2_ray.runs.directory import RunDirectory, Tracking
from rlx2_ray.runs.parts import Point
from rlx2_ray.sweep.trials.futility import WINDOW, Floor, load_floor, make_floor, save_floor
from tests.support.runs import database_uri, read_points, small_config, tracked_run

Curve = list[tuple[int, float]]


def curve(*returns: float) -> Curve:
    """An evaluation every 100 env steps."""
    return [(100 * (index + 1), value) for index, value in enumerate(returns)]


def points(*returns: float) -> list[Point]:
    return [{"env_steps": step, "return_mean": value} for step, value in curve(*returns)]


def test_floor_is_a_fraction_of_the_median_above_random() -> None:
    dense = [curve(0, 10, 20, 30), curve(0, 20, 40, 60), curve(0, 60, 90, 120)]
    # Means of what there is up to 300: 10, 20, 50. The median is 20, 16 above random; half of that is 8.
    assert make_floor(dense, random=4, fraction=0.5, first_step=300).values == {300: 12}


def test_floor_begins_at_the_first_step_and_spares_the_last_evaluation() -> None:
    dense = [curve(10, 10, 10, 10, 10)] * 2
    assert make_floor(dense, random=0, fraction=0.5, first_step=200).values == {200: 5, 300: 5, 400: 5}
    assert make_floor(dense, random=0, fraction=0.5, first_step=201).values == {300: 5, 400: 5}
    assert make_floor(dense, random=0, fraction=0.5, first_step=500).values == {}


def test_floor_looks_at_ten_evaluations() -> None:
    dense = [curve(*[1000] * 5, *[20] * WINDOW, 0)]
    assert make_floor(dense, random=0, fraction=0.25, first_step=1500).values == {1500: 5}


def test_floor_of_a_negative_return() -> None:
    dense = [curve(-400, -200, -100)]
    assert make_floor(dense, random=-500, fraction=0.5, first_step=200).values == {200: -400}


def test_no_floor_while_the_dense_arm_is_no_better_than_random() -> None:
    """Half of nothing gained would be above what the dense runs themselves had."""
    dense = [curve(4, 4, 40, 40)]
    assert make_floor(dense, random=10, fraction=0.5, first_step=100).values == {300: 13}


def test_futile_is_below_the_floor_of_that_step() -> None:
    floor = Floor({200: 10.0})
    assert floor.is_futile(points(0, 19.9))
    assert not floor.is_futile(points(0, 20))
    assert not floor.is_futile(points(0))
    assert not floor.is_futile(points(0, 0, 0)), "there is no floor at that step"


def test_futile_by_the_mean_of_ten_evaluations() -> None:
    floor = Floor({1500: 10.0})
    assert floor.is_futile(points(*[1000] * 5, *[9] * WINDOW))
    assert not floor.is_futile(points(*[0] * 5, *[11] * WINDOW))


def test_floor_in_a_file(tmp_path: Path) -> None:
    floor = Floor({200: 10.5, 300: -3.25})
    save_floor(floor, tmp_path / "floor.json")
    assert load_floor(tmp_path / "floor.json") == floor
    assert [path.name for path in tmp_path.iterdir()] == ["floor.json"]


def test_no_file_is_no_floor(tmp_path: Path) -> None:
    assert load_floor(tmp_path / "floor.json").values == {}


# A run that is given up


def run_to_its_end(directory: Path, floor: Floor) -> dict[str, object]:
    """Of 600 env steps, with an evaluation every 100."""
    config, tracking = small_config(), Tracking(database_uri(directory.parent), "tests")
    host = session.Host(is_futile=floor.is_futile)
    training = session.begin(config, directory, tracking, train_on_runtime, host)
    while True:
        try:
            next(training)
        except StopIteration as end:
            return dict(end.value)


@pytest.fixture(scope="module")
def given_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("futile") / "run"
    run_to_its_end(directory, Floor({300: -1e9, 400: 1e9}))
    return directory


def test_run_ends_at_the_evaluation_that_was_too_low(given_up: Path) -> None:
    result = json.loads((given_up / "result.json").read_text())
    assert (result["ended_early"], result["env_steps"]) == (True, 400)
    assert [each["env_steps"] for each in result["evaluations"]] == [100, 200, 300, 400]


def test_run_that_ended_early_counts_as_its_value(given_up: Path) -> None:
    result = RunDirectory(given_up).read_result()
    assert result is not None
    returns = [point["return_mean"] for point in read_points(given_up)]
    assert result["score"] == pytest.approx(sum(returns) / 4)
    assert (given_up / "policy.safetensors").exists()


def test_mlflow_knows_that_it_ended_early(given_up: Path) -> None:
    tracked = tracked_run(given_up)
    assert (tracked.info.status, tracked.data.tags["rlx2.ended_early"]) == ("FINISHED", "true")
    assert tracked.data.metrics["score"] == json.loads((given_up / "result.json").read_text())["score"]


def test_run_above_the_floor_goes_on_to_its_end(tmp_path: Path) -> None:
    result = run_to_its_end(tmp_path / "run", Floor({300: -1e9, 400: -1e9}))
    assert (result["ended_early"], result["env_steps"]) == (False, 600)
    assert "rlx2.ended_early" not in tracked_run(tmp_path / "run").data.tags
