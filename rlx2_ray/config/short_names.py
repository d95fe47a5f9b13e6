"""Short names of keys: those of the command line's options, which Python takes as keywords."""

from __future__ import annotations

SHORT_NAMES = {
    "env": "env.id",
    "algo": "algo",
    "method": "method",
    "policy_sparsity": "sparsity.policy",
    "critic_sparsity": "sparsity.critic",
    "steps": "steps",
    "seed": "seed",
    "engine": "engine",
    "runtime": "runtime.kind",
    "rollout_actors": "runtime.rollout_actors",
    "replay_shards": "runtime.replay_shards",
    "address": "runtime.address",
    "plugins": "plugins",
    "loggers": "tracking.loggers",
}
