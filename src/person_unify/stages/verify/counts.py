"""The counts of normalised cells, counted again from the source (contract section 1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from person_unify.mappings import CORE_TABLES
from person_unify.mappings.bind import Binding, BoundMapping
from person_unify.schema import quote
from person_unify.spec import Computed, Copy, Person, Type
from person_unify.stages.verify import cells
from person_unify.stages.verify.archive import is_loaded
from person_unify.stages.verify.bench import Bench
from person_unify.stages.verify.words import Words

DEFAULT = "required_default"
RULES = (
    *("blob_to_text", "integer_to_text", "real_to_text", "text_to_integer", "real_to_integer"),
    *("text_to_real", "integer_to_real", DEFAULT),
)
_COLUMNS_PER_QUERY = 150


@dataclass(slots=True)
class _Column:
    """A source column whose cells are carried directly, as the conditions on row ``s``.

    held: per target cell, that it holds the cell.  missing: that there is no value where one is
    required, but for the cells that are ``logged`` as unreadable.
    """

    type: Type
    held: list[str] = field(default_factory=list)
    missing: str | None = None
    logged: int = 0


def check_counts(bench: Bench) -> None:
    """Every count of the log is the number of cells that SQL finds."""
    rows = bench.rows(
        "SELECT source_table, source_column, rule, sum(cells) FROM ledger.normalisations "
        "GROUP BY 1, 2, 3"
    )
    logged = {(str(t), bench.known(t, str(c)), str(r)): int(n or 0) for t, c, r, n in rows}
    with bench.guarded("normalisations"):
        _check_names(bench, logged)
    for bound in bench.plan.bound:
        if bound.target is None or bound.mapping.source in CORE_TABLES:
            continue
        with bench.guarded("normalisations", bound.name):
            counted = dict(_counted(bench, bound))
            said = {(c, r): n for (t, c, r), n in logged.items() if t == bound.name}
            wrong = [
                (
                    f"{column} {rule}",
                    abs(counted.get((column, rule), 0) - said.get((column, rule), 0)),
                )
                for column, rule in sorted({*counted, *said})
            ]
            cells_ = max(sum(counted.values()), sum(said.values()))
            bench.judge("normalisations", bound.name, cells_, wrong)


def _check_names(bench: Bench, logged: dict[tuple[str, str, str], int]) -> None:
    """Counts name columns that the source has or the mapping misses there, and known rules."""
    known = {
        (bound.name, column)
        for bound in bench.plan.bound
        for column in (
            *bound.source.column_names,
            *(str(getattr(binding.word, "column", "")) for binding in bound.columns),
            *(str(getattr(binding.word, "carries", "")) for binding in bound.columns),
        )
    }
    strange = sum((table, column) not in known for table, column, _ in logged)
    rules = sum(rule not in RULES for _, _, rule in logged)
    empty = sum(count <= 0 for count in logged.values())
    failures = [("unknown columns", strange), ("unknown rules", rules), ("no cells", empty)]
    bench.judge("normalisations", None, len(logged), failures)


def _columns(bench: Bench, bound: BoundMapping) -> dict[str, _Column]:
    found: dict[str, _Column] = {}
    words = Words(bench, bound)
    odd = _unreadable(bench, bound)
    for binding in bound.columns:
        word = binding.word
        if isinstance(word, Copy | Person):
            column, type_ = word.column, "TEXT" if binding.strength else binding.type
        elif isinstance(word, Computed) and word.carries is not None:
            column, type_ = word.carries, binding.type
        else:
            continue
        entry = found.setdefault(column, _Column(type_))
        cell = words.cell(column)
        if cell != "NULL":
            entry.held.append(_held(words, binding, cells.read(cell, type_)))
        if _counts_default(binding):
            entry.missing = f"({cells.read(cell, type_)}) IS NULL"
            if type_ == "TEXT":
                # Whether a text can be read takes a search for its bytes, which the log spares.
                entry.missing, entry.logged = f"{cell} IS NULL", odd.get(column, 0)
            if isinstance(word, Computed) and word.null_is_unreadable:
                entry.missing = "0"
    return found


def _held(words: Words, binding: Binding, value: str) -> str:
    """Whether the target cell holds the cell of row ``s`` in its canonical form."""
    if isinstance(binding.word, Computed):
        return f"({value}) IS NOT NULL AND ({value}) IS ({words.expected(binding)})"
    if binding.strength == "optional":
        return f"({value}) IS NOT NULL AND ({words.expected(binding)}) IS NOT NULL"
    return f"({value}) IS NOT NULL"


def _counts_default(binding: Binding) -> bool:
    """Whether a cell without a value counts as a default (see DECISIONS, rule 5)."""
    word = binding.word
    if not binding.target.not_null or isinstance(word, Person):
        return False
    if isinstance(word, Copy) and binding.strength is not None:
        return binding.strength == "loose" and not word.may_be_absent
    return True


def _unreadable(bench: Bench, bound: BoundMapping) -> dict[str, int]:
    """Per column, the cells that are logged as unreadable."""
    return {
        str(field): int(count)
        for field, count in bench.rows(
            "SELECT field, count(*) FROM temp.verify_log WHERE kind = 'unreadable_value' "
            f"AND source_table = {cells.literal(bound.name)} GROUP BY 1"
        )
    }


def _counted(bench: Bench, bound: BoundMapping) -> Iterator[tuple[tuple[str, str], int]]:
    """``(column, rule), cells``: a look for columns that have any, then one that counts them."""
    columns = _columns(bench, bound)
    loaded = is_loaded(bench, bound.source)
    first: list[tuple[tuple[str, str], str]] = []
    for name, column in columns.items():
        if column.held:
            first.append(((name, ""), cells.of_other_class(f"s.{quote(name)}", column.type)))
        if column.missing is not None:
            first.append(((name, DEFAULT), f"{column.missing} AND {loaded}"))
    second: list[tuple[tuple[str, str], str]] = []
    for (name, rule), count in _look(bench, bound, first):
        if rule and count + columns[name].logged:
            yield (name, rule), count + columns[name].logged
        elif count and not rule:
            second += _recast(name, columns[name], loaded)
    yield from (found for found in _look(bench, bound, second) if found[1])


def _recast(name: str, column: _Column, loaded: str) -> Iterator[tuple[tuple[str, str], str]]:
    """Per storage class, cells of a column that had it and changed it."""
    own, cell = cells.CLASSES[column.type], f"s.{quote(name)}"
    for kind in ("integer", "real", "text", "blob"):
        if f"{kind}_to_{own}" in RULES:
            held = f"({' OR '.join(column.held)}) AND {loaded}"
            other = cells.of_other_class(cell, column.type)
            yield (name, f"{kind}_to_{own}"), f"{other} AND typeof({cell}) = '{kind}' AND {held}"


def _look(
    bench: Bench, bound: BoundMapping, asked: list[tuple[tuple[str, str], str]]
) -> Iterator[tuple[tuple[str, str], int]]:
    """How many rows of the source table fulfil each condition."""
    for start in range(0, len(asked), _COLUMNS_PER_QUERY):
        group = asked[start : start + _COLUMNS_PER_QUERY]
        listed = ", ".join(cells.how_many(condition) for _, condition in group)
        row = bench.rows(f"SELECT {listed} FROM source.{quote(bound.name)} AS s")[0]
        yield from ((label, int(count)) for (label, _), count in zip(group, row, strict=True))
