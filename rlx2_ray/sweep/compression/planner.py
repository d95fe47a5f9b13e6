"""The trials of a compression: what the search requests, as configurations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any

from rlx2_ray.config import ExperimentConfig, Tree, dense_counterpart, merge, resolve
from rlx2_ray.search.decision import Pair
from rlx2_ray.search.ledger import DENSE_PAIR, FIRST_SEED, Purpose, Request
from rlx2_ray.sweep.description.methods import config_of
from rlx2_ray.sweep.trials.job import Plan

SEED = re.compile(r"-s(\d+)$")  # at the end of a name


@dataclass(frozen=True)
class CompressPlanner:
    base: Tree  # without sparsities and seed
    pairs: tuple[Pair, ...] = ()  # networks that are searched
    methods: Mapping[str | None, Tree] = field(default_factory=lambda: {None: {}})  # by name: what each adds, dotted

    @cached_property
    def requests(self) -> Requests:
        return Requests(self.pairs, self.methods)

    def plan(self, sampled: Mapping[str, Any], trial_id: str) -> Plan:
        """Tune's configuration of a trial is a request's fields."""
        request = Request(**{field: sampled[field] for field in Request._fields})
        return Plan(name_of(request), self.config(request), request.purpose)

    def planned(self, name: str) -> Plan | None:
        return next((self.plan(request._asdict(), "") for request in self.requests.of(name)), None)

    def config(self, request: Request) -> ExperimentConfig:
        sparsity = {"policy": request.policy_sparsity, "critic": request.critic_sparsity}
        method = self.methods.get(request.method, next(iter(self.methods.values())))  # dense runs are those of any
        config = resolve(merge(config_of(self.base, method), {"sparsity": sparsity, "seed": request.seed}))
        return dense_counterpart(config) if request.purpose == "dense" else config


def name_of(request: Request) -> str:
    """Such as `p0.9800-c0.9500-s1002`, or `static-p0.9800-c0.9500-s1002`; the dense arm's are `dense-s3`."""
    if request.purpose == "dense":
        return f"dense-s{request.seed}"
    method = "" if request.method is None else re.sub(r"[^\w.]+", "-", request.method) + "-"
    return f"{method}p{request.policy_sparsity:.4f}-c{request.critic_sparsity:.4f}-s{request.seed}"


class Requests:
    """Which request a name is of."""

    def __init__(self, pairs: Iterable[Pair], methods: Iterable[str | None] = (None,)) -> None:
        purposes: tuple[Purpose, ...] = ("search", "confirm")
        arms = [Request(*DENSE_PAIR, 0, "dense")]
        arms += [
            Request(*pair, FIRST_SEED[purpose], purpose, method)
            for method, pair, purpose in product(methods, list(pairs), purposes)
        ]
        self._arms = {(_stem(name_of(arm)), arm.purpose == "confirm"): arm for arm in arms}

    def of(self, name: str) -> Iterator[Request]:
        """Yields the one, or none."""
        seed = SEED.search(name)
        if seed is not None:
            number = int(seed[1])
            arm = self._arms.get((_stem(name), _stem(name) != "dense" and number >= FIRST_SEED["confirm"]))
            if arm is not None:
                yield arm._replace(seed=number)


def _stem(name: str) -> str:
    return SEED.sub("", name)
