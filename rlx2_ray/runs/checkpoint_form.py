"""What the checkpoints of one run can hold: read with it, they cannot be wrong, whoever wrote them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from rlx2_ray.config import ExperimentConfig
from rlx2_ray.networks.sparse_layer import Arrays
from rlx2_ray.runs.checkpoint_arrays import (
    KEPT,
    Models,
    Sizes,
    check_contents,
    check_forms,
    check_groups,
    found_critics,
    model_forms,
    sizes_of,
    state_forms,
    targets_of,
)
from rlx2_ray.runs.checkpoint_values import check_values
from rlx2_ray.types import BadInput, Spaces

SLACK = 64 << 20  # bytes: what a task of other sizes may take, so that it is said that they are others
UNKNOWN = 1 << 30  # bytes of an expert that is not at hand, and of the actions of an episode that does not end
EACH = 512  # bytes of the head that an array takes, and more than it ever does
MOST_VALUES = 16 << 20, 256 << 20  # bytes: without evaluations, and in all
POINT = 8 << 10  # bytes of an evaluation


class RunForm(NamedTuple):
    """Checkpoints of a run with this configuration.

    Their sizes are those that their policy was made for, which `check_sizes` holds against the task's.
    """

    config: ExperimentConfig
    spaces: Spaces
    expert: ExperimentConfig | None = None  # of target.expert, where the state is to go on with it

    @property
    def sizes(self) -> Sizes:
        """Those of the task."""
        return self.spaces.observation_size, self.spaces.action_size

    @property
    def most_values(self) -> int:
        """Bytes that the values can take."""
        without, most = MOST_VALUES
        return min(most, without + POINT * -(-self.config.steps // self.config.evaluation.interval))

    def values(self, env_steps: int, content: object) -> dict[str, Any]:
        """The values of a checkpoint after `env_steps`. Raises ValueError for anything else."""
        return check_values(self.config, env_steps, content)

    def most_arrays(self, values: dict[str, Any]) -> tuple[int, int]:
        """Bytes that the arrays and their head can take, beside such values."""
        sizes = self.sizes
        models = self._models(sizes, values, {})
        forms = state_forms(self.config, sizes, models, lambda name, most: most, 0)
        unknown = UNKNOWN if self._has_unknown_expert else 0
        taken = min(UNKNOWN, 4 * sizes[1] * min(values["env_steps"], self.config.steps))
        head = EACH * len(forms)
        return sum(form.size for form in forms.values()) + head + taken + unknown + SLACK, head + (unknown >> 10)

    def arrays(self, values: dict[str, Any], arrays: Arrays) -> Arrays:
        """The arrays of a checkpoint with these values. Raises ValueError for anything else."""
        sizes = sizes_of(arrays, self.config)
        models = self._models(sizes, values, arrays)

        def count(name: str, most: int) -> int:
            array = arrays.get(name)
            return min(most, array.shape[0]) if array is not None and array.ndim else 0

        forms = state_forms(self.config, sizes, models, count, values["env_steps"])
        check_forms(arrays, forms)
        check_contents(arrays, models)
        check_groups(self.config, arrays, models)
        return arrays

    @property
    def _has_unknown_expert(self) -> bool:
        return self.config.target.expert is not None and self.expert is None

    def _models(self, sizes: Sizes, values: dict[str, Any], arrays: Arrays) -> Models:
        models = model_forms(self.config, sizes)
        models |= {name: models["policy"] for name in KEPT if values.get(name) is not None}
        if self.expert is not None:
            models["target_critic"] = targets_of(self.config, model_forms(self.expert, sizes)["critic"])
        elif self._has_unknown_expert and arrays:
            models["target_critic"] = targets_of(self.config, found_critics(arrays, "target_critic", sizes))
        return models

    def check_sizes(self, arrays: Arrays, source: Path) -> None:
        """Raises BadInput where the environment has become another one than the policy was made for."""
        was = sizes_of(arrays, self.config)
        if was != self.sizes:
            raise BadInput(
                f"env.id is {self.config.env.id}, which has {self.sizes[0]} observations and "
                f"{self.sizes[1]} actions, another size than the {was[0]} and {was[1]} that "
                f"{source} was trained with: make it as it was."
            )
