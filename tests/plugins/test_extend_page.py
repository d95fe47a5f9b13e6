"""What docs/extend.md says is tried: its files, as they stand there, and its commands."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from rlx2_ray.agents.evolution.base import LayerAtEvent
from rlx2_ray.agents.evolution.make import EVOLUTIONS, make_evolution
from rlx2_ray.agents.learner import window_spec
from rlx2_ray.cli.main import run
from rlx2_ray.config import load_stored, resolve
from rlx2_ray.sparse.plan import plan_agent
from tests.support.runs import ROOT, read_points, rlx2, small_arguments

PAGE = (ROOT / "docs/extend.md").read_text()
FILES = {
    found[1]: found[0] for found in re.findall(r"```python\n(# (\w+\.py)\n.*?)```", PAGE, re.DOTALL)
}  # name -> content


def write_files(folder: Path) -> None:
    for name, content in FILES.items():
        (folder / name).write_text(content)


def arguments(**changes: object) -> list[str]:
    return small_arguments(env__id="my_env:Point", steps=400, **changes)


def test_page_has_the_files_that_its_commands_name() -> None:
    assert set(FILES) == {"my_env.py", "activity.py", "growing.py"}


def test_growth_by_activity_is_two_files_and_a_command(folder: Path) -> None:
    write_files(folder)
    command = ["train", "--plugin", "activity.py", "--plugin", "growing.py", "--method", "activity"]
    assert run([*command, *arguments(target__rule="growing", target__n_step=3), "--out", "run"]) == 0
    written = load_stored(folder / "run/config.yaml")
    assert [Path(each["path"]).name for each in written["plugins"]] == ["activity.py", "growing.py", "my_env.py"]
    assert (written["method"], written["topology"]["rule"]) == ("activity", "activity")
    assert min(point["topology/policy_overlap"] for point in read_points(folder / "run")) < 1, "it has rewired"
    assert json.loads((folder / "run/result.json").read_text())["method"] == "activity"


@pytest.mark.parametrize("engine", ["sparse", "torch"])
def test_weights_grow_where_inputs_are_active(folder: Path, engine: str) -> None:
    """A learner whose second observation is always zero grows no weight there in the policy's first layer."""
    from rlx2_ray.agents.engines import make_learner
    from rlx2_ray.types import Spaces
    from tests.agents.small import random_batch

    write_files(folder)
    sys.path.append(str(folder))
    import activity  # noqa: F401

    assert "activity" in list(EVOLUTIONS)
    tree = {"method": "activity", "plugins": ["activity.py"], "network": {"hidden": [8]}, "engine": engine}
    tree |= {"sparsity": {"policy": 0.5, "critic": 0.2}, "agent": {"policy_delay": 1}}
    tree |= {"topology": {"interval": 2, "drop_fraction": 1.0, "end_update": 100, "drop_schedule": "constant"}}
    spaces = Spaces(4, 1, (-1.0,), (1.0,))
    learner = make_learner(resolve(tree), spaces)
    for seed in range(2):
        batch = random_batch(np.random.default_rng(seed), 16, spaces=spaces)
        batch.observations[1] = 0
        learner.update(batch)
    mask = learner.policy_layers()[0].mask()
    assert not mask[:, 1].any()
    assert mask.sum() == plan_agent(resolve(tree), 4, 1).policy.layers[0].active


def test_growing_target_by_hand(folder: Path) -> None:
    write_files(folder)
    sys.path.append(str(folder))
    import growing  # noqa: F401

    config = resolve({"plugins": ["growing.py"], "target": {"rule": "growing", "n_step": 3}})
    specs = [window_spec(config, done) for done in (0, 999, 1000, 2500, 9000)]
    assert [(spec.n_step, spec.updates) for spec in specs] == [(1, 1000), (1, 1), (2, 1000), (3, 500), (3, 1000)]


def test_entry_points_need_no_plugin(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The tables of the page, as a package that is installed."""
    write_files(folder)
    package = folder / "my_package"
    package.mkdir()
    for name in ("activity.py", "growing.py"):
        (folder / name).rename(package / name)
    info = folder / "my_package-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my_package\nVersion: 1\n")
    groups = re.findall(r'\[project\.entry-points\."(rlx2_ray\.\w+)"\]\n(\w+) = "(.*)"', PAGE)
    assert len(groups) == 2
    text = "".join(f"[{group}]\n{name} = {place}\n" for group, name, place in groups)
    (info / "entry_points.txt").write_text(text)
    sys.path.append(str(folder))
    config = resolve({"method": "activity", "target": {"rule": "growing", "n_step": 3}})
    assert config.topology.rule == "activity"
    assert window_spec(config, 2500).n_step == 3
    plan = plan_agent(config, 4, 1).policy
    evolution = make_evolution(config.topology, plan, 1, np.random.default_rng(0), lambda: [])
    mask = np.array([[True, False, False], [False, True, False]])
    layer = LayerAtEvent(
        0, mask.astype(np.float32), mask, np.zeros((2, 3), np.float32), lambda: np.ones((3, 5), np.float32)
    )
    assert evolution.rewire_layer(layer)[0].sum() == 2
    assert run(["describe", "--method", "actvity", "--observation-size", "3", "--action-size", "1"]) == 2
    assert "method is 'actvity': choose one of dense," in capsys.readouterr().err


@pytest.mark.slow
def test_actors_and_sweeps_find_both(folder: Path) -> None:
    write_files(folder)
    own = ["--plugin", "activity.py"]
    run_on_actors = ["train", *own, "--method", "activity", *arguments(runtime__kind="actors"), "--out", "actors"]
    on_actors = rlx2(*run_on_actors, folder=folder)
    assert on_actors.returncode == 0, on_actors.stderr
    (folder / "sweep.yaml").write_text("param_space: {method: {grid: [rigl, activity]}}\n")
    swept = rlx2("sweep", "sweep.yaml", *own, *arguments(), "--out", "sweep", "--json", folder=folder)
    assert swept.returncode == 0, swept.stderr
    assert [each["state"] for each in json.loads(swept.stdout.splitlines()[-1])["trials"]] == ["finished"] * 2
