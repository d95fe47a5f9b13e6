"""The devices that torch can compute on here."""

from __future__ import annotations

import torch


def is_usable(device: str) -> bool:
    """Whether a tensor can be made on the device and read back: "meta", for one, makes tensors that hold nothing."""
    try:
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError):
        return False
    return True


def gpus() -> int:
    """How many torch sees."""
    return torch.cuda.device_count()
