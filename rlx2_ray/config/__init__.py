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
)
from rlx2_ray.config.files import (
    parse_assignments as parse_assignments,
)
from rlx2_ray.config.files import (
    to_yaml as to_yaml,
)
from rlx2_ray.config.messages import (
    all_keys as all_keys,
)
from rlx2_ray.config.messages import (
    unknown_key as unknown_key,
)
from rlx2_ray.config.messages import (
    validate as validate,
)
from rlx2_ray.config.resolution import (
    dense_counterpart as dense_counterpart,
)
from rlx2_ray.config.resolution import (
    resolve as resolve,
)
from rlx2_ray.config.schema import (
    AgentConfig as AgentConfig,
)
from rlx2_ray.config.schema import (
    Count as Count,
)
from rlx2_ray.config.schema import (
    EnvConfig as EnvConfig,
)
from rlx2_ray.config.schema import (
    ExperimentConfig as ExperimentConfig,
)
from rlx2_ray.config.schema import (
    Fraction as Fraction,
)
from rlx2_ray.config.schema import (
    NonNegative as NonNegative,
)
from rlx2_ray.config.schema import (
    Positive as Positive,
)
from rlx2_ray.config.schema import (
    ReplayConfig as ReplayConfig,
)
from rlx2_ray.config.schema import (
    RuntimeConfig as RuntimeConfig,
)
from rlx2_ray.config.schema import (
    Section as Section,
)
from rlx2_ray.config.schema import (
    Sparsity as Sparsity,
)
from rlx2_ray.config.schema import (
    TopologyConfig as TopologyConfig,
)
from rlx2_ray.config.schema import (
    updates_due as updates_due,
)
from rlx2_ray.config.trees import (
    Tree as Tree,
)
from rlx2_ray.config.trees import (
    at as at,
)
from rlx2_ray.config.trees import (
    flatten as flatten,
)
from rlx2_ray.config.trees import (
    merge as merge,
)
from rlx2_ray.config.trees import (
    nest as nest,
)
