"""The populations that trials share: where they are, how many slots they have, and what they cannot take."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from rlx2_ray.agents import device_choice
from rlx2_ray.agents.device_choice import keys_of_device
from rlx2_ray.agents.population import memory
from rlx2_ray.agents.population.memory import member_bytes
from rlx2_ray.config import Tree
from rlx2_ray.envs.make import probe_spaces
from rlx2_ray.sweep.compression.campaign import Compression
from rlx2_ray.sweep.description.files import parse_compress
from rlx2_ray.sweep.description.queue import parse_queue
from rlx2_ray.sweep.populations import MOST_SLOTS, Members, Populations, plan_populations
from rlx2_ray.sweep.sweeping import Sweep
from rlx2_ray.types import BadInput
from tests.cli.test_bad_input import check_refusal
from tests.support.campaigns import sweep_tree
from tests.support.compressions import compress_tree

SEEDS: Tree = {"seed": {"grid": [0, 1, 2, 3, 4]}}


def planned(tree: Tree) -> Populations:
    """Of a sweep, as `sweep/campaign.py` asks for it."""
    engine = {} if "engine" in tree["param_space"] else {"engine": "population"}
    sweep = Sweep(parse_queue({**tree, **engine}))
    spaces = probe_spaces(sweep.examples[0].env)
    sweep.check(spaces)
    limits = (sweep.most_trials, sweep.max_concurrent, sweep.processes)
    return plan_populations(Members(sweep.kinds(spaces), *limits))


@pytest.mark.parametrize(
    ("tune", "slots", "processes"),
    [
        ({"processes": 3}, 5, 3),
        ({"processes": 3, "max_concurrent": 2}, 2, 2),
        ({"processes": 0, "max_concurrent": 9}, 5, 0),
    ],
)
def test_slots_are_the_trials_at_a_time(tune: Tree, slots: int, processes: int) -> None:
    found = planned(sweep_tree(SEEDS, tune))
    assert (found.slots, found.needs.slots, found.needs.processes, found.number) == (slots, slots, processes, 1)


def test_two_devices_share_the_trials() -> None:
    spread = planned(sweep_tree(SEEDS, {"processes": 1})).spread(2)
    assert (spread.slots, spread.needs.slots) == (6, 3)
    assert spread.sentence().startswith("Trials are slots of 2 populations on cpu: 6 at a time, 1 MiB each; ")


def test_shapes_have_room_for_the_longest_window_and_the_largest_replay() -> None:
    keys = "target.n_step, replay.max_capacity, policy.average"
    space: Tree = {keys: {"grid": [[1, 200, 0], [5, 300, 10], [3, 100, 0]]}}
    needs = planned(sweep_tree(space)).needs
    assert (needs.shapes.room.n_step, needs.shapes.room.average) == (5, True)
    assert needs.rows == 321, "of 300 transitions in episodes of 16 steps"


def test_shapes_have_room_for_every_switch() -> None:
    space: Tree = {"target.samples": {"grid": [1, 5]}, "network.rescaled": {"grid": ["none", "critic"]}}
    room = planned(sweep_tree(space)).needs.shapes.room
    assert (room.samples, room.rescaled, room.critic_norm, room.own_steps) == (5, True, False, False)


def test_what_pbt_may_come_to_is_known_beforehand() -> None:
    mutations: Tree = {"target.n_step": {"choice": [1, 3, 7]}}
    scheduler: Tree = {"name": "pbt", "perturbation_interval": 100, "hyperparam_mutations": mutations}
    assert planned(sweep_tree(SEEDS, {"scheduler": scheduler}, target__n_step=None)).needs.shapes.room.n_step == 7


UNLIKE = [
    ({"network.hidden": {"grid": [[16, 16], [16]]}}, {}, "Trial 00001-network.hidden=16: policy is "),
    ({"agent.batch_size": {"grid": [16, 17]}}, {}, "batch_size is 17, but 16 in the population, whose shapes"),
    ({"agent.batch_size": {"choice": [16, 17]}}, {"searcher": "optuna"}, "Trial with agent.batch_size 17: batch_size"),
    ({"algo": {"grid": ["td3", "sac"]}}, {}, "algo is sac, but td3 in the population"),
    ({"engine": {"grid": ["sparse", "population"]}}, {}, "engine is population on cpu in 00001-engine=population, but"),
    ({"runtime.kind": {"grid": ["actors"]}}, {}, "runtime.kind is actors, but engine population is its own runtime"),
    ({"env.id": {"grid": ["InvertedPendulum-v5", "Pendulum-v1"]}}, {}, "env.id is Pendulum-v1 in 00001-env.id"),
]


@pytest.mark.parametrize(("space", "tune", "sentence"), UNLIKE)
def test_what_no_population_takes_is_said_in_one_sentence(space: Tree, tune: Tree, sentence: str) -> None:
    with pytest.raises(BadInput) as refused:
        planned(sweep_tree(space, tune))
    assert re.fullmatch(rf"\S.*{re.escape(sentence)}.*\.|{re.escape(sentence)}.*\.", str(refused.value))


def test_more_slots_than_there_is_memory_for(monkeypatch: pytest.MonkeyPatch) -> None:
    needs = planned(sweep_tree(SEEDS)).needs
    each = member_bytes(needs.shapes, needs.rows)
    monkeypatch.setattr(memory, "free_bytes", lambda device: int(3.5 * each / memory.USED))
    assert planned(sweep_tree(SEEDS)).slots == 3
    with pytest.raises(
        BadInput, match=r"^--concurrent is 4, but a member takes .* enough for 3: give --concurrent 3\.$"
    ):
        planned(sweep_tree(SEEDS, {"max_concurrent": 4}))


def test_search_of_a_compression_asks_for_as_many_runs_as_there_are_slots() -> None:
    def slots(**changes: object) -> int:
        compression = Compression(parse_compress(compress_tree(engine="population", **changes)))
        spaces = probe_spaces(compression.examples[0].env)
        limits = (compression.most_trials, compression.max_concurrent, compression.processes)
        return plan_populations(Members(compression.kinds(spaces), *limits)).slots

    assert slots() == 67, "a slot for every run that there may be"
    assert slots(compress__budget={"runs": 9}) == 9
    assert slots(compress__max_concurrent=4) == 4
    assert slots(compress__budget={"runs": 500}) == MOST_SLOTS


# --device


@pytest.mark.parametrize(
    ("name", "engine", "gpu", "keys"),
    [
        (None, None, True, {}),
        ("auto", None, False, {}),
        ("auto", None, True, {"engine": "population", "device": "cuda"}),
        ("cpu", None, True, {"device": "cpu"}),
        ("cuda", None, False, {"engine": "population", "device": "cuda"}),
        ("cuda:1", "torch", True, {"device": "cuda:1"}),
    ],
)
def test_keys_that_a_device_sets(
    name: str | None, engine: str | None, gpu: bool, keys: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_choice, "best_device", lambda: "cuda" if gpu else "cpu")
    assert keys_of_device(name, engine) == keys


@pytest.mark.skipif(any(Path(each).exists() for each in device_choice.DRIVERS), reason="there is a GPU")
def test_without_a_gpu_auto_imports_nothing_of_torch() -> None:
    program = "import sys\nfrom rlx2_ray.agents.device_choice import *\nprint(best_device(), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["cpu", "False"]


@pytest.mark.skipif(any(Path(each).exists() for each in device_choice.DRIVERS), reason="there is a GPU")
@pytest.mark.parametrize("command", ["sweep", "compress"])
def test_cuda_where_there_is_none(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file.yaml"
    file.write_text(yaml.safe_dump(sweep_tree(SEEDS) if command == "sweep" else compress_tree()))
    arguments = [command, str(file), "--device", "cuda", "--out", str(tmp_path / "out")]
    check_refusal(arguments, ["device is 'cuda', which torch cannot use here: choose cpu."], tmp_path, capsys)
