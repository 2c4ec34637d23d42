"""What a target asks of its rows that the built-in schema does not: its own CHECKs and indexes.

Prisma's schema cannot say these, so platforms add them by hand.  Rows are loaded with them set
aside, and are held against them before anything is published (contract section 2).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from person_unify.errors import DatabaseError, DatabaseLocked, DiskError, TargetError
from person_unify.files.database import Database
from person_unify.schema import quote

_TOKEN = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|--[^\n]*|/\*.*?\*/|\w+|\s+|.""",
    re.DOTALL,
)
_ORDER = re.compile(r"\s+(asc|desc)\s*$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Demand:
    """A CHECK, or an index that is partial or over expressions.

    name: the constraint's or the index's, else the CHECK itself.  index: the statement that makes
    the index.  broken: the query that counts the rows in its way; None where no row can be.
    """

    table: str
    name: str
    broken: str | None
    index: str | None = None


def demands(database: Database) -> list[Demand]:
    """What the tables of a target that hold no row ask of their rows."""
    empty = {
        name: sql
        for name, sql in database.rows(
            "SELECT name, sql FROM sqlite_master WHERE type = 'table' "
            "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND sql NOT LIKE 'CREATE VIRTUAL TABLE%'"
        )
        if not database.value(f"SELECT EXISTS (SELECT 1 FROM {quote(name)} NOT INDEXED)")
    }
    found = [demand for name, sql in empty.items() for demand in _checks(name, sql)]
    for table, index, unique, sql in database.rows(
        'SELECT m.name, i.name, i."unique", s.sql FROM sqlite_master AS m, '
        "pragma_index_list(m.name) AS i, sqlite_master AS s WHERE m.type = 'table' "
        "AND s.type = 'index' AND s.name = i.name AND s.sql IS NOT NULL AND (i.partial OR EXISTS "
        "(SELECT 1 FROM pragma_index_xinfo(i.name) AS c WHERE c.key AND c.name IS NULL)) "
        "ORDER BY s.rowid"
    ):
        if table in empty:
            found.append(Demand(table, index, _doubles(table, sql) if unique else None, sql))
    return found


def set_aside(database: Database, asked: Sequence[Demand]) -> None:
    """Let rows in that break what a target asks, until :func:`put_back`."""
    database.execute("PRAGMA ignore_check_constraints = ON")
    for demand in asked:
        if demand.index is not None:
            database.execute(f"DROP INDEX {quote(demand.name)}")


def put_back(database: Database, asked: Sequence[Demand]) -> None:
    """Ask it of the rows after all; raises :class:`TargetError` that names all that break it."""
    problems = []
    for demand in asked:
        try:
            rows = 0 if demand.broken is None else int(database.value(demand.broken))
            if rows:
                said = "1 row breaks" if rows == 1 else f"{rows:,} rows break"
                problems.append(f"{said} {demand.name} of {demand.table}")
            elif demand.index is not None:
                database.execute(demand.index)
        except (DiskError, DatabaseLocked):
            raise
        except DatabaseError as error:
            problems.append(f"{demand.name} of {demand.table} cannot be judged ({error})")
    if problems:
        raise TargetError(
            f"the target asks more of its rows than the old database keeps: {'; '.join(problems)}. "
            "Nothing was published: mend those rows in a copy of the old database, or migrate into "
            "a target without the rule"
        )
    database.execute("PRAGMA ignore_check_constraints = OFF")


def _checks(table: str, sql: str) -> Iterator[Demand]:
    """The CHECKs of a CREATE TABLE statement."""
    tokens = _TOKEN.findall(sql)
    words = [n for n, token in enumerate(tokens) if token.strip() and not _is_comment(token)]
    for place, n in enumerate(words):
        if tokens[n].lower() != "check" or place + 1 == len(words):
            continue
        expression = _within(tokens, words[place + 1])
        before = [tokens[at] for at in words[max(0, place - 2) : place]]
        named = len(before) == 2 and before[0].lower() == "constraint"
        name = _bare(before[1]) if named else f"CHECK ({' '.join(expression.split())})"
        yield Demand(table, name, f"SELECT count(*) FROM {quote(table)} WHERE NOT ({expression}\n)")


def _doubles(table: str, sql: str) -> str:
    """The query that counts the rows that an earlier one leaves no room for in a UNIQUE index."""
    tokens = _TOKEN.findall(sql)
    start = tokens.index("(")
    listed = _within(tokens, start)
    after = "".join(tokens[start:])[len(listed) + 2 :].strip()
    condition = after[len("where") :] if after.lower().startswith("where") else "1"
    parts = [_ORDER.sub("", part) for part in _split(listed)]
    known = " AND ".join(f"({part}) IS NOT NULL" for part in parts)
    return (
        f"SELECT coalesce(sum(n - 1), 0) FROM (SELECT count(*) AS n FROM {quote(table)} "
        f"WHERE ({condition}\n) AND {known} GROUP BY {', '.join(parts)})"
    )


def _within(tokens: Sequence[str], start: int) -> str:
    """What stands between the parenthesis at ``start`` and its partner."""
    depth = 0
    for end in range(start, len(tokens)):
        depth += {"(": 1, ")": -1}.get(tokens[end], 0)
        if depth == 0:
            return "".join(tokens[start + 1 : end])
    return ""


def _split(listed: str) -> list[str]:
    """The parts of a list, at its own commas."""
    parts, depth = [""], 0
    for token in _TOKEN.findall(listed):
        depth += {"(": 1, ")": -1}.get(token, 0)
        if token == "," and depth == 0:
            parts.append("")
        elif not _is_comment(token):
            parts[-1] += token
    return [part.strip() for part in parts]


def _is_comment(token: str) -> bool:
    return token.startswith(("--", "/*"))


def _bare(name: str) -> str:
    """A name as it is written, without its quotes."""
    return name[1:-1] if name[0] in "\"`['" else name
