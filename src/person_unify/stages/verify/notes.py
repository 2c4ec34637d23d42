"""What is said about persons and cells: notes against the log, the log against the cells."""

from __future__ import annotations

from collections.abc import Iterator

from person_unify.mappings import CORE_TABLES
from person_unify.mappings.bind import BoundMapping
from person_unify.schema import OLD, quote
from person_unify.spec import Computed, Copy, Decided, Fold, Type, Word
from person_unify.stages.verify import cells
from person_unify.stages.verify.archive import is_loaded
from person_unify.stages.verify.bench import Bench, in_list

_COLUMNS_PER_QUERY = 40


def check_notes(bench: Bench) -> None:
    """Notes of persons, and the cells that are logged as unreadable."""
    with bench.guarded("person_notes"):
        _check_person_notes(bench)
    for name, bounds in _by_table(bench).items():
        with bench.guarded("unreadable_values", name):
            _check_unreadable(bench, bounds)


def expected_notes() -> str:
    """``person_id, note``: one line per differing linked child, with the logged fields in order."""
    fields = ("first_name", "last_name", "date_of_birth", "gender")
    rank = " ".join(f"WHEN '{name}' THEN {n}" for n, name in enumerate(fields))
    line = (
        "'child ' || l.source_id || ' differs from patient ' || l.related_id || ': ' || "
        f"group_concat(l.field, ', ' ORDER BY CASE l.field {rank} END)"
    )
    lines = (
        f"SELECT c.person_id AS person_id, {line} AS line, g.unknown AS unknown, "
        "g.created AS created, g.child_id AS child_id FROM temp.verify_log AS l "
        "JOIN temp.verify_children AS c ON c.old_id = l.source_id "
        "JOIN temp.verify_linked AS g ON g.patient_id = c.patient_id AND g.child_id = c.old_id "
        "WHERE l.kind = 'demographic_mismatch' GROUP BY l.source_id"
    )
    return (
        "SELECT person_id, group_concat(line, char(10) ORDER BY unknown, created, child_id) "
        f"AS note FROM ({lines}) GROUP BY person_id"
    )


def _check_person_notes(bench: Bench) -> None:
    expected = expected_notes()
    total = bench.value(f"SELECT count(*) FROM ({expected})")
    wrong = bench.value(
        f"SELECT count(*) FROM ({expected}) AS e WHERE NOT EXISTS (SELECT 1 "
        "FROM temp.verify_notes AS n WHERE n.person_id = e.person_id AND n.note = e.note)"
    )
    rows = bench.value("SELECT count(*) FROM ledger.person_notes")
    failures = [("missing or different", wrong), ("too many or too few", abs(rows - total))]
    bench.judge("person_notes", "persons", total, failures)


def _by_table(bench: Bench) -> dict[str, list[BoundMapping]]:
    found: dict[str, list[BoundMapping]] = {}
    for bound in bench.plan.bound:
        if bound.target is not None:
            found.setdefault(bound.name, []).append(bound)
    return found


def _readings(bounds: list[BoundMapping]) -> dict[str, set[Type]]:
    """Source column, in the file or not, -> the types that some word reads it as."""
    found: dict[str, set[Type]] = {}
    for bound in bounds:
        for column, type_ in _words(bound):
            found.setdefault(column, set()).add(type_)
    # Whose flag it is decides the primary caregiver, and the link whose person a child is, though
    # no target column reads them.
    decisive: dict[str, tuple[str, Type]] = {
        "parent_children": ("is_primary", "BOOLEAN"),
        "children": ("linked_patient_id", "TEXT"),
    }
    if bounds[0].mapping.source in decisive:
        column, type_ = decisive[bounds[0].mapping.source]
        found.setdefault(column, set()).add(type_)
    return found


def _words(bound: BoundMapping) -> Iterator[tuple[str, Type]]:
    for binding in bound.columns:
        yield from _reads(binding.word, binding.type)
    for word in bound.mapping.exposes.values():
        yield from _reads(word, "TEXT")


def _reads(word: Word, type_: Type) -> Iterator[tuple[str, Type]]:
    """Source columns that a word reads, and as what (contract sections 1, 6 and 11)."""
    if isinstance(word, Computed):
        yield from ((read.column, read.type) for read in word.reads)
    elif isinstance(word, Fold):
        yield from ((part.column, part.type) for part in word.parts)
    elif isinstance(word, Copy):
        yield word.column, type_
        if isinstance(word.otherwise, Copy):
            yield from _reads(word.otherwise, type_)
    elif isinstance(word, Decided):
        if word.column is not None:
            yield word.column, type_
    else:
        column = getattr(word, "column", None)
        if column is not None:
            yield column, "TEXT"
        otherwise = getattr(word, "otherwise", None)
        if isinstance(otherwise, Copy):
            yield from _reads(otherwise, type_)


def _check_unreadable(bench: Bench, bounds: list[BoundMapping]) -> None:
    """A cell that is logged is unreadable; in tables that go row by row, no other is."""
    source, usual = bounds[0].source, bounds[0].mapping.source
    keys = source.primary_key or OLD.get(usual, source).primary_key
    readings = _readings(bounds)
    said = f"kind = 'unreadable_value' AND source_table = {cells.literal(source.name)}"
    total = bench.value(f"SELECT count(*) FROM temp.verify_log WHERE {said}")
    if len(keys) != 1:
        # Discrepancies name the first column of a key only, which is no row of its own here.
        bench.skip("unreadable_values", source.name, "discrepancies do not tell its rows apart")
        return
    if not total and usual in CORE_TABLES:
        bench.skip("unreadable_values", source.name, "nothing is logged as unreadable")
        return
    broken = _broken(bounds, readings)
    failures = _logged_but_readable(bench, bounds[0], broken, keys[0])
    rows = bench.count(source)
    if usual not in CORE_TABLES:
        failures += _not_logged(
            bench, bounds[0], {c: broken[c] for c in broken if readings[c] != {"TEXT"}}, keys[0]
        )
    strange = bench.value(
        f"SELECT count(*) FROM temp.verify_log WHERE {said} AND coalesce(field, '') NOT IN "
        f"{in_list(list(readings))}"
    )
    failures.append(("columns never read", strange))
    bench.judge("unreadable_values", source.name, rows * len(readings), failures)


def _broken(bounds: list[BoundMapping], readings: dict[str, set[Type]]) -> dict[str, str]:
    """Per column, whether the cell of row ``s`` cannot be read as some word reads it."""
    null_counts = {
        binding.word.carries
        for bound in bounds
        for binding in bound.columns
        if isinstance(binding.word, Computed) and binding.word.null_is_unreadable
    }
    found: dict[str, str] = {}
    for column, types in readings.items():
        # A column that the file lacks is NULL in every row, and a NULL status is logged.
        cell = "NULL" if bounds[0].source.column(column) is None else f"s.{quote(column)}"
        ways = [
            f"({cell} IS NOT NULL AND {cells.read(cell, type_)} IS NULL)" for type_ in sorted(types)
        ]
        if column in null_counts:
            ways.append(f"{cell} IS NULL")
        found[column] = " OR ".join(ways)
    return found


def _logged_but_readable(
    bench: Bench, bound: BoundMapping, broken: dict[str, str], key: str
) -> list[tuple[str, int]]:
    """Log rows whose cell can be read, counted by column."""
    cases = " ".join(
        f"WHEN {cells.literal(column)} THEN CASE WHEN {way} THEN 0 ELSE 1 END"
        for column, way in broken.items()
    )
    return [
        (f"{field} logged but readable", int(count))
        for field, count in bench.rows(
            f"SELECT coalesce(l.field, ''), sum(CASE l.field {cases} ELSE 0 END) "
            f"FROM temp.verify_log AS l JOIN source.{quote(bound.name)} AS s "
            f"ON s.{quote(key)} = l.source_id WHERE l.kind = 'unreadable_value' "
            f"AND l.source_table = {cells.literal(bound.name)} GROUP BY 1 ORDER BY 1"
        )
    ]


def _not_logged(
    bench: Bench, bound: BoundMapping, broken: dict[str, str], key: str
) -> list[tuple[str, int]]:
    """Cells of loaded rows that cannot be read and are not logged, counted by column.

    Texts are left out: what is not logged counts as UTF-8, and then its target cell must hold it.
    """
    found: list[tuple[str, int]] = []
    asked = list(broken.items())
    for start in range(0, len(asked), _COLUMNS_PER_QUERY):
        group = asked[start : start + _COLUMNS_PER_QUERY]
        sums = ", ".join(
            f"coalesce(sum(CASE WHEN ({way}) AND NOT EXISTS (SELECT 1 FROM temp.verify_log AS l "
            f"WHERE l.kind = 'unreadable_value' AND l.source_table = {cells.literal(bound.name)} "
            f"AND l.source_id = +s.{quote(key)} AND l.field = {cells.literal(column)}) "
            f"AND {is_loaded(bench, bound.source)} THEN 1 ELSE 0 END), 0)"
            for column, way in group
        )
        row = bench.rows(f"SELECT {sums} FROM source.{quote(bound.name)} AS s")[0]
        found += [(f"{c} not logged", int(n)) for (c, _), n in zip(group, row, strict=True)]
    return found
