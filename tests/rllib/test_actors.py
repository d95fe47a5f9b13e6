"""The algorithm on the actors runtime, as `env_runners(num_env_runners=R)` asks for it."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from rlx2_ray.rllib import RLx2
from tests.rllib.conftest import Keep, MakeConfig
from tests.support.runs import evaluated_steps, read_points


@pytest.mark.slow
def test_trains_saves_and_goes_on_with_other_numbers_of_actors(
    make_config: MakeConfig, keep: Keep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    algo = keep(make_config().env_runners(num_env_runners=2).build_algo())
    assert algo.train()["num_env_steps_sampled_lifetime"] == 200
    print("Hear me.")  # noqa: T201 - the script's own words, while the run is on its Ray
    path = Path(algo.save_to_path(tmp_path / "saved"))
    assert algo.evaluate()["env_runners"]["num_episodes"] == 1
    algo.stop()
    assert [child.name() for child in psutil.Process().children(recursive=True) if "ray" in child.name()] == []

    config = make_config().env_runners(num_env_runners=1)
    restored = keep(RLx2.from_checkpoint(path, config=config))
    results = [restored.train(), restored.train()]
    print("And me.")  # noqa: T201
    assert [result["training_iteration"] for result in results] == [2, 3]
    assert results[-1]["done"]
    assert results[-1]["rlx2"]["runtime"] == "actors"
    assert evaluated_steps(restored.run_directory) == [200, 400, 600]
    assert read_points(restored.run_directory)[0] == read_points(path)[0]
    assert capsys.readouterr().out.splitlines() == ["Hear me.", "And me."]
