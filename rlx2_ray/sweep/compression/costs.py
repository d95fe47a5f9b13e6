"""What the networks of a compression cost by its objective: weights, bytes as C, or microseconds of an action.

Of a network whose runs have ended it is what their finished policies take, in the mean; before that a forecast from
the planned layers, which leaves nothing out that will not matter in the end, and is said to be one. By forecasts a
search orders the networks of a method; methods are compared by what was measured.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from functools import cache, cached_property, partial
from pathlib import Path

import numpy as np

from rlx2_ray.config import ExperimentConfig
from rlx2_ray.footprint.chip_costs import estimate
from rlx2_ray.footprint.compact import compact
from rlx2_ray.footprint.tables import Tables, encode
from rlx2_ray.networks.policy import DenseLayer
from rlx2_ray.networks.policy_file import load_policy
from rlx2_ray.report.record.record import PolicyCost
from rlx2_ray.runs.directory import RunDirectory
from rlx2_ray.search.decision import Decision, Pair
from rlx2_ray.search.ledger import Request, Tell, is_run_of
from rlx2_ray.search.search import Size
from rlx2_ray.sparse.circulant import largest_groups, shared
from rlx2_ray.sparse.plan import NetworkPlan, plan_agent
from rlx2_ray.sweep.compression.planner import name_of
from rlx2_ray.sweep.compression.problem import Problem
from rlx2_ray.types import BadInput, Floats, Spaces


class Costs:
    def __init__(self, problem: Problem, spaces: Spaces, trials: Path) -> None:
        """`trials`: holds the run directories."""
        self._problem = problem
        self._spaces = spaces
        self._trials = trials
        self._objective = problem.section.objective
        self._size_of = cache(partial(problem.size_of, spaces))
        self._forecast = cache(self._forecast_of)
        self._measured: dict[Request, float] = {}

    def size_of(self, method: str | None) -> Size:
        """The part of dense that a network costs by the objective, as far as it is known before any run."""
        if self._objective == "weights":
            return self._size_of(method)
        return lambda pair: self._forecast(method, pair) / self._dense

    def size_ratio(self, decision: Decision) -> float:
        """The part of the dense weights."""
        return self._size_of(decision.method)(decision.pair)

    def value(self, decision: Decision, tells: Iterable[Tell]) -> float:
        """Returns what networks of all methods are compared by."""
        cost = self.of(decision, tells)
        return self.size_ratio(decision) if cost is None else cost.value

    def of(self, decision: Decision, tells: Iterable[Tell]) -> PolicyCost | None:
        """Returns the cost of a network whose runs are among `tells`; None where the objective is weights."""
        if self._objective == "weights":
            return None
        own = [tell.request for tell in tells if is_run_of(tell, decision.method, decision.pair)]
        found = [cost for request in own if (cost := self._of_run(request)) is not None]
        forecast = self._forecast(decision.method, decision.pair)
        chip = self._problem.section.core if self._objective == "latency" else None
        return PolicyCost(self._objective, statistics.fmean(found or [forecast]), self._dense, len(found), chip)

    @cached_property
    def _dense(self) -> float:
        """Which training does not change."""
        return self._planned_cost(self._problem.dense)

    def _of_run(self, request: Request) -> float | None:
        """Returns None where there is no policy, or none that can be read."""
        if request not in self._measured:
            try:
                policy = load_policy(RunDirectory(self._trials / name_of(request)).policy_file)
            except (BadInput, OSError):
                return None
            network = compact(policy.layers, policy.spaces.action_size)
            self._measured[request] = self._of_network(network, policy.normalization is not None)
        return self._measured[request]

    def _forecast_of(self, method: str | None, pair: Pair) -> float:
        config = self._problem.config(method, pair)
        if config.sparsity.distribution == "units":  # which ends as narrow layers
            sparsity = config.sparsity.model_copy(update={"distribution": "narrow"})
            config = config.model_copy(update={"sparsity": sparsity})
        return self._planned_cost(config)

    def _planned_cost(self, config: ExperimentConfig) -> float:
        plan = plan_agent(config, self._spaces.observation_size, self._spaces.action_size).policy
        return self._of_network(_planned(plan, self._spaces.action_size), config.agent.normalize_observations)

    def _of_network(self, network: Sequence[DenseLayer], is_normalized: bool) -> float:
        tables = [encode(layer, None) for layer in network]
        size = sum(each.bytes for each in tables)
        return float(size) if self._objective == "bytes" else self._microseconds(tables, size, is_normalized)

    def _microseconds(self, tables: Sequence[Tables], size: int, is_normalized: bool) -> float:
        chips = estimate(tables, size, is_normalized)
        chip = next(chip for chip in chips if chip.core == self._problem.section.core)
        return chip.instructions / chip.mhz


def _planned(plan: NetworkPlan, outputs: int) -> list[DenseLayer]:
    """Layers with as many weights as planned, anywhere; the last with the first `outputs` outputs."""
    generator = np.random.default_rng(0)
    weights: list[Floats] = []
    for layer in plan.layers:
        drawn = shared(generator.random(layer.shape, np.float32), layer.block)
        mask = largest_groups(drawn, np.ones(layer.shape, np.bool_), layer.active, layer.block)
        weights.append(mask.astype(np.float32))
    weights[-1] = weights[-1][:outputs]
    block = plan.layers[0].block
    return [DenseLayer(matrix, np.zeros(len(matrix), np.float32), block) for matrix in weights]
