"""The tables of arms and pairs as LaTeX, for a document that uses booktabs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rlx2_ray.report.analysis.arms import by_task
from rlx2_ray.report.page.arm_tables import CAPTION, PAIRS_CAPTION, pair_tables, standing_table
from rlx2_ray.report.page.held import CAPTION as HELD_CAPTION
from rlx2_ray.report.page.held import held_table
from rlx2_ray.report.page.page import write_page
from rlx2_ray.report.page.tables import Table
from rlx2_ray.report.record.record import Record

SPECIAL = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}", "≥": r"$\geq$", "\n": " "},
}


def write_latex(records: Sequence[Record], path: Path) -> list[Path]:
    """Writes tabulars of the arms, of what they hold to the end, and of the pairs, for each task; returns the file."""
    parts = ["% \\usepackage{booktabs}"]
    for record in records:
        parts += [f"% {escape(record.name)}. {escape(CAPTION)}", _tabular(standing_table(record))]
        parts += [f"% {escape(HELD_CAPTION)}\n{_tabular(held_table(part))}" for part in by_task(record)]
        parts += [f"% {escape(PAIRS_CAPTION)}\n{_tabular(table)}" for table in pair_tables(record)]
    return [write_page(path, "\n\n".join(parts) + "\n")]


def escape(text: str) -> str:
    """Returns the text as LaTeX shows it."""
    return "".join(SPECIAL.get(character, character) for character in text)


def _tabular(table: Table) -> str:
    columns = "l" * table.texts + "r" * (len(table.headings) - table.texts)
    lines = [_line(table.headings), r"\midrule", *map(_line, table.rows)]
    return "\n".join([rf"\begin{{tabular}}{{{columns}}}", r"\toprule", *lines, r"\bottomrule", r"\end{tabular}"])


def _line(cells: Sequence[str]) -> str:
    return " & ".join(map(escape, cells)) + r" \\"
