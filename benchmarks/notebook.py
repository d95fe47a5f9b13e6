"""The notebook that opens on its results: its cells are run in this process, and what they show is saved in it.

`python -m benchmarks.notebook` writes examples/compare_and_act.ipynb anew. A kernel is not needed for that, and CI runs
the same cells as a test; whoever opens the notebook runs them in Jupyter as ever.
"""

from __future__ import annotations

import ast
import base64
import io
import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[1] / "examples/compare_and_act.ipynb"
Cell = dict[str, Any]


def run_cells(notebook: Cell) -> list[list[Cell]]:
    """Run all code cells, one after the other; of each the outputs that a notebook would show."""
    names: dict[str, Any] = {}
    return [_outputs("".join(cell["source"]), names) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def _outputs(source: str, names: dict[str, Any]) -> list[Cell]:
    """Of a cell's last line, where it is an expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    if not isinstance(last, ast.Expr):
        return []
    value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    return [{"output_type": "execute_result", "execution_count": None, "metadata": {}, "data": _data(value)}]


def _data(value: Any) -> Cell:
    data: Cell = {"text/plain": repr(value).splitlines(keepends=True)}
    if hasattr(value, "_repr_html_") and (html := value._repr_html_()):
        data["text/html"] = html.splitlines(keepends=True)
    if figure := getattr(value, "figure", None):
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=90, bbox_inches="tight")
        data["image/png"] = base64.b64encode(file.getvalue()).decode()
        data["text/plain"] = ["<Axes>"]
    return data


def main() -> None:
    """Run the cells, and save what they show."""
    notebook = json.loads(FILE.read_text())
    outputs = iter(run_cells(notebook))
    for number, cell in enumerate((each for each in notebook["cells"] if each["cell_type"] == "code"), start=1):
        cell["outputs"], cell["execution_count"] = next(outputs), number
        for each in cell["outputs"]:
            each["execution_count"] = number
    FILE.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
