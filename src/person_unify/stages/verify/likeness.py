"""Names compared as people compare them: mismatches, suspected duplicates (contract section 3).

SQL folds ASCII only, so the distinct names are folded here and taken back as a table; who differs
from whom is then asked of SQL again.
"""

from __future__ import annotations

import re

import polars as pl

from person_unify.stages.verify import cells
from person_unify.stages.verify.bench import Bench, differing
from person_unify.stages.verify.owed import ENTRY

FIELDS = ("first_name", "last_name", "date_of_birth", "gender")
_SPACES = re.compile(
    "[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+"  # White_Space
)


def fold(raw: bytes) -> str | None:
    r"""A name stripped, its white space collapsed, casefolded; None if it is not UTF-8.

    >>> fold(" STRASSE  3 ".encode()) == fold("Straße\u00a03".encode())
    True
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return _SPACES.sub(" ", text).strip(" ").casefold()


def check_likeness(bench: Bench) -> None:
    """The logged mismatches and suspected duplicates are those that there are."""
    bench.progress("names")
    with bench.guarded("demographic_mismatches", "children"):
        _traits(bench)
        if bench.source("children") is None or bench.source("patients") is None:
            why = "the source has no table children or no table patients"
            bench.skip("demographic_mismatches", "children", why)
        else:
            _check_mismatches(bench)
    with bench.guarded("suspected_duplicates", "persons"):
        _check_duplicates(bench)


def _traits(bench: Bench) -> None:
    """``verify_traits``: folded names, gender and day of birth of patients and children.

    origin: whether a person comes from the row by the source's own links, whatever was decided.
    """
    bench.temp(
        "verify_names", "CREATE TEMP TABLE verify_names (n INTEGER PRIMARY KEY, cell BLOB UNIQUE)"
    )
    for usual in ("patients", "children"):
        for field in ("first_name", "last_name", "gender"):
            cell = bench.column(usual, field)
            table = bench.source(usual)
            if table is not None and cell != "NULL":
                bench.database.execute(
                    "INSERT OR IGNORE INTO temp.verify_names (cell) SELECT DISTINCT "
                    f"{_bytes(cell)} FROM {table} AS s WHERE {cell} IS NOT NULL"
                )
    names = bench.rows("SELECT n, hex(cell) FROM temp.verify_names ORDER BY n")
    folded = [(int(n), fold(bytes.fromhex(shown))) for n, shown in names]
    bench.temp(
        "verify_folds", "CREATE TEMP TABLE verify_folds (n INTEGER PRIMARY KEY, folded TEXT)"
    )
    frame = pl.DataFrame(folded, schema={"n": pl.Int64, "folded": pl.String}, orient="row")
    bench.database.ingest("verify_folds", frame, catalog="temp")
    bench.temp(
        "verify_traits",
        "CREATE TEMP TABLE verify_traits (source_table TEXT, old_id TEXT, first_name TEXT, "
        "last_name TEXT, gender TEXT, born INTEGER, unknown INTEGER, created INTEGER, "
        "person_id TEXT, origin INTEGER, "
        "PRIMARY KEY (source_table, old_id)) WITHOUT ROWID",
    )
    for usual in ("patients", "children"):
        if bench.source(usual) is not None:
            bench.database.execute(_fill(bench, usual))


def _bytes(cell: str) -> str:
    return f"CAST({cells.printed(cell)} AS BLOB)"


def _fill(bench: Bench, usual: str) -> str:
    def folded(field: str) -> str:
        cell = bench.column(usual, field)
        return (
            "(SELECT f.folded FROM temp.verify_names AS n JOIN temp.verify_folds AS f ON f.n = n.n "
            f"WHERE n.cell = {_bytes(cell)})"
        )

    gender = bench.column(usual, "gender")
    said = f"CASE WHEN {cells.printed(gender)} <> '' THEN {folded('gender')} END"
    born = cells.instant(bench.column(usual, "date_of_birth"))
    created = cells.instant(bench.column(usual, "created_at"))
    origin = "1" if usual == "patients" else "r.named IS NULL"
    day = f"({born} - (({born} % 86400000) + 86400000) % 86400000) / 86400000"
    return (
        f"INSERT INTO temp.verify_traits SELECT '{usual}', s.id, {folded('first_name')}, "
        f"{folded('last_name')}, {said}, {day}, ({created}) IS NULL, coalesce({created}, 0), "
        f"r.person_id, {origin} FROM {bench.source(usual)} AS s "
        f"JOIN temp.verify_{usual} AS r ON r.old_id = +s.id"
    )


def _check_mismatches(bench: Bench) -> None:
    """A field is compared where both sides have it; each that differs is logged once."""
    logged = "SELECT {} FROM ledger.discrepancies WHERE kind = 'demographic_mismatch'"
    if bench.source("children") is None or bench.source("patients") is None:
        strange = bench.value(logged.format("count(*)"))
        bench.judge("demographic_mismatches", "children", 0, [("without cause", strange)])
        return
    columns = {name: name if name != "date_of_birth" else "born" for name in FIELDS}
    bench.temp(
        "verify_owed",
        "CREATE TEMP TABLE verify_owed AS "
        + " UNION ALL ".join(
            f"SELECT c.old_id AS source_id, y.old_id AS related_id, c.person_id AS person_id, "
            f"'{name}' AS field, {_shown(bench, 'children', name, 'v')} AS child_value, "
            f"{_shown(bench, 'patients', name, 'w')} AS patient_value, "
            f"{_chosen(bench, name)} AS chosen_value "
            "FROM temp.verify_children AS c JOIN temp.verify_traits AS x "
            "ON x.source_table = 'children' AND x.old_id = c.old_id JOIN temp.verify_traits AS y "
            "ON y.source_table = 'patients' AND y.old_id = coalesce(c.named, c.patient_id) "
            f"JOIN {bench.source('children')} AS v ON v.id = c.old_id "
            f"JOIN {bench.source('patients')} AS w ON w.id = y.old_id "
            f"WHERE x.{column} <> y.{column}"
            for name, column in columns.items()
        ),
    )
    entry = f"{ENTRY}, child_value, patient_value, chosen_value"
    said = logged.format(entry.replace("field", f"{bench.field} AS field"))
    missing, strange = differing(bench, entry, "temp.verify_owed", said)
    linked = bench.value("SELECT count(coalesce(named, patient_id)) FROM temp.verify_children")
    failures = [("not logged", missing), ("without cause", strange)]
    bench.judge("demographic_mismatches", "children", linked * len(FIELDS), failures)


def _chosen(bench: Bench, name: str) -> str:
    """What the person of child ``c`` ended with: the patient's value, but for decisions."""
    value = "k.value" if name != "date_of_birth" else iso("k.value")
    taken = (
        f"(SELECT {value} FROM temp.verify_taken AS k WHERE k.patient_id = y.old_id "
        f"AND k.field = '{name}')"
    )
    return (
        f"CASE WHEN c.patient_id IS NULL THEN {_shown(bench, 'children', name, 'v')} "
        f"ELSE coalesce({taken}, {_shown(bench, 'patients', name, 'w')}) END"
    )


def _shown(bench: Bench, usual: str, name: str, alias: str) -> str:
    """A compared cell as a reviewer sees it: texts as they are, instants in ISO 8601."""
    cell = bench.column(usual, name, alias)
    if name != "date_of_birth" or cell == "NULL":
        return cells.text(cell)
    return iso(cells.instant(cell))


def iso(milliseconds: str) -> str:
    """An instant as ISO 8601 text in UTC, with milliseconds; reals would round some of them."""
    part = f"((({milliseconds}) % 1000 + 1000) % 1000)"
    seconds = f"(({milliseconds}) - {part}) / 1000"
    return f"strftime('%Y-%m-%dT%H:%M:%S', {seconds}, 'unixepoch') || format('.%03dZ', {part})"


def _check_duplicates(bench: Bench) -> None:
    """Further persons of a group with the same names and day of birth name the group's first."""
    window = (
        "OVER (PARTITION BY x.first_name, x.last_name, x.born "
        "ORDER BY x.unknown, x.created, x.old_id, x.source_table DESC)"
    )
    names = " ".join(
        f"WHEN {cells.literal(usual)} THEN {cells.literal(name)}"
        for usual, name in bench.plan.source_names.items()
        if usual != name
    )
    table = f"CASE source_table {names} ELSE source_table END" if names else "source_table"
    further = (
        f"SELECT {table} AS source_table, old_id AS source_id, keeper AS related_id, person_id, "
        "NULL AS field "
        "FROM (SELECT x.source_table AS source_table, x.old_id AS old_id, "
        "x.person_id AS person_id, "
        f"row_number() {window} AS n, first_value(x.old_id) {window} AS keeper "
        "FROM temp.verify_traits AS x WHERE x.first_name <> '' AND x.last_name <> '' "
        "AND x.born IS NOT NULL AND x.origin) WHERE n > 1"
    )
    bench.temp("verify_owed", f"CREATE TEMP TABLE verify_owed AS {further}")
    logged = f"SELECT source_table, {ENTRY} FROM temp.verify_log WHERE kind = 'suspected_duplicate'"
    missing, strange = differing(bench, f"source_table, {ENTRY}", "temp.verify_owed", logged)
    persons = bench.value("SELECT count(*) FROM temp.verify_people")
    failures = [("not logged", missing), ("without cause", strange)]
    bench.judge("suspected_duplicates", "persons", persons, failures)
