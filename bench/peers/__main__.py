"""``python -m bench.peers NAME OLD NEW``: one peer, in a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path

NAMES = (
    "sql-naive",
    "sql-tuned",
    "sql-unsafe",
    "row-by-row",
    "sqlalchemy",
    "pandas",
    "prisma-create",
    "prisma-many",
    "limit",
)


def main() -> None:
    """Run one peer; ``limit`` takes a finished target in place of the old database."""
    if len(sys.argv) != 4 or sys.argv[1] not in NAMES:
        raise SystemExit(f"usage: python -m bench.peers {{{','.join(NAMES)}}} OLD NEW")
    if Path(sys.argv[3]).exists():
        raise SystemExit(f"{sys.argv[3]} exists already")
    run(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))


def run(name: str, old: Path, new: Path) -> None:
    """One peer; what it does not need is not imported, for its start is timed too."""
    match name:
        case "row-by-row":
            from bench.peers import row_by_row

            row_by_row.migrate(old, new)
        case "sqlalchemy":
            from bench.peers import orm

            orm.migrate(old, new)
        case "pandas":
            from bench.peers import dataframes

            dataframes.migrate(old, new)
        case "prisma-create" | "prisma-many":
            from bench.peers import prisma_script

            prisma_script.migrate(old, new, many=name == "prisma-many")
        case _:
            from bench.peers import sql

            sql.PEERS[name](old, new)


if __name__ == "__main__":
    main()
