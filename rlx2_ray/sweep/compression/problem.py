"""What a compression searches: the networks that come into question, their sizes, and the search over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rlx2_ray.config import ExperimentConfig, Tree, resolve
from rlx2_ray.report.analysis.arms import method_label
from rlx2_ray.report.record.configs import flat
from rlx2_ray.report.record.record import method_keys
from rlx2_ray.search import levels
from rlx2_ray.search.decision import Decision, Pair, Rule
from rlx2_ray.search.ledger import DENSE_PAIR, Request
from rlx2_ray.search.methods import Methods, MethodSearch
from rlx2_ray.search.networks import line_networks, plane_networks
from rlx2_ray.search.options import PLANE_RUNS, Options
from rlx2_ray.search.search import Search, Size
from rlx2_ray.sparse.costs import relative_costs
from rlx2_ray.sparse.plan import plan_agent
from rlx2_ray.sweep.compression.planner import CompressPlanner
from rlx2_ray.sweep.description.compress_section import CompressSection
from rlx2_ray.sweep.description.files import CompressDescription
from rlx2_ray.sweep.description.methods import config_of
from rlx2_ray.types import BadInput, Spaces


class Problem:
    def __init__(self, description: CompressDescription) -> None:
        """Raises BadInput where the levels are no grid."""
        self.section: CompressSection = description.compress
        self.levels = _levels(self.section)
        self.pairs = _pairs(self.section, self.levels)
        is_plane = self.section.axis == "both"
        networks = plane_networks(self.levels, self.levels, Rule()).pairs if is_plane else self.pairs
        self.methods = _methods(description)
        self.planner = CompressPlanner(description.config, networks, self.methods)
        self.dense = self.planner.config(Request(*DENSE_PAIR, 0, "dense"))
        self.densest = {method: self.config(method, self.pairs[0]) for method in self.methods}
        first = next(iter(self.methods))
        self.middle = self.config(first, self.pairs[len(self.pairs) // 2])  # where the search begins

    def check(self, spaces: Spaces) -> None:
        """Raises BadInput where the sparsest networks have a layer without weights."""
        for method in self.methods:
            self._check(self.size_of(spaces, method))

    def _check(self, size: Size) -> None:
        for level, pair in zip(self.levels, self.pairs, strict=True):
            try:
                size(pair)
            except BadInput:
                raise BadInput(
                    f"compress.max_sparsity is {self.section.max_sparsity}, but at {level} a layer of the network has "
                    "no weight left: lower it, or give network.hidden larger layers."
                ) from None

    @property
    def steps(self) -> int:
        return self.dense.steps

    @property
    def most_runs(self) -> int:
        """Of the search, none being known beforehand."""
        return self._options(0.0, 0).max_runs

    def size_of(self, spaces: Spaces, method: str | None = None) -> Size:
        """Size ratio of a network; `method`: None where there is but one."""

        def size(pair: Pair) -> float:
            config = self.config(method, pair)
            plan = plan_agent(config, spaces.observation_size, spaces.action_size)
            return relative_costs(config, plan).size_ratio

        return size

    def make_search(self, random: float, concurrency: int, known: Sequence[int], size: Size) -> Search:
        """`random`: score of random actions; `known`: seeds of dense runs that are, no part of the budget."""
        return self._search(self._options_with(random, concurrency, known), size)

    def make_methods_search(
        self,
        random: float,
        concurrency: int,
        known: Sequence[int],
        size_of: Callable[[str], Size],
        cost: Callable[[Decision], float],
    ) -> MethodSearch:
        """The same of several methods; `size_of`: of one of them, `cost`: by which networks of all are compared."""
        options = self._options_with(random, concurrency, known)
        names = tuple(name for name in self.methods if name is not None)
        methods = Methods(names, cost, options.max_runs, max(options.dense_seeds, len(known)))
        return MethodSearch(methods, lambda name, most: self._search(options._replace(max_runs=most), size_of(name)))

    def _options_with(self, random: float, concurrency: int, known: Sequence[int]) -> Options:
        return self._options(random, len(known))._replace(concurrency=concurrency, known_dense=tuple(known))

    def _search(self, options: Options, size: Size) -> Search:
        if self.section.axis == "both":
            networks = plane_networks(self.levels, self.levels, options.rule)
        else:
            networks = line_networks(self.pairs, options.rule)
        return Search(networks, options, size)

    def _options(self, random: float, cached: int) -> Options:
        section = self.section
        rule = Rule(section.threshold, section.accept, section.reject, section.statistic, max_seeds=section.max_seeds)
        options = Options(random, rule, max_runs=PLANE_RUNS) if section.axis == "both" else Options(random, rule)
        return options._replace(
            dense_seeds=section.dense_seeds,
            max_dense_seeds=max(section.dense_seeds, section.max_dense_seeds),
            max_runs=self._most_runs(options.max_runs, cached),
        )

    def _most_runs(self, default: int, cached: int) -> int:
        """As the search counts: cached ones too. Room for the dense arm and decisions, whatever the budget."""
        section, methods = self.section, len(self.methods)
        least = max(section.dense_seeds, cached) + Rule().min_seeds * methods
        default += (methods - 1) * (default - section.dense_seeds)
        most = default if section.budget.runs is None else section.budget.runs + cached
        return max(most, least)

    def config(self, method: str | None, pair: Pair) -> ExperimentConfig:
        return self.planner.config(Request(*pair, 0, "search", method))


def _methods(description: CompressDescription) -> dict[str | None, Tree]:
    """What each adds to the configuration, by its name; a single one has none."""
    methods = description.compress.methods or ({},)
    keys = method_keys(methods)
    values = (flat(resolve(config_of(description.config, method))) for method in methods)
    names = [method_label({key: each[key] for key in keys}) for each in values]
    return dict(zip(names, methods, strict=True))


def _levels(section: CompressSection) -> tuple[float, ...]:
    usual = levels.PLANE_LEVELS if section.axis == "both" else levels.LINE_LEVELS
    number = section.levels or usual
    grid = levels.sparsities(number, section.min_sparsity, section.max_sparsity)
    if len({0.0, *grid}) <= number:  # 0 is dense
        raise BadInput(
            f"compress.levels is {number}, but from compress.min_sparsity {section.min_sparsity} to "
            f"compress.max_sparsity {section.max_sparsity} there are not so many: lower it, or move these apart."
        )
    return grid


def _pairs(section: CompressSection, grid: tuple[float, ...]) -> tuple[Pair, ...]:
    """The networks of a 1-D search; of a 2-D one those on the diagonal."""
    if section.axis == "both":
        return tuple((level, level) for level in grid)
    return levels.line(section.axis, grid, section.critic_density_ratio)
