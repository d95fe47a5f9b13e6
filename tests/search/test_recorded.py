"""What a search forecast while it ran, against what followed: on the demonstration as it was recorded."""

from __future__ import annotations

import json
from pathlib import Path

from rlx2_ray import config as configuration
from rlx2_ray.search.ledger import Request
from rlx2_ray.search.search import Search
from rlx2_ray.sweep.compression.problem import Problem
from rlx2_ray.sweep.description.files import parse_compress
from rlx2_ray.types import Spaces

ROOT = Path(__file__).parents[2]
RECORDED = json.loads((Path(__file__).parent / "data/inverted_pendulum.json").read_text())
TOLD = [(Request(*request), score) for *request, score in RECORDED["told"]]
AT_A_TIME = 2  # runs of the demonstration on the two cores of its record


def demonstration(spaces: Spaces) -> Search:
    problem = Problem(parse_compress(configuration.load(ROOT / "tune_configs/compress_inverted_pendulum.yaml")))
    return problem.make_search(RECORDED["random"], AT_A_TIME, (), problem.size_of(spaces))


def test_runs_that_remain_come_true_once_the_dense_arm_is_known() -> None:
    search, under_way = demonstration(Spaces(4, 1, (-3.0,), (3.0,))), set[Request]()
    for number, (request, score) in enumerate(TOLD):
        while len(under_way) < AT_A_TIME and (asked := search.ask()) is not None:
            under_way.add(asked)
        under_way.remove(request)
        search.tell(request, score)
        followed = len(TOLD) - number - 1
        if number + 1 >= search.options.dense_seeds:
            assert abs(search.remaining() - followed) <= max(5, 0.25 * followed)
    assert search.is_finished
    ultimate = search.ultimate()
    assert ultimate is not None
    assert (ultimate.verdict, ultimate.pair) == (
        "accept",
        max(request[:2] for request, _ in TOLD if request.seed >= 1000),
    )
