"""What commands print on standard output: tables for people, or one JSON object as the last line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import typer


def print_json(content: Mapping[str, Any]) -> None:
    typer.echo(json.dumps(dict(content)))


def print_table(title: str, headings: list[str], rows: list[list[str]]) -> None:
    """Print a table whose first column is text and whose others are numbers."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if index else "left", overflow="fold")  # nothing is cut off
    for row in rows:
        table.add_row(*row)
    Console().print(table)
