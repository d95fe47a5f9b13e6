"""The one description of an experiment: typed, frozen, the same object inline, on actors and in a trial.

A user writes only what differs from the defaults. `resolve` fills in the rest, from the most general to the most
particular: defaults of the fields, of the algorithm, of the method (methods.py), the user's own keys; and last the
values that follow from others (sparsities, warm-up, the topology schedule, start of the n-step target, replay
capacities).
A resolved configuration names every value, so it reads back to itself and to the same hash.

The constants are those of RLx2 (arXiv 2205.15043) and, beneath it, of TD3 (arXiv 1802.09477) and SAC (1812.05905).
"""

from rlx2_ray.config.files import (
    load as load,
    parse_assignments as parse_assignments,
    to_yaml as to_yaml,
)
from rlx2_ray.config.messages import (
    all_keys as all_keys,
    unknown_key as unknown_key,
    validate as validate,
)
from rlx2_ray.config.resolution import (
    dense_counterpart as dense_counterpart,
    resolve as resolve,
)
from rlx2_ray.config.schema import (
    AgentConfig as AgentConfig,
    Count as Count,
    EnvConfig as EnvConfig,
    ExperimentConfig as ExperimentConfig,
    Fraction as Fraction,
    NonNegative as NonNegative,
    Positive as Positive,
    ReplayConfig as ReplayConfig,
    RuntimeConfig as RuntimeConfig,
    Section as Section,
    Sparsity as Sparsity,
    TopologyConfig as TopologyConfig,
    updates_due as updates_due,
)
from rlx2_ray.config.trees import (
    Tree as Tree,
    at as at,
    flatten as flatten,
    merge as merge,
    nest as nest,
)
