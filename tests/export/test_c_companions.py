"""What stands beside the exported C: a check that tells right from wrong, a header for C++, an example that runs."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from rlx2_ray.export import c_export
from rlx2_ray.export.c_compiler import find_compiler
from rlx2_ray.export.rounding_loss import Episodes, Rounding
from rlx2_ray.networks.policy_file import PolicyFile, load_policy
from rlx2_ray.networks.policy_reader import Normalization
from rlx2_ray.types import Spaces
from tests.export.policies import random_policy
from tests.export.test_c import STRICT, TRAINED
from tests.export.test_units import BOUNDS

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")
MAIN = "-DPOLICY_CHECK_MAIN"


def plain() -> PolicyFile:
    return random_policy("td3", [11, 64, 64, 3], [0.3, 0.05, 0.9])


def bounded(bounds: str) -> PolicyFile:
    low, high, dtype = BOUNDS[bounds]
    integer = np.issubdtype(np.dtype(dtype), np.integer)
    return random_policy("sac", [4, 16, 2], [1, 1])._replace(spaces=Spaces(4, 2, tuple(low), tuple(high), integer))


def normalized() -> PolicyFile:
    mean, scale = np.linspace(-50, 50, 11, dtype=np.float32), np.linspace(0.01, 4, 11, dtype=np.float32)
    return plain()._replace(normalization=Normalization(mean, scale))


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def build(folder: Path, *arguments: str, compiler: str = "cc") -> Path:
    done = run(folder, compiler, *arguments, "-o", "program")
    assert (done.returncode, done.stderr) == (0, "")
    return folder / "program"


@pytest.mark.parametrize("policy", [plain(), normalized(), *map(bounded, BOUNDS)], ids=["plain", "normalized", *BOUNDS])
def test_check_finds_what_was_written_right(policy: PolicyFile, tmp_path: Path) -> None:
    c_export.write(policy, tmp_path / "policy.c", None)
    done = run(tmp_path, str(build(tmp_path, *STRICT, MAIN, "policy_check.c", "policy.c")))
    assert (done.returncode, done.stdout) == (0, "0 of 10 observations come to another action\n")


def test_check_finds_one_wrong_number_and_one_that_is_none(tmp_path: Path) -> None:
    c_export.write(plain(), tmp_path / "policy.c", None)
    source = (tmp_path / "policy.c").read_text()
    (first,) = re.findall(r"bias_3\[3\] = \{\n    ([-\d.]+)f,", source)
    for wrong in (f"{float(first) + 0.01}", "0.0f / 0.0"):
        (tmp_path / "policy.c").write_text(source.replace(f"    {first}f,", f"    {wrong}f,"))
        done = run(tmp_path, str(build(tmp_path, "-w", MAIN, "policy_check.c", "policy.c")))
        assert done.returncode == 1
        assert re.match(r"([89]|10) of 10 observations come to another action", done.stdout)


def test_check_of_integers_is_of_the_rounded_policy(tmp_path: Path) -> None:
    c_export.write(load_policy(TRAINED), tmp_path / "policy.c", Rounding("int8", Episodes(1)))
    assert run(tmp_path, str(build(tmp_path, *STRICT, MAIN, "policy_check.c", "policy.c"))).returncode == 0


@pytest.mark.skipif(shutil.which("c++") is None, reason="there is no compiler of C++")
def test_header_of_cpp_acts_as_the_function(tmp_path: Path) -> None:
    c_export.write(plain(), tmp_path / "policy.c", None)
    (tmp_path / "main.cpp").write_text(
        '#include "policy.hpp"\nint main() {\n    policy::Observation observation{};\n    observation[1] = 0.5f;\n'
        "    const policy::Action action = policy::act(observation);\n    policy::Action same;\n"
        "    policy_act(observation.data(), same.data());\n"
        "    return action == same && action.size() == 3 ? 0 : 1;\n}\n"
    )
    build(tmp_path, *STRICT, "-c", "policy.c").rename(tmp_path / "policy.o")
    flags = ("-std=c++11", "-Wall", "-Wextra", "-Werror", "-pedantic")
    assert run(tmp_path, str(build(tmp_path, *flags, "main.cpp", "policy.o", compiler="c++"))).returncode == 0


def test_example_acts_at_its_rate(tmp_path: Path) -> None:
    content = c_export.write(plain(), tmp_path / "policy.c", None)
    assert [Path(each).name for each in content["beside"]] == ["policy_check.c", "policy.hpp", "policy_loop.c"]
    done = run(tmp_path, str(build(tmp_path, *STRICT, "policy_loop.c", "policy.c")), "0.02")
    assert done.returncode in (0, 1), "on a busy machine a deadline is missed"
    assert re.fullmatch(r"10 steps at 500 Hz, \d+ deadlines missed, slowest step \d+\.\d us\n", done.stdout)
