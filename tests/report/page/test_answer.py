"""The answer: the first sentence of report and dashboard, from tables made by hand."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rlx2_ray.report.page.answer import answer, more_seeds
from rlx2_ray.report.record.file import parse_content, to_content
from rlx2_ray.report.record.record import (
    DenseArm,
    DenseByOther,
    DenseSeed,
    PolicyCost,
    RatioByOther,
    Record,
    SizedDecision,
    Ultimate,
)
from tests.support.sweeps import sweep, write_directory

SEEDS = tuple(DenseSeed(seed, 100.0, (), cached=seed < 4) for seed in range(16))
DENSE = DenseArm(SEEDS, 100.0, (97.0, 103.0), 0.0, DenseByOther("final", 95.0, (90.0, 99.0)))
BY_FINAL = RatioByOther("final", (98.0,) * 8, 0.982, (0.91, 1.04), 0.64)


def decision(verdict: Any, probability: float, ratio: float = 1.01, **changes: Any) -> SizedDecision:
    interval = changes.pop("interval", (0.97, 1.04))
    made = SizedDecision(0.98, 0.95, (101.0,) * 8, ratio, interval, probability, verdict, 8, 1 / 12.3, 12.3)
    return replace(made, other=BY_FINAL, **changes)


def record(*decisions: SizedDecision, state: str = "finished", **changes: Any) -> Record:
    protocol = {"threshold": 0.97, "score": "deployed", "min_sparsity": 0.5}
    known: dict[str, Any] = {"dense": DENSE, "decisions": decisions, "runs": 50, "protocol": protocol}
    return Record("compress", "hopper", state, **{**known, **changes})


def test_accepted_network_with_all_that_makes_the_sentence_true() -> None:
    assert answer(record(decision("accept", 0.97))) == (
        "hopper: the smallest network found to keep the return is 12.3 times smaller than dense (policy 98 %, critics "
        "95 % sparse). Its deployed policy keeps 101.0 % [97.0 %, 104.0 %] of the dense agents' return, at least 97 % "
        "with probability .97, by 8 seeds against 16 dense ones. By the final score it keeps 98.2 % [91.0 %, 104.0 %], "
        "probability .64. To be surer: 'rlx2 resume hopper --max-runs 70 --set compress.max_seeds=16 --set "
        "compress.max_dense_seeds=32 --set compress.accept=0.99'."
    )


@pytest.mark.parametrize(
    ("cost", "words"),
    [
        (PolicyCost("bytes", 7464.0, 278620.0, 12), "the smallest network found to keep the return is 7,464 bytes "
         "as C, 37.3 times fewer than dense (static; policy 98 %, critics 95 % sparse). "),
        (PolicyCost("latency", 84.7, 2109.0, 0, "Cortex-M4F"), "the fastest network found to keep the return is 84.7 "
         "µs an action on a Cortex-M4F, 24.9 times less than dense, as forecast from its structure (static; policy "
         "98 %, critics 95 % sparse). "),
    ],
)  # fmt: skip
def test_cheapest_network_of_several_methods(cost: PolicyCost, words: str) -> None:
    """Of what it costs, not of the greatest compression."""
    protocol = {"threshold": 0.97, "objective": cost.objective, "methods": [{"method": "rlx2"}, {"method": "static"}]}
    dearer = replace(cost, value=2 * cost.value)
    decisions = (
        decision("accept", 0.97, method="rlx2", cost=dearer, size_ratio=0.01, compression=100.0),
        decision("accept", 0.97, method="static", cost=cost),
    )
    made = record(*decisions, protocol=protocol)
    assert words in answer(made)
    assert parse_content(to_content(made)).decisions == decisions


@pytest.mark.parametrize("protocol", [{"objective": "nothing"}, {"methods": 3}, {"methods": ["rlx2"]}])
def test_other_protocol_is_no_record(protocol: dict[str, Any]) -> None:
    content = to_content(record(decision("accept", 0.97)))
    with pytest.raises(ValueError, match="protocol"):
        parse_content({**content, "protocol": protocol})


def test_network_that_all_runs_together_accept() -> None:
    """Own seeds, and what all 50 runs make of them; twice as many, known ones left out, would tell more."""
    by_all = decision("accept", 0.97, basis="posterior", own_probability=0.8, fresh=4, surprise=0.4)
    assert answer(record(by_all)) == (
        "hopper: the smallest network found to keep the return is 12.3 times smaller than dense (policy 98 %, critics "
        "95 % sparse). Its deployed policy keeps 101.0 % [97.0 %, 104.0 %] of the dense agents' return by its own 8 "
        "seeds against 16 dense ones, and at least 97 % with probability .97 by all 50 runs together. By the final "
        "score it keeps 98.2 % [91.0 %, 104.0 %], probability .64. To be surer: 'rlx2 resume hopper --max-runs 92 "
        "--set compress.max_dense_seeds=32 --set compress.accept=0.99'."
    )


@pytest.mark.parametrize(
    ("verdict", "probability", "fresh", "words"),
    [
        ("inconclusive", 0.998, 2, "over .99 by all 50 runs together. It is inconclusive for all that: 2 seeds that"),
        ("inconclusive", 0.01, 1, "It is inconclusive for all that: 1 seed that had no part in choosing it is too few"),
        ("inconclusive", 0.6, 2, None),
        ("accept", 0.998, 4, None),
    ],
)
def test_verdict_that_its_probability_alone_would_not_give_is_explained(
    verdict: str, probability: float, fresh: int, words: str | None
) -> None:
    said = answer(record(decision(verdict, probability, basis="posterior", own_probability=0.8, fresh=fresh)))
    assert words in said if words else "for all that" not in said


def test_fresh_seeds_that_contradict_all_others_are_said_to() -> None:
    alone = decision("accept", 0.97, own_probability=0.97, fresh=8, surprise=0.01)
    assert "These fresh seeds alone decide: all other runs together had promised more of it." in answer(record(alone))


def test_numbers_of_the_command_follow_from_the_runs() -> None:
    """50 runs, 4 of them known from before and free; 8 seeds and 16 dense ones more."""
    assert "--max-runs 70 " in answer(record(decision("accept", 0.97)))
    assert 50 - 4 + 8 + 16 == 70


def test_what_is_sure_asks_for_nothing() -> None:
    assert answer(record(decision("accept", 0.995))).endswith("probability .64.")


def test_smallest_of_those_accepted_is_named() -> None:
    larger = decision("accept", 0.97, policy_sparsity=0.9, size_ratio=0.2, compression=5.0)
    assert "is 12.3 times smaller" in answer(record(larger, decision("accept", 0.95)))


def test_candidate_is_not_called_found() -> None:
    found = answer(record(decision("inconclusive", 0.6)))
    assert "none of" not in found
    assert found.startswith(
        "hopper: the one network that was tried is not known to keep 97 % of the dense agents' return"
    )
    chosen = Ultimate(**vars(decision("inconclusive", 0.6)), trial="p")
    named = answer(record(chosen, ultimate=chosen))
    assert named.startswith(
        "hopper: no network is sure to keep the return yet. The best candidate is 12.3 times smaller"
    )
    assert "12.3 times smaller" in found
    assert "compress.accept" not in found, "a command that asks for no more certainty than before"
    assert "To be surer: 'rlx2 resume hopper --max-runs" in found


def test_score_that_runs_lack_is_said_to_be_unknown() -> None:
    unknown = replace(decision("accept", 0.995), other=None)
    assert answer(record(unknown)).endswith("By the final score it is not known, since runs that this takes have none.")


def test_nothing_that_was_tried_keeps_it() -> None:
    worse = decision("reject", 0.001, 0.5)
    assert "To try denser ones: 'rlx2 resume hopper --max-runs 100'." in answer(record(worse))
    densest = replace(worse, policy_sparsity=0.5, critic_sparsity=0.5)
    assert answer(record(densest)).endswith(
        "'rlx2 compress hopper/sweep.yaml --set compress.min_sparsity=0.25 --out hopper-denser'."
    )
    assert "none of the 2 networks tried is known to keep 97 %" in answer(record(worse, densest))


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (record(state="running", dense=None), "hopper: nothing is known yet, the dense arm is being measured."),
        (record(state="interrupted", dense=None), "'rlx2 resume hopper' goes on."),
        (record(decision("accept", 0.97), state="running"), "hopper: the smallest network found so far to keep"),
        (record(decision("accept", 0.97), state="interrupted"), "probability .64. 'rlx2 resume hopper' goes on."),
        (record(), "no network was tried enough to say whether it would keep 97 % of the dense agents' return."),
    ],
)
def test_unfinished_work_says_how_far_it_is(made: Record, words: str) -> None:
    assert words in answer(made)


def test_nobody_is_told_to_type_a_command_while_it_works() -> None:
    assert "rlx2" not in answer(record(decision("accept", 0.97), state="running"))


@pytest.mark.parametrize(
    ("ratio", "width", "factor"), [(0.98, 0.2, 4), (1.05, 0.2, 2), (0.97, 0.01, 4), (1.0, 0.1, 2), (0.99, 0.09, 4)]
)
def test_as_many_more_seeds_as_the_interval_needs(ratio: float, width: float, factor: int) -> None:
    """Its width falls with the root of the seeds: z standard errors have to fit between ratio and threshold."""
    assert more_seeds(ratio, (ratio - width / 2, ratio + width / 2), 0.97) == factor
    assert more_seeds(ratio, None, 0.97) == 4


@pytest.mark.parametrize("fixture", ["search", "played", "running", "grid"])
def test_one_line_that_any_page_can_show(fixture: str, request: pytest.FixtureRequest) -> None:
    text = answer(request.getfixturevalue(fixture))
    assert "\n" not in text
    assert text[-1] == "."
    assert re.search(r"probability (\.\d\d|over \.99)", text)


# Sweeps


def test_sweep_names_the_best_and_the_next_and_how_sure_that_is(grid: Record) -> None:
    found = answer(grid)
    assert re.match(
        r"Hopper-v5 with TD3: the best of 6 arms is policy 50 %, n_step 3, with score 2796\.9 \[2600\.9, 2993\] "
        r"\(interquartile mean of 2 seeds\), 88\.88 above the next, policy 90 %, n_step 3, and better with probability "
        r"\.\d\d; the deployed score is not known of all runs\. To be surer: 4 seeds of both\.$",
        found,
    )


def test_sweep_whose_first_two_are_equal_says_so(grid: Record) -> None:
    equal = tuple(trial._replace(score=50.0) for trial in grid.trials)
    found = answer(replace(grid, trials=equal))
    assert ", which the next, policy 50 %, n_step 3, has too" in found
    assert " 0 above" not in found


def test_sweep_says_which_is_best_by_the_other_score(tmp_path: Path) -> None:
    """Turned round, the worst by one score is the best by the other."""
    content, trials = sweep()
    turned = [trial._replace(deployed=5000.0 - (trial.score or 0)) for trial in trials]
    from rlx2_ray.report.record.directory import read_directory

    made = read_directory(write_directory(tmp_path / "sweep", content, turned))
    assert "; by the deployed score policy 99 %, n_step 1 is the best with 3422" in answer(made)
    by_deployed = answer(replace(made, metric="deployed"))
    assert "the best of 6 arms is policy 99 %, n_step 1, with deployed score 3422" in by_deployed
    assert "; by the final score policy 50 %, n_step 3 is the best with 2796.9" in by_deployed


def test_sweep_with_seeds_of_its_own_has_a_command(grid: Record) -> None:
    made = replace(grid, config={"tune": {"seeds": 2}}, source="")
    assert answer(made).endswith(
        "To be surer: 'rlx2 sweep delay/sweep.yaml --set tune.seeds=4 --out delay-more', twice as many seeds."
    )
