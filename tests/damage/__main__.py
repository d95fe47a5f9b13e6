"""`python -m tests.damage --cases 300`: many cases of damage, each with a line, and which of them were not good."""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path

import typer

from tests.damage.cases import Case, Harness


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=300, help="so many (default 300)")
    parser.add_argument("--first", type=int, default=0, help="number of the first, such as one that was not good")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rlx2-damage-") as folder:
        harness, cases = Harness(Path(folder)), []
        for number in range(arguments.first, arguments.first + arguments.cases):
            cases.append(harness.run(number))
            typer.echo(str(cases[-1]))
    return summarize(cases)


def summarize(cases: list[Case]) -> int:
    """Returns the exit code."""
    bad = [case.number for case in cases if case.fault]
    complete = Counter(case.code == 0 for case in cases if not case.fault)
    kinds = {(case.campaign, case.file.rpartition("/")[2], case.damage) for case in cases}
    typer.echo(
        f"{len(cases)} cases of {len(kinds)} kinds: {complete[True]} complete and equal, {complete[False]} said which "
        f"file it is, {len(bad)} not good{': ' if bad else ''}{', '.join(map(str, bad))}"
    )
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
