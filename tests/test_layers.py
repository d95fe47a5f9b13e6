"""The layers of the package, read from its source: imports go one way, and heavy libraries stay where they belong."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import rlx2_ray

ROOT = Path(rlx2_ray.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
FOLDERS = sorted({path.parent for path in FILES} - {ROOT})

TABLES = {"algorithms", "methods", "topology_rules"}
BASE = TABLES | {"types", "files", "json_text", "strict", "seeding", "registry", "target_rules", "config", "plugins"}
PARTS = BASE | {"kernels", "sparse", "networks", "footprint", "replay", "envs"}
RUN = PARTS | {"agents", "tracking", "runs", "experiment", "distributed"}
# What each part may import besides itself; "" is the package's own __init__.
ALLOWED: dict[str, set[str]] = {
    "": {"api", "types"},
    "types": set(),
    "files": set(),
    "json_text": set(),
    "remembered": {"files"},
    "strict": set(),
    "seeding": set(),
    **{table: set() for table in TABLES},
    "registry": {"types"},
    "config": TABLES | {"types", "files", "strict", "registry", "json_text"},
    "target_rules": {"config", "registry"},
    "plugin_copies": {"types"},
    "plugins": {"types", "remembered", "config", "plugin_copies"},
    "kernels": {"types", "files"},
    "sparse": BASE | {"kernels"},
    "networks": BASE | {"kernels", "sparse"},
    "footprint": {"types", "sparse", "networks"},
    "replay": {"types", "files", "json_text", "strict", "seeding", "kernels"},
    "envs": {"types", "seeding", "config", "remembered", "plugins"},
    "agents": BASE | {"kernels", "sparse", "networks"},
    "extend": {"config", "target_rules", "agents"},
    "tracking": {"types", "files", "json_text", "remembered", "config", "networks"},
    "runs": PARTS | {"tracking"},
    "experiment": PARTS | {"agents", "tracking", "runs"},
    "export": PARTS | {"runs", "experiment"},
    "distributed": RUN - {"distributed"},
    "bench": RUN | {"export"},
    "search": {"types"},
    "report": PARTS | {"tracking", "runs", "search"},
    "sweep": RUN | {"bench", "search", "report"},
    "rllib": RUN,
    "api": RUN | {"report", "export"},
    "cli": RUN | {"api", "bench", "search", "report", "sweep", "rllib", "export"},
    "__main__": {"cli"},
}

# Where a library may be imported at all.
HOMES = {
    "ray": ("distributed/", "sweep/", "rllib/"),
    "torch": ("networks/masked_mlp.py", "agents/torch/", "agents/population/", "bench/", "rllib/", "export/tuning.py"),
    "numba": ("kernels/",),
    "llvmlite": ("kernels/",),
    "onnx": ("export/",),
    "onnxruntime": ("export/",),
    "mlflow": ("tracking/",),
    "tensorboardX": ("tracking/",),
    "wandb": ("tracking/",),
    "mujoco": ("envs/",),
    "pandas": ("api/",),
    "matplotlib": ("report/files/pictures.py",),
    "pyarrow": ("replay/", "runs/archived_run.py"),
    "typer": ("cli/",),
    "imageio": ("experiment/",),
    "plotly": ("report/",),
    "dash": ("report/",),
    "jinja2": ("report/",),
    "optuna": ("sweep/",),
}


def imported_modules(path: Path) -> Iterator[str]:
    """Dotted names of all modules imported in a file, also within functions; of `from a import b` both a and a.b."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part_of(module: str) -> str:
    """`sparse` of rlx2_ray.sparse.plan."""
    return module.partition(".")[2].partition(".")[0]


def file_part(path: Path) -> str:
    relative = path.relative_to(ROOT)
    return relative.parts[0].removesuffix(".py") if relative.name != "__init__.py" or len(relative.parts) > 1 else ""


def known_parts() -> set[str]:
    return {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}


def uses(path: Path) -> set[str]:
    """Parts of the package that a file imports, its own left out."""
    names = [name for name in imported_modules(path) if name.split(".")[0] == "rlx2_ray"]
    return {part for part in map(part_of, names) if part in known_parts()} - {file_part(path)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    assert uses(path) <= ALLOWED[file_part(path)]


def test_the_order_has_no_cycle() -> None:
    assert in_cycles(ALLOWED) == []


def in_cycles(uses: Mapping[str, set[str]]) -> list[str]:
    """Those that are in a cycle or between two, of a graph that has for each name those that it uses."""
    left = {name: below - {name} for name, below in uses.items()}
    while free := {
        name for name, below in left.items() if not below or not any(name in each for each in left.values())
    }:
        left = {name: below - free for name, below in left.items() if name not in free}
    return sorted(left)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_files_and_folders_in_a_folder_import_each_other_one_way(folder: Path) -> None:
    uses: dict[str, set[str]] = {child.stem: set() for child in folder.iterdir()}
    for path in folder.rglob("*.py"):
        uses[child_of(path, folder)] |= {
            child_of(file, folder) for file in imported_files(path) if folder in file.parents
        }
    assert in_cycles(uses) == []


def child_of(path: Path, folder: Path) -> str:
    """The file or folder in `folder` that `path` is, or is in."""
    return path.relative_to(folder).parts[0].removesuffix(".py")


def imported_files(path: Path) -> set[Path]:
    """Files of the package that a file imports; of a name in a module the module's, of a file in a folder that file."""
    files = {file for file in map(file_of, imported_modules(path)) if file}
    return files - {file.with_name("__init__.py") for file in files if file.name != "__init__.py"}


def file_of(module: str) -> Path | None:
    place = ROOT.parent.joinpath(*module.split("."))
    return next((file for file in (place.with_suffix(".py"), place / "__init__.py") if file.exists()), None)


@pytest.mark.parametrize("library", HOMES)
def test_heavy_libraries_stay_at_home(library: str) -> None:
    users = {
        str(path.relative_to(ROOT))
        for path in FILES
        if any(name.split(".")[0] == library for name in imported_modules(path))
    }
    assert users, f"nothing imports {library}"
    assert not {user for user in users if not user.startswith(HOMES[library])}


@pytest.mark.parametrize(
    "module", ["rlx2_ray", "rlx2_ray.cli.main", "rlx2_ray.distributed.rollout_worker", "rlx2_ray.experiment.rollout"]
)
def test_importing_it_loads_neither_ray_nor_torch(module: str) -> None:
    code = f"import sys, {module}; print(sorted({{'ray', 'torch', 'mlflow'}} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


TRAINING = """
import sys
import numpy as np
from rlx2_ray.agents.engines import check_engine, make_learner
from rlx2_ray.config import resolve
from rlx2_ray.types import Batch, Spaces

config = resolve({"algo": sys.argv[1], "engine": sys.argv[2], "network": {"hidden": [16]}})
check_engine(config)
learner = make_learner(config, Spaces(3, 1, (-1.0,), (1.0,)))
lengths, terminated = np.ones(2, np.int64), np.zeros(2, np.bool_)
observations, nexts = np.ones((3, 2), np.float32), np.ones((1, 3, 2), np.float32)
for _ in range(2):
    learner.update(Batch(observations, observations[:1], observations[:1], nexts, lengths, terminated))
learner.restore(learner.state())
learner.acting_policy().action(observations[:, 0])
print(learner.metrics()["train/critic_loss"] > 0, "torch" in sys.modules)
"""


@pytest.mark.parametrize(
    ("algo", "engine", "loads_torch"),
    [
        ("td3", "sparse", "False"),
        ("sac", "sparse", "False"),
        ("td3", "torch", "True"),
        pytest.param("sac", "torch", "True", marks=pytest.mark.slow),
    ],
)
def test_only_the_torch_engine_loads_torch(algo: str, engine: str, loads_torch: str) -> None:
    done = subprocess.run([sys.executable, "-c", TRAINING, algo, engine], capture_output=True, text=True)
    assert done.stdout.split() == ["True", loads_torch], done.stderr
