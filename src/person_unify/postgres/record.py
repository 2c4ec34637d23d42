"""Deliveries as the ledger records them: written before the server's COMMIT, settled after it.

So whatever is killed at whatever moment, the next command can ask the server how it ended.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from person_unify.errors import DatabaseError, ServerError, TargetError
from person_unify.files.database import Database
from person_unify.frames.ledger import TABLES
from person_unify.postgres.address import Address
from person_unify.postgres.server import Server
from person_unify.run.clock import now_ms
from person_unify.schema import literal, quote

PATIENCE = 30.0
"""Seconds to wait for a server that is gone, and for a transaction that it has not ended yet."""

_PAUSE = 0.25
_TABLE = "deliveries"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery: where to, in which of the server's transactions, and what it left.

    server: the cluster's identifier and the database's.  tables: table -> rows and digest.
    outcome: ``begun``, ``committed``, ``aborted`` or ``rolled_back``.
    """

    xid: str
    address: str
    server: str
    schema: str
    started: int
    tables: Mapping[str, tuple[int, str]]
    outcome: str = "begun"


def identity(server: Server) -> str:
    """What tells one cluster and database from another, whatever its host is called."""
    return str(
        server.value(
            "SELECT (SELECT system_identifier FROM pg_control_system()) || '/' || "
            "(SELECT oid FROM pg_database WHERE datname = current_database())"
        )
    )


def digests(server: Server, tables: Mapping[str, object]) -> dict[str, tuple[int, str]]:
    """Rows and a digest of every table, whatever order its rows are in."""
    schema = quote(server.address.schema)
    return {
        table: server.rows(
            "SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)::text "
            f"FROM {schema}.{quote(table)} AS t"
        )[0]
        for table in tables
    }


def filled(server: Server, tables: Iterable[str]) -> list[str]:
    """The tables that hold rows."""
    schema = quote(server.address.schema)
    return [
        table
        for table in tables
        if server.value(f"SELECT EXISTS (SELECT 1 FROM {schema}.{quote(table)})")
    ]


def planned(ledger: Path) -> set[str]:
    """The tables that the run of a ledger had columns to put into."""
    with Database(ledger, read_only=True) as database:
        rows = database.rows("SELECT DISTINCT target_table FROM lineage WHERE target_table > ''")
    return {str(name) for (name,) in rows}


def write(ledger: Path, delivery: Delivery) -> None:
    """Add a delivery to the ledger, which may be of a release that knew none."""
    columns = ", ".join(f"{quote(name)} {type_}" for name, type_ in TABLES[_TABLE].items())
    row = asdict(delivery) | {"tables": json.dumps(dict(delivery.tables), sort_keys=True)}
    with Database(ledger) as database:
        database.execute("BEGIN IMMEDIATE")
        database.execute(f"CREATE TABLE IF NOT EXISTS {_TABLE} ({columns})")
        database.ingest(_TABLE, pl.DataFrame([row]))
        database.execute("COMMIT")


def settled(ledger: Path, delivery: Delivery, outcome: str) -> Delivery:
    """Note how a delivery ended."""
    with Database(ledger) as database:
        database.execute(
            f"UPDATE {_TABLE} SET outcome = {literal(outcome)}, finished = {now_ms()} "
            f"WHERE xid = {literal(delivery.xid)} AND server = {literal(delivery.server)}"
        )
    return replace(delivery, outcome=outcome)


def latest(ledger: Path, server: Server) -> Delivery | None:
    """The last delivery into the server's schema that may have left rows, settled now.

    Raises :class:`TargetError` where the ledger cannot be read.
    """
    try:
        where = (
            f"server = {literal(identity(server))} AND schema = {literal(server.address.schema)}"
        )
        row = _last(ledger, "xid, address, server, schema, started, tables, outcome", where)
    except DatabaseError as error:
        raise TargetError(f"{ledger} is no ledger, or is damaged: {error}") from error
    if row is None:
        return None
    *facts, tables, outcome = row
    try:
        left = {
            str(name): (int(n), str(digest)) for name, (n, digest) in json.loads(tables).items()
        }
    except (ValueError, TypeError, AttributeError) as error:
        raise TargetError(f"{ledger} was changed since its delivery: it is not used") from error
    xid, shown, cluster, schema, started = facts
    delivery = Delivery(xid, shown, cluster, schema, started, left, outcome)
    if outcome == "begun":
        return settled(ledger, delivery, how_it_ended(server.address, delivery))
    return delivery


def stands(ledger: Path, address: Address) -> bool:
    """Whether a ledger knows its latest delivery to this very address to be committed.

    The server is not asked: what a kill left open is settled by :func:`latest`.
    """
    where = f"address = {literal(address.shown)} AND schema = {literal(address.schema)}"
    return _last(ledger, "outcome", where) == ("committed",)


def _last(ledger: Path, columns: str, where: str) -> tuple[Any, ...] | None:
    """Columns of the last delivery of some; None also where a ledger's release knew of none."""
    with Database(ledger, read_only=True) as database:
        there = f"SELECT count(*) FROM sqlite_master WHERE name = '{_TABLE}' AND type = 'table'"
        if not database.value(there):
            return None
        found = database.rows(
            f"SELECT {columns} FROM {_TABLE} WHERE {where} ORDER BY rowid DESC LIMIT 1"
        )
    return found[0] if found else None


def how_it_ended(address: Address, delivery: Delivery, patience: float = PATIENCE) -> str:
    """``committed`` or ``aborted``: what the server itself says of a delivery's transaction.

    Asked by a new connection, again and again for a while, because a server that lost its client
    may not have noticed yet, or may be starting up after a crash.  Raises :class:`ServerError` if
    that is not known after all.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            with Server(address) as server:
                state = _state(server, delivery)
        except ServerError as error:
            if not error.lost or time.monotonic() >= deadline:
                raise ServerError(
                    f"{error}; whether the delivery was committed is not known: give the same "
                    "command again once the server is back, which finds out",
                    error.code,
                ) from error
        else:
            if state != "in progress":
                return state
            if time.monotonic() >= deadline:
                raise ServerError(
                    f"the delivery's transaction is still under way on {address}: give the same "
                    "command again later, which finds out how it ended"
                )
        time.sleep(_PAUSE)


def _state(server: Server, delivery: Delivery) -> str:
    xid = f"{literal(delivery.xid)}::xid8"
    state = server.value(
        f"SELECT CASE WHEN {xid} < pg_snapshot_xmax(pg_current_snapshot()) "
        f"THEN pg_xact_status({xid}) ELSE 'aborted' END"
    )
    if state in ("in progress", "aborted"):
        return str(state)
    found = digests(server, delivery.tables)
    if state is None:  # so long ago that the server has forgotten
        return "committed" if found == delivery.tables else "aborted"
    # The number of a transaction of which a crashed server wrote nothing is given again.
    there = any(rows for rows, _ in found.values())
    return "committed" if there or not any(n for n, _ in delivery.tables.values()) else "aborted"
