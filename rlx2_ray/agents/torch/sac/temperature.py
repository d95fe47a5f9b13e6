"""SAC's temperature, kept where the policy's entropy meets its target (Haarnoja et al. 2018, arXiv 1812.05905)."""

from __future__ import annotations

from torch import Tensor


def temperature_loss(log_temperature: Tensor, log_probs: Tensor, target_entropy: float) -> Tensor:
    """Returns the loss: -log(alpha) * mean(log pi(a|s) + target_entropy). `log_probs` (B,) carries no gradient."""
    return -(log_temperature * (log_probs.detach() + target_entropy).mean())
