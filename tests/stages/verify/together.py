"""Which damages can be planted at once, and still each be found and named on its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .damage import Damage


def touch_the_same(one: Damage, other: Damage) -> bool:
    """Both write to one table, so that one may undo or take away what the other plants."""
    return bool(one.written & other.written)


def upsets_comparison(one: Damage, other: Damage) -> bool:
    """One writes to the maps or the log, by which the rows that the other writes are compared."""
    return any(_books(a) and b.written - _books(b) for a, b in ((one, other), (other, one)))


def answer_for_each_other(one: Damage, other: Damage) -> bool:
    """One may be what fails the check that has to find the other."""
    if touch_the_same(one, other):
        return True
    if one.finds[0] in other.others or other.finds[0] in one.others:
        return True
    (name, table), (other_name, other_table) = one.finds, other.finds
    return name == other_name and (None in (table, other_table) or table == other_table)


def together(
    damages: Iterable[Damage], clash: Callable[[Damage, Damage], bool]
) -> list[tuple[Damage, ...]]:
    """Groups without a clash; what makes or drops a table of the ledger stays alone.

    Without such a table the verifier may stop early, and see nothing else.
    """
    groups: list[list[Damage]] = []
    for damage in damages:
        fitting = (
            group
            for group in groups
            if not any(_of_schema(d) for d in (damage, *group))
            and not any(clash(damage, other) for other in group)
        )
        group = next(fitting, None)
        if group is None:
            groups.append([damage])
        else:
            group.append(damage)
    return [tuple(group) for group in groups]


def label(damages: tuple[Damage, ...]) -> str:
    """A group's name in a test's id."""
    rest = len(damages) - 1
    return damages[0].name + (f" and {rest} more" if rest else "")


def _books(damage: Damage) -> set[str]:
    """What it writes to in the ledger but archives."""
    ledger = {table for table in damage.written if table.startswith("ledger.")}
    return {table for table in ledger if not table.startswith("ledger.archive_")}


def _of_schema(damage: Damage) -> bool:
    return any(statement.startswith(("DROP", "CREATE TABLE")) for statement in damage.statements)
