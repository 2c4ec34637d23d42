"""The ledger of an earlier run, whose ids a run keeps: checked as a whole before one is used.

It is a file that travels and may be edited.  What a run writes is known: every map names each old
record once, ids are canonical UUIDs, and one id names records of one table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from person_unify.errors import DatabaseError, DatabaseLocked, TargetError
from person_unify.evidence.finished import run_record
from person_unify.files import locks
from person_unify.files.database import Database
from person_unify.mappings import COLLISIONS, ID_MAPS, MAP_KEYS, TAGS
from person_unify.schema import quote

MOST_BYTES = 2_000_000_000
"""Of the texts of one map: about 25 million records."""
_UUID = "^[0-9a-f]{8}-[0-9a-f]{4}-[47][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
_ONE_TO_ONE = ("patient_to_person", "patient_to_view", "consent_to_grant", COLLISIONS)
_FILLS = {name: target for (_, target), name in ID_MAPS.items()} | {TAGS: "tags"}


@dataclass(frozen=True, slots=True)
class Earlier:
    """The run whose ids are kept; without a ledger none are.

    digest: SHA-256 of the ledger.  maps: id map -> its columns; tables of collisions by their
    usual names.
    """

    ledger: Path | None = None
    digest: str | None = None
    maps: Mapping[str, pl.DataFrame] = field(default_factory=dict)

    def recorded(self) -> dict[str, str]:
        """The ledger's digest as it stands in report and ledger of the new run."""
        return {} if self.digest is None else {"ids_from": self.digest}

    def require_unchanged(self) -> None:
        """Refuse a ledger that somebody wrote to while it was read; :class:`TargetError`."""
        if self.ledger is not None and locks.sha256(self.ledger) != self.digest:
            raise TargetError(
                f"{self.ledger} has changed while ids were taken from it: close whatever writes "
                "to it, and run again"
            )


def read_earlier(ledger: Path | None) -> Earlier:
    """Read and check the id maps of a ledger; raises :class:`TargetError` for any other file."""
    if ledger is None:
        return Earlier()
    if not ledger.is_file():
        raise TargetError(f"{ledger} is not a file: give the ledger of an earlier run")
    try:
        digest = locks.sha256(ledger)
        with Database(ledger, read_only=True) as database:
            database.execute("BEGIN")  # one state of the file
            run_record(database, ledger, "main")
            maps = dict(_maps(database, ledger))
    except DatabaseLocked:
        raise
    except OSError as error:
        raise TargetError(f"{ledger} cannot be read: {error.strerror}") from error
    except DatabaseError as error:
        raise TargetError(f"{ledger} is no ledger, or is damaged: {error}") from error
    problem = next(_problems(maps), None)
    if problem is not None:
        raise _edited(ledger, problem)
    earlier = Earlier(ledger, digest, maps)
    earlier.require_unchanged()
    return earlier


def _edited(ledger: Path, problem: str) -> TargetError:
    return TargetError(
        f"{ledger} {problem}, which no run writes: it was edited or damaged, and no id is taken "
        "from it; give the ledger as its run left it"
    )


def _maps(database: Database, ledger: Path) -> Iterator[tuple[str, pl.DataFrame]]:
    """The id maps that the ledger has, as texts."""
    there = {
        str(name) for (name,) in database.rows("SELECT name FROM sqlite_master WHERE type='table'")
    }
    for name, key in MAP_KEYS.items():
        if name not in there:
            continue
        columns = (*key, "new_id")
        cells = [quote(column) for column in columns]
        size = " + ".join(f"coalesce(octet_length({cell}), 0)" for cell in cells)
        # Only a tag may be missing.
        strange = " OR ".join(
            f"typeof({quote(c)}) NOT IN ('text', '{'null' if c == 'tag' else 'text'}')"
            for c in columns
        )
        size, strange = database.rows(
            f"SELECT coalesce(sum({size}), 0), coalesce(sum({strange}), 0) FROM {name} NOT INDEXED"
        )[0]
        if strange or size > MOST_BYTES:
            what = f"{strange} rows without a text" if strange else f"{size:,} bytes"
            raise _edited(ledger, f"has {what} in {name}")
        literals = ", ".join("''" for _ in columns)
        frame = database.frame(
            f"SELECT {literals} UNION ALL SELECT {', '.join(cells)} FROM {name} NOT INDEXED"
        )[1:]
        frame.columns = list(columns)
        if name == COLLISIONS:
            frame = frame.with_columns(pl.col("source_table").str.to_lowercase())
        yield name, frame


def _problems(maps: Mapping[str, pl.DataFrame]) -> Iterator[str]:
    """What is wrong with the maps, as the middle of a sentence."""
    fills: dict[str, list[pl.Series]] = {}
    for name, frame in maps.items():
        new = frame["new_id"]
        repeated = frame.select(MAP_KEYS[name]).is_duplicated().sum()
        if repeated:
            yield f"names {repeated} old records twice in {name}"
        wrong = (~new.str.contains(_UUID)).sum()
        if wrong:
            yield f"has {wrong} ids in {name} that are no UUIDs of version 4 or 7"
        shared = new.len() - new.n_unique() if name in _ONE_TO_ONE else 0
        if shared:
            yield f"gives {shared} ids to several records in {name}"
        fills.setdefault(_FILLS.get(name, name), []).append(new)
    every = pl.concat([pl.concat(each).unique() for each in fills.values()])
    if every.n_unique() < every.len():
        yield f"has {every.len() - every.n_unique()} ids that stand in several tables"
