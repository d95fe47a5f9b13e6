"""What a person sees of one member among many: its lines, which say whose they are; progress is that of all."""

from __future__ import annotations

from collections.abc import Callable

from rlx2_ray.experiment.display import Display, Rate, Status


class MemberDisplay:
    def __init__(self, shared: Display, seed: int) -> None:
        self._shared, self._seed = shared, seed

    def advance(self, env_steps: int, status: Callable[[], Status], rate: Rate | None = None) -> None:
        pass

    def retotal(self, env_steps: int) -> None:
        pass

    def say(self, text: str) -> None:
        self._shared.say(f"seed {self._seed}: {text}")

    def close(self) -> None:
        pass
