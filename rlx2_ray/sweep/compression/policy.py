"""The best policy of the network that a compression found: as a file, and as a model in MLflow's registry.

It is that of the best evaluation of the run that scored best: the last policy of a run can be far from its score.
"""

from __future__ import annotations

from dataclasses import replace

from rlx2_ray import files
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.networks.policy_file import load_policy
from rlx2_ray.report.record.record import Ultimate
from rlx2_ray.runs.directory import RunDirectory
from rlx2_ray.search.decision import Pair
from rlx2_ray.search.ledger import is_run_of
from rlx2_ray.search.methods import AnySearch
from rlx2_ray.sweep.campaign import Desk
from rlx2_ray.sweep.compression.planner import name_of
from rlx2_ray.tracking.model import register_policy, registered_name
from rlx2_ray.types import RunFailed

ALIASES = {"accept": "ultimate", "inconclusive": "candidate"}
TAGS = ("policy_sparsity", "critic_sparsity", "compression", "ratio", "probability", "verdict", "trial")


def best_trial(search: AnySearch, pair: Pair, method: str | None = None) -> str | None:
    """Returns the name of the run of a network that scored best; None where none has a score."""
    scores = {
        tell.request: tell.score for tell in search.tells if is_run_of(tell, method, pair) and tell.score is not None
    }
    best = max(scores, key=lambda request: scores[request], default=None)
    return name_of(best) if best else None


def keep_policy(desk: Desk, dense: ExperimentConfig, ultimate: Ultimate) -> Ultimate:
    """Returns it with where its policy is; where MLflow does not take that, it is said and it stays a file."""
    assert ultimate.trial is not None
    source = RunDirectory(desk.directory.trials / ultimate.trial)
    file = desk.directory.path / "policy.safetensors"
    best = source.best_policy_file
    policy = best if best.exists() else source.policy_file  # a run of an earlier version has no best one
    load_policy(policy)  # or a damaged one would be handed out
    files.copy(policy, file)
    name, alias = registered_name(dense.env.id, dense.algo), ALIASES[ultimate.verdict]
    tags = {key: getattr(ultimate, key) for key in TAGS}
    kept = replace(ultimate, policy=str(file))
    try:
        version = register_policy(desk.tracking.uri, desk.run_id, file, name, tags, alias)
    except RunFailed as failure:
        desk.keeper.say(str(failure))
        return kept
    return replace(kept, model=f"models:/{name}@{alias}", model_version=version)
