"""What makes each method that method: the keys that it gives values to. docs/methods.md tells them in words."""

from __future__ import annotations

from typing import Any

Keys = dict[str, Any]

PLAIN: Keys = {"target": {"n_step": 1}, "replay": {"capacity_rule": "fixed"}}
METHODS: dict[str, Keys] = {
    "dense": {"topology": {"rule": "dense"}, **PLAIN},
    "tiny": {"topology": {"rule": "dense"}, "sparsity": {"distribution": "narrow"}, **PLAIN},
    "static": {"topology": {"rule": "static"}, **PLAIN},
    "set": {"topology": {"rule": "set"}, **PLAIN},  # Mocanu et al. 2018 (arXiv 1707.04780)
    "rigl": {"topology": {"rule": "rigl"}, **PLAIN},  # Evci et al. 2020 (arXiv 1911.11134)
    "rlx2": {  # Tan et al. 2023 (arXiv 2205.15043)
        "topology": {"rule": "rigl"},
        "target": {"n_step": 3},
        "replay": {"capacity_rule": "dynamic"},
    },
    "rigl_qstar": {"topology": {"rule": "rigl"}, **PLAIN},  # needs target.expert; RLx2, figure 2
    "ticket": {"topology": {"rule": "static"}, **PLAIN},  # needs topology.ticket; RLx2, figures 3 and 7
    "prune": {"topology": {"rule": "prune"}, **PLAIN},  # Zhu & Gupta 2017 (arXiv 1710.01878)
    "structured": {  # after Su et al. 2024 (arXiv 2402.05146)
        "topology": {"rule": "structured"},
        "sparsity": {"distribution": "units"},
        **PLAIN,
    },
    "group": {  # after Lee et al. 2021 (arXiv 2101.09650)
        "topology": {"rule": "prune", "hold": 0.8},
        "sparsity": {"block": 4},
        **PLAIN,
    },
    "ds": {  # Sokar et al. 2022 (arXiv 2106.04217)
        "steps": 1_000_000,
        "sparsity": {"distribution": "epsilon"},
        "agent": {"batch_size": 100, "learning_rate": 1e-3, "weight_decay": 2e-4},
        "topology": {
            **{"rule": "set", "interval": 1_000, "clock": "learner", "initial_mask": "random", "target_mask": "own"},
            **{"drop_fraction": 0.05, "drop_schedule": "constant", "drop": "signed"},
        },
        **PLAIN,
    },
    "nm": {  # Vrce et al. 2026 (arXiv 2602.14578)
        "sparsity": {"distribution": "groups"},
        "topology": {"rule": "groups", "interval": 1_000},
        **PLAIN,
    },
}


def keys_of(method: str) -> Keys:
    """Those of a method; a name that is none here is that of a topology rule of somebody else's, and nothing more."""
    return METHODS.get(method) or {"topology": {"rule": method}, **PLAIN}


# Of a run's updates, where its first and its last event lie by default.
EVENTS: dict[str, tuple[float, float]] = {
    "prune": (0.2, 0.8),  # Graesser et al. 2022 (arXiv 2206.10369)
    "structured": (0.2, 0.8),
    "group": (0.2, 0.8),
    "ds": (0.0, 0.95),  # its authors' last 50 000 updates of 1 M have none
}
# Keys that a method cannot do without, and what they name.
NEEDS = {
    "rigl_qstar": ("target.expert", "a finished run whose critics give the values"),
    "ticket": ("topology.ticket", "a finished run whose structure is to be trained again"),
}
