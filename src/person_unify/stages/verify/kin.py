"""TEMP tables over the core: linked children, shared UDIDs, notes, and families by pair."""

from __future__ import annotations

from person_unify.stages.verify import cells, relations
from person_unify.stages.verify.bench import Bench

LATER = "9223372036854775807"


def prepare_kin(bench: Bench) -> None:
    """Build what the sweeps over patients, children and parent links look up."""
    _linked(bench)
    _udid(bench)
    _notes(bench)
    _family(bench)
    _pairs(bench)


def _linked(bench: Bench) -> None:
    """``verify_linked``: linked children of each patient, in order of (created_at, id).

    ``verify_joined``: the same for children that are one with another child.
    """
    bench.temp(
        "verify_linked",
        "CREATE TEMP TABLE verify_linked (patient_id TEXT, unknown INTEGER, created INTEGER, "
        "child_id TEXT, gender TEXT, PRIMARY KEY (patient_id, unknown, created, child_id)) "
        "WITHOUT ROWID",
    )
    bench.temp(
        "verify_joined",
        "CREATE TEMP TABLE verify_joined (head TEXT, unknown INTEGER, created INTEGER, "
        "child_id TEXT, gender TEXT, PRIMARY KEY (head, unknown, created, child_id)) "
        "WITHOUT ROWID",
    )
    children = bench.source("children")
    if children is None:
        return
    created = cells.instant(bench.column("children", "created_at"))
    gender = cells.text(bench.column("children", "gender"))
    bench.database.execute(
        "INSERT OR IGNORE INTO temp.verify_linked SELECT c.patient_id, "
        f"({created}) IS NULL, coalesce({created}, 0), c.old_id, {gender} "
        f"FROM {children} AS s JOIN temp.verify_children AS c ON c.old_id = +s.id "
        "WHERE c.patient_id IS NOT NULL"
    )
    bench.database.execute(
        f"INSERT OR IGNORE INTO temp.verify_joined SELECT c.head, ({created}) IS NULL, "
        f"coalesce({created}, 0), c.old_id, {gender} FROM {children} AS s "
        "JOIN temp.verify_children AS c ON c.old_id = +s.id "
        "WHERE c.head IS NOT NULL AND c.patient_id IS NULL"
    )


def _udid(bench: Bench) -> None:
    """``verify_udid``: who loses a shared UDID, and to whom; patients come before children."""
    bench.temp(
        "verify_udid",
        "CREATE TEMP TABLE verify_udid (source_table TEXT, old_id TEXT, keeper TEXT, "
        "PRIMARY KEY (source_table, old_id)) WITHOUT ROWID",
    )
    parts = []
    for rank, usual in enumerate(("patients", "children")):
        table = bench.source(usual)
        cell = bench.column(usual, "udid_number")
        if table is None or cell == "NULL":
            continue
        created = cells.instant(bench.column(usual, "created_at"))
        own = ""
        if usual == "children":
            own = (
                "AND EXISTS (SELECT 1 FROM temp.verify_children AS c WHERE c.old_id = +s.id "
                "AND c.alone)"
            )
        parts.append(
            f"SELECT {rank} AS rank, '{usual}' AS source_table, "
            f"{cells.literal(bench.plan.source_names[usual])} AS file, s.id AS old_id, "
            f"{cells.text(cell)} AS udid, {created} AS created FROM {table} AS s "
            f"WHERE {cell} IS NOT NULL {own}"
        )
    if not parts:
        return
    # A decision is stronger than the order.
    chosen = (
        "NOT EXISTS (SELECT 1 FROM temp.verify_decided AS d WHERE d.kind = 'duplicate_udid' "
        "AND d.decision = 'this' AND d.source_id = old_id AND d.source_table = file)"
    )
    window = f"OVER (PARTITION BY udid ORDER BY {chosen}, rank, created IS NULL, created, old_id)"
    bench.database.execute(
        "INSERT OR IGNORE INTO temp.verify_udid SELECT source_table, old_id, keeper FROM ("
        f"SELECT source_table, old_id, row_number() {window} AS n, "
        f"first_value(old_id) {window} AS keeper FROM ({' UNION ALL '.join(parts)}) "
        "WHERE udid <> '') WHERE n > 1"
    )


def _notes(bench: Bench) -> None:
    bench.temp(
        "verify_notes",
        "CREATE TEMP TABLE verify_notes (person_id TEXT PRIMARY KEY, note TEXT) WITHOUT ROWID",
        "INSERT OR IGNORE INTO temp.verify_notes SELECT person_id, note FROM ledger.person_notes "
        "WHERE person_id IS NOT NULL",
    )


def _family(bench: Bench) -> None:
    """``verify_family``: every child and parent link with a person and a loaded parent."""
    columns = "person_id, parent_id, link, old_id, unknown, at, flagged, view_id"
    bench.temp("verify_family", f"CREATE TEMP TABLE verify_family ({columns})")
    children, links = bench.source("children"), bench.source("parent_children")
    if children is not None:
        at = cells.instant(bench.column("children", "created_at"))
        parent = relations.key_text(bench.column("children", "parent_id"))
        bench.database.execute(
            f"INSERT INTO temp.verify_family SELECT c.person_id, p.id, 0, c.old_id, ({at}) IS "
            "NULL, "
            f"{at}, NULL, v.new_id FROM {children} AS s "
            "JOIN temp.verify_children AS c ON c.old_id = +s.id "
            f"JOIN main.parents AS p ON p.id = {parent} "
            "LEFT JOIN temp.verify_child_to_view AS v ON v.old_id = c.old_id"
        )
    if links is not None:
        at = cells.instant(bench.column("parent_children", "added_at"))
        parent = relations.key_text(bench.column("parent_children", "parent_id"))
        person = relations.person_of(bench.column("parent_children", "patient_id"), "patients")
        flag = cells.boolean(bench.column("parent_children", "is_primary"))
        bench.database.execute(
            f"INSERT INTO temp.verify_family SELECT {person}, p.id, 1, s.id, ({at}) IS NULL, "
            f"{at}, {flag}, v.new_id FROM {links} AS s "
            f"JOIN main.parents AS p ON p.id = {parent} "
            "LEFT JOIN temp.verify_parent_link_to_view AS v ON v.old_id = +s.id "
            f"WHERE ({person}) IS NOT NULL"
        )
    bench.database.execute(
        "CREATE INDEX temp.verify_family_by_pair "
        "ON verify_family (person_id, parent_id, link, unknown, at, old_id)"
    )


def _pairs(bench: Bench) -> None:
    """``verify_pairs``: one row per view; ``verify_primary``: each person's primary caregiver."""
    order = "PARTITION BY person_id, parent_id, link ORDER BY unknown, at, old_id"
    bench.temp(
        "verify_pairs",
        "CREATE TEMP TABLE verify_pairs (person_id TEXT, parent_id TEXT, children INTEGER, "
        "links INTEGER, child_id TEXT, child_at INTEGER, link_id TEXT, link_at INTEGER, "
        "flagged INTEGER, view_id TEXT, views INTEGER, PRIMARY KEY (person_id, parent_id)) "
        "WITHOUT ROWID",
        "INSERT INTO temp.verify_pairs SELECT person_id, parent_id, sum(link = 0), sum(link = 1), "
        "max(CASE WHEN link = 0 AND n = 1 THEN old_id END), "
        "max(CASE WHEN link = 0 AND n = 1 THEN at END), "
        "max(CASE WHEN link = 1 AND n = 1 THEN old_id END), "
        "max(CASE WHEN link = 1 AND n = 1 THEN at END), coalesce(max(flagged = 1), 0), "
        "max(view_id), count(DISTINCT coalesce(view_id, '')) FROM "
        f"(SELECT *, row_number() OVER ({order}) AS n FROM temp.verify_family) "
        "WHERE person_id IS NOT NULL GROUP BY person_id, parent_id",
    )
    rank = (
        "NOT EXISTS (SELECT 1 FROM temp.verify_chosen AS d WHERE d.person_id = pair.person_id "
        "AND d.parent_id = pair.parent_id), "
        "CASE WHEN any_flag THEN (flagged = 0) ELSE (children = 0) END, "
        "CASE WHEN any_flag OR children = 0 THEN link_at IS NULL ELSE child_at IS NULL END, "
        "CASE WHEN any_flag OR children = 0 THEN link_at ELSE child_at END, "
        "CASE WHEN any_flag OR children = 0 THEN parent_id ELSE child_id END"
    )
    bench.temp(
        "verify_primary",
        "CREATE TEMP TABLE verify_primary (person_id TEXT PRIMARY KEY, parent_id TEXT, "
        "pairs INTEGER, flags INTEGER) WITHOUT ROWID",
        "INSERT INTO temp.verify_primary SELECT person_id, parent_id, pairs, flags FROM "
        f"(SELECT *, row_number() OVER (PARTITION BY person_id ORDER BY {rank}) AS n FROM "
        "(SELECT *, max(flagged) OVER (PARTITION BY person_id) AS any_flag, "
        "sum(flagged) OVER (PARTITION BY person_id) AS flags, "
        "count(*) OVER (PARTITION BY person_id) AS pairs FROM temp.verify_pairs) AS pair) "
        "WHERE n = 1",
    )
