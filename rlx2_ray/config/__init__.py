"""The one description of an experiment: typed, frozen, the same object inline, on actors and in a trial.

A user writes only what differs from the defaults. `resolve` fills in the rest, from the most general to the most
particular: defaults of the fields, of the algorithm, of the method (methods.py), the user's own keys; and last the
values that follow from others (sparsities, warm-up, the topology schedule, start of the n-step target, replay
capacities, evaluations).
A resolved configuration names every value, so it reads back to itself and to the same hash.

The constants are those of RLx2 (arXiv 2205.15043) and, beneath it, of TD3 (arXiv 1802.09477) and SAC (1812.05905).
"""

from rlx2_ray.config.evaluations import default_score_window, evaluated_steps, next_evaluation
from rlx2_ray.config.files import load, load_stored, parse_assignments, read_bytes, to_yaml
from rlx2_ray.config.messages import all_keys, unknown_key, validate
from rlx2_ray.config.resolution import dense_counterpart, resolve, resolve_stored
from rlx2_ray.config.schema import (
    LARGEST_WINDOW,
    UNLIMITED_STEPS,
    AgentConfig,
    Count,
    EnvConfig,
    EvaluationConfig,
    ExperimentConfig,
    Fraction,
    NonNegative,
    Plugin,
    Positive,
    ReplayConfig,
    RuntimeConfig,
    Section,
    Sparsity,
    TargetConfig,
    TopologyConfig,
    updates_due,
)
from rlx2_ray.config.trees import Tree, at, flatten, merge, nest, unflatten
from rlx2_ray.strict import LARGEST

__all__ = [
    "LARGEST", "LARGEST_WINDOW", "UNLIMITED_STEPS", "AgentConfig", "Count", "EnvConfig", "EvaluationConfig",
    "ExperimentConfig", "Fraction", "NonNegative", "Plugin", "Positive", "ReplayConfig", "RuntimeConfig", "Section",
    "Sparsity", "TargetConfig", "TopologyConfig", "Tree", "all_keys", "at", "default_score_window",
    "dense_counterpart", "evaluated_steps", "flatten", "load", "load_stored", "merge", "nest", "next_evaluation",
    "parse_assignments", "read_bytes", "resolve", "resolve_stored", "to_yaml", "unflatten", "unknown_key",
    "updates_due", "validate",
]  # fmt: skip
