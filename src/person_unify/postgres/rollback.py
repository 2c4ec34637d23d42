"""Rollback of a delivery: its tables empty again, if nobody wrote to them since."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from person_unify.errors import DatabaseError, DatabaseLocked, ServerError, TargetError, TargetInUse
from person_unify.postgres import record
from person_unify.postgres.address import Address
from person_unify.postgres.ends import delivered_by
from person_unify.postgres.record import Delivery
from person_unify.postgres.server import Server
from person_unify.schema import literal, quote


def rollback(ledger: Path, address: Address, *, force: bool = False, wait: float = 5.0) -> int:
    """Empty the tables of a delivery, in one transaction; returns the rows that went.

    Raises :class:`TargetError` where a table is not what the delivery left, unless ``force``, and
    where a table that was not delivered has rows that refer to these.
    """
    with Server(address) as server:
        delivery = delivered_by(ledger, server)
        server.execute("BEGIN")
        try:
            rows = _empty(server, delivery, force, wait)
            server.execute("COMMIT")
        except DatabaseLocked as error:
            raise TargetInUse(
                f"another connection has tables of {address} locked, and they are as they were: "
                "stop the platform, or wait longer with --busy-timeout"
            ) from error
        finally:
            with suppress(DatabaseError):
                server.execute("ROLLBACK")
    with Server(address) as server:
        if record.filled(server, delivery.tables):
            raise ServerError(f"{address} did not commit the rollback: its tables are as they were")
    record.settled(ledger, delivery, "rolled_back")
    return rows


def _empty(server: Server, delivery: Delivery, force: bool, wait: float) -> int:
    schema = quote(delivery.schema)
    places = [f"{schema}.{quote(table)}" for table in delivery.tables]
    server.lock(places, wait)
    found = record.digests(server, delivery.tables)
    changed = [table for table in found if found[table] != delivery.tables[table]]
    gone = all(not rows for rows, _ in found.values())
    if changed and not gone and not force:
        raise TargetError(
            f"{server.address} was written to since the delivery ({', '.join(changed[:5])}): what "
            "was written would be lost; --force empties the tables all the same"
        )
    # An empty table that refers to these keeps TRUNCATE from them unless it is named, too.
    listed = ", ".join(literal(place) + "::regclass" for place in places)
    others = [
        str(name)
        for (name,) in server.rows(
            "SELECT DISTINCT conrelid::regclass::text FROM pg_constraint WHERE contype = 'f' "
            f"AND confrelid IN ({listed}) AND conrelid NOT IN ({listed})"
        )
    ]
    full = [name for name in others if server.value(f"SELECT EXISTS (SELECT 1 FROM {name})")]
    if full:
        raise TargetError(
            f"{full[0]} holds rows and refers to delivered ones: empty it first, it was not "
            "delivered"
        )
    server.execute(f"TRUNCATE {', '.join([*places, *others])}")
    return sum(rows for rows, _ in found.values())
