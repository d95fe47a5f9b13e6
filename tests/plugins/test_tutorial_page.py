"""The task of docs/tutorial_own_task.md trains as the page says, from its file and its name alone."""

from __future__ import annotations

import json
import re
from pathlib import Path

from rlx2_ray.cli.main import run
from tests.support.runs import ROOT, small_arguments

PAGE = (ROOT / "docs/tutorial_own_task.md").read_text()


def test_task_of_the_tutorial_trains_and_is_played(folder: Path) -> None:
    (content,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (folder / "docking.py").write_text(content)
    assert run(["train", *small_arguments(env__id="docking:make", steps=300), "--out", "run"]) == 0
    result = json.loads((folder / "run/result.json").read_text())
    assert (result["env_id"], result["env_steps"]) == ("docking:make", 300)
    assert 0 < result["score"] < 100, "at most 1 a step, of 100"
    assert run(["evaluate", "run", "--episodes", "1"]) == 0
