"""Distributed sparse deep reinforcement learning on Ray, and the few names that Python programs use it by.

Importing this package imports neither ray nor torch: each process pays only for the parts it uses. So the names below
are looked up when they are first used (PEP 562).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rlx2_ray.api.description import Description, describe
    from rlx2_ray.api.policy import Policy, load_policy
    from rlx2_ray.api.runs import load_curves, load_runs
    from rlx2_ray.api.training import Result, train
    from rlx2_ray.types import BadInput, Interrupted, RunFailed

__version__ = "0.1.0"
__all__ = [
    "BadInput", "Description", "Interrupted", "Policy", "Result", "RunFailed", "describe", "load_curves", "load_policy",
    "load_runs", "train",
]  # fmt: skip

_HOMES = {
    "api.description": ("Description", "describe"),
    "api.policy": ("Policy", "load_policy"),
    "api.runs": ("load_curves", "load_runs"),
    "api.training": ("Result", "train"),
    "types": ("BadInput", "Interrupted", "RunFailed"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
