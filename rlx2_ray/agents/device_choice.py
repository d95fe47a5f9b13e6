"""The device that `--device auto` means: torch is asked, and imported, only where there is a driver of a GPU."""

from __future__ import annotations

from pathlib import Path

from rlx2_ray.config import Tree

DRIVERS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")


def best_device() -> str:
    """A GPU where torch can use one, else the CPU."""
    if not any(Path(driver).exists() for driver in DRIVERS):
        return "cpu"
    from rlx2_ray.agents.torch.device import is_usable

    return "cuda" if is_usable("cuda") else "cpu"


def keys_of_device(name: str | None, engine: str | None) -> Tree:
    """What `--device` sets of trials: on a GPU they share populations, unless `engine`, as typed, is another.

    On a CPU it is what the other keys say, so that `auto` changes nothing where there is no GPU.
    """
    if name is None or (name == "auto" and best_device() == "cpu"):
        return {}
    if name == "cpu":
        return {"device": "cpu"}
    device = "cuda" if name == "auto" else name
    return {"device": device} if engine else {"engine": "population", "device": device}
