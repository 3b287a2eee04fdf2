from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure. `limit` is what was promised in words, `ok` whether it held."""

    what: str
    figure: str
    limit: str = ""
    ratio: str = ""
    ok: bool = True


def show(rows: Sequence[Row]) -> None:
    table = Table(title="Benchmarks")
    for heading in ("what", "figure", "ratio", "promised", "held"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(row.what, row.figure, row.ratio, row.limit, "yes" if row.ok else "NO")
    Console(highlight=False, width=150).print(table)
