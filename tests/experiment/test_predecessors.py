"""What a run takes over from a finished one: an expert's critics, a ticket's structure. Real runs, small."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlx2_ray.experiment.predecessors import inherited_models
from rlx2_ray.networks.initial import fresh_layers
from rlx2_ray.networks.sparse_layer import Layers, from_arrays
from rlx2_ray.runs.checkpoint import read_checkpoint
from rlx2_ray.seeding import make_generator
from rlx2_ray.sparse.plan import plan_agent
from rlx2_ray.types import BadInput, Spaces
from tests.support.checkpoints import form_of, newest
from tests.support.runs import small_config, train

PENDULUM = Spaces(4, 1, (-3.0,), (3.0,))
ENDED = {"topology__end_update": 60, "steps": 300}  # events at updates 20 and 40 of the critics


@pytest.fixture(scope="module", params=["td3", "sac"])
def finished(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Algorithm and directory of a finished run."""
    directory = tmp_path_factory.mktemp("finished") / "run"
    train(directory, algo=request.param, seed=3, **ENDED)
    return request.param, directory


def last_layers(directory: Path, model: str) -> Layers:
    return from_arrays(read_checkpoint(newest(directory), form_of(directory)).arrays, model)


def test_a_ticket_has_the_last_structure_with_the_first_weights(finished: tuple[str, Path], tmp_path: Path) -> None:
    algo, source = finished
    config = small_config(algo=algo, method="ticket", topology__ticket=str(source), seed=8, steps=150)
    models = inherited_models(config, PENDULUM)
    assert set(models) == {"policy", "critic", "target_policy", "target_critic"}
    plan = plan_agent(config, 4, 1)._asdict()
    for name in ("policy", "critic"):
        fresh = fresh_layers(plan[name], small_config(algo=algo, seed=3), make_generator(3, name))
        for layer, last, first in zip(models[name], last_layers(source, name), fresh, strict=True):
            assert np.array_equal(layer.indices, last.indices)
            assert np.array_equal(layer.weights, first.weights.ravel()[last.indices])
            assert np.array_equal(layer.bias, first.bias)
    moved = [not np.array_equal(first.mask.ravel().nonzero()[0], layer.indices)
             for first, layer in zip(fresh, models["critic"], strict=True)]  # fmt: skip
    assert any(moved), "the finished run had changed its structure"

    train(tmp_path / "run", algo=algo, method="ticket", topology__ticket=str(source), seed=8, steps=150)
    for name in ("policy", "critic"):
        for layer, last in zip(last_layers(tmp_path / "run", name), last_layers(source, name), strict=True):
            assert np.array_equal(layer.indices, last.indices), "the structure stayed"


def test_an_expert_gives_the_values_of_a_whole_run(finished: tuple[str, Path], tmp_path: Path) -> None:
    algo, source = finished
    changes: dict[str, Any] = {"algo": algo, "method": "rigl_qstar", "target__expert": str(source), "steps": 200}
    result = train(tmp_path / "run", **changes, network__hidden=[8, 8])
    assert result["method"] == "rigl_qstar"
    expert, target = last_layers(source, "critic"), last_layers(tmp_path / "run", "target_critic")
    for layer, own in zip(expert, target, strict=True):
        assert np.array_equal(layer.weights, own.weights)
        assert np.array_equal(layer.indices, own.indices)
    assert last_layers(tmp_path / "run", "critic")[0].shape == (8, 5)


def test_runs_that_cannot_be_taken_over(finished: tuple[str, Path], tmp_path: Path) -> None:
    algo, source = finished
    unfinished, bare, damaged = (tmp_path / name for name in ("unfinished", "bare", "damaged"))
    for copy in (unfinished, bare, damaged):
        shutil.copytree(source, copy)
    (unfinished / "result.json").unlink()
    shutil.rmtree(bare / "checkpoints")
    for file in damaged.glob("checkpoints/*/*.safetensors"):
        file.write_bytes(file.read_bytes()[:-1] + b"?")
    ticket: dict[str, Any] = {"algo": algo, "method": "ticket", "seed": 8}
    for changes, sentence in (
        ({"topology__ticket": str(tmp_path)}, r"topology\.ticket is .*, which holds no run: give a directory that .*"),
        ({"topology__ticket": str(unfinished)}, r"topology\.ticket is .*, a run that is not finished: 'rlx2 resume .*"),
        ({"topology__ticket": str(bare)}, r"topology\.ticket is .*, whose checkpoints are gone: give .*"),
        ({"topology__ticket": str(damaged)}, r"topology\.ticket is .*, whose checkpoint is damaged \(.*\): give .*"),
        (
            {"topology__ticket": str(source), "sparsity__critic": 0.6},
            r"sparsity\.critic is 0\.6 but topology\.ticket .* was trained with 0\.4: give the same\.",
        ),
        (
            {"topology__ticket": str(source), "network__hidden": [8, 8]},
            r"topology\.ticket is .*, whose policy has other layers: give .*",
        ),
    ):
        with pytest.raises(BadInput, match=f"^{sentence}$"):
            inherited_models(small_config(**ticket, **changes), PENDULUM)
    with pytest.raises(
        BadInput, match=r"^target\.expert is .*, whose critics have 5 inputs and not 14: give a run .*$"
    ):
        inherited_models(small_config(algo=algo, target__expert=str(source)), Spaces(11, 3, (-1,) * 3, (1,) * 3))


def test_nothing_is_written_where_the_run_cannot_be_taken_over(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"^target\.expert is .*/none, which holds no run: .*$"):
        train(tmp_path / "run", target__expert=str(tmp_path / "none"))
    assert not (tmp_path / "run").exists()
