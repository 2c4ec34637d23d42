"""Views and grants as wholes: counts, maps, who is lost from sight (contract sections 4, 5, 10)."""

from __future__ import annotations

import polars as pl

from person_unify.stages.verify.cells import Cells, alike
from person_unify.stages.verify.context import Context, gathered
from person_unify.stages.verify.families import Families
from person_unify.stages.verify.findings import Found, Key
from person_unify.stages.verify.homes import Home, lanes_of
from person_unify.stages.verify.humans import Humans

PERMISSIONS = '{"view": true, "edit": false, "assessments": true, "reports": true, "iep": false}'
_VIEW, _SEEN, _GRANTS = "parent_child_views", "clinician_patient_views", "access_grants"


def _whole(context: Context, table: str, *columns: str) -> pl.DataFrame:
    """``id`` and some text columns of a target table, cells of other classes null."""
    home = context.homes[table]
    cells = home.file.read(home.table, ["id", *columns], lanes=lanes_of(home.table))
    return pl.DataFrame({name: cells.columns[name] for name in ("id", *columns)})


def check_views(context: Context, families: Families, humans: Humans) -> None:
    """Counts and maps of both kinds of views, and that nobody is lost from sight."""
    answers, people = context.answers, context.people
    views = _whole(context, _VIEW, "person_id", "parent_id", "is_primary_caregiver")
    seen = _whole(context, _SEEN, "person_id")
    answers.compare("parent_views_count", _VIEW, families.pairs.height, views.height)
    members = families.members.with_columns(person=people.person.gather(families.members["human"]))
    held = gathered(views, members["view"], "id")
    right = (held["person_id"] == members["person"]) & (held["parent_id"] == members["parent"])
    of_person = (held["person_id"] == members["person"]).fill_null(value=False)
    members = members.with_columns(right=right.fill_null(value=False), there=of_person)
    for link, usual, table in (
        (0, "children", "child_to_view"),
        (1, "parent_children", "parent_link_to_view"),
    ):
        own = members.filter(pl.col("link") == link)
        rows = context.ledger.counts[table]
        failures = [
            ("no view of the pair", int((~own["right"]).sum())),
            ("too many", max(0, rows - own.height)),
        ]
        answers.judge("view_maps", usual, own.height, failures)
    split = int((families.pairs["views"] > 1).sum())
    answers.judge("view_maps", _VIEW, families.pairs.height, [("pairs with several views", split)])
    patients = people.patients
    mapped = gathered(context.maps["patient_to_view"], patients["old"], "old_id")["new_id"]
    viewed = (gathered(seen, mapped, "id")["person_id"] == patients["person"]).fill_null(
        value=False
    )
    lost = humans.seen & ~viewed
    rows = context.ledger.counts["patient_to_view"]
    failures = [
        ("no view of the person", int(lost.sum())),
        ("too many", max(0, rows - int(humans.seen.sum()))),
    ]
    answers.judge("view_maps", "patients", int(humans.seen.sum()), failures)
    answers.compare("clinician_views_count", _SEEN, int(humans.seen.sum()), seen.height)
    _check_primary(context, views)
    _check_seen(context, members, viewed)


def _check_primary(context: Context, views: pl.DataFrame) -> None:
    """Exactly one primary caregiver per person with a view; which one is compared row by row."""
    flags = views.group_by("person_id").agg((pl.col("is_primary_caregiver") == 1).sum())
    wrong = int((flags["is_primary_caregiver"] != 1).sum())
    context.answers.judge(
        "primary_caregiver", _VIEW, flags.height, [("persons without exactly one", wrong)]
    )


def _check_seen(context: Context, members: pl.DataFrame, viewed: pl.Series) -> None:
    """Nobody is lost from sight without a logged reason (contract section 10)."""
    people, log = context.people, context.log.filter(pl.col("kind") == "orphaned_record")
    logged = {
        usual: log.filter(pl.col("source_table") == context.file_name(usual))["source_id"]
        for usual in ("patients", "children")
    }
    by_parent = members.filter("there")["human"].unique()
    origins = people.origins
    seen = origins["human"].is_in(by_parent.implode()) | origins["human"].is_in(
        people.patients["human"].filter(viewed).implode()
    )
    excused = alike(False, origins.height)
    for usual, ids in logged.items():
        excused |= (origins["usual"] == usual) & origins["old"].is_in(ids.implode())
    known = origins["person"].is_not_null()
    lost = int((~seen & ~excused & known).sum())
    context.answers.judge("persons_seen", "persons", origins.height, [("no view, no reason", lost)])
    linked = people.children.filter(pl.col("patient").is_not_null())
    own = members.filter("there", pl.col("link") == 0)["row"]
    no_parent = ~linked["at"].is_in(own.implode()) & ~linked["old"].is_in(
        logged["children"].implode()
    )
    no_view = ~viewed.gather(linked["patient"]) & ~people.patients["old"].gather(
        linked["patient"]
    ).is_in(logged["patients"].implode())
    failures = [
        ("no parent view, no reason", int(no_parent.sum())),
        ("no clinician view, no reason", int(no_view.sum())),
    ]
    context.answers.judge("linked_children", "children", linked.height, failures)


def owe_implied(context: Context, implied: pl.DataFrame) -> None:
    """The log owes each grant that a link implies, whatever was made of it."""
    context.owe(
        implied.with_columns(person=context.people.person.gather(implied["human"])),
        "implied_grant",
        context.file_name("children"),
        source_id=pl.col("child_old"),
        related_id=pl.col("patient_old"),
        person_id=pl.col("person"),
        field=pl.lit("linked_patient_id"),
    )


def check_grants(context: Context, implied: pl.DataFrame) -> None:
    """Grants that no consent speaks for are exactly those that are owed, with their contents.

    The consents' own grants are claimed by then.
    """
    home, people = context.homes[_GRANTS], context.people
    due = implied.filter(pl.col("mode") != "none")
    due = due.with_columns(person=people.person.gather(due["human"]))
    rest = (~home.claimed).arg_true().cast(pl.UInt32)
    cells = home.read([c for c in home.table.column_names if c != "id"], rest)
    pairs = pl.DataFrame(
        {"person": cells.columns["person_id"], "parent": cells.columns["grantor_id"], "place": rest}
    ).with_row_index("row")
    made = due.join(
        pairs.filter(pl.col("person").is_not_null()).unique(
            ["person", "parent"], keep="first", maintain_order=True
        ),
        on=["person", "parent"],
        how="left",
        maintain_order="left",
    )
    there = made.filter(pl.col("row").is_not_null())
    consents = int(home.ids.has(context.maps["consent_to_grant"]["new_id"]).sum())
    detail = f"consents {consents} + implied {due.height}"
    answers = context.answers
    answers.compare("grants_count", _GRANTS, consents + due.height, home.height, detail)
    home.claim(there["place"].cast(pl.UInt32))
    wrong = _wrong_contents(context, there, cells.take(there["row"].cast(pl.UInt32)))
    failures = [
        ("missing", made.height - there.height),
        ("not owed", pairs.height - there.height),
        *((name, int(rows.sum())) for name, rows in wrong.items()),
    ]
    answers.judge("implied_grants", _GRANTS, max(pairs.height, due.height), failures)
    _tell_implied(context, home, made, wrong)


def _wrong_contents(context: Context, there: pl.DataFrame, cells: Cells) -> dict[str, pl.Series]:
    """Per column of the implied grants that are there, which are not what they must be."""
    now, home = context.options.run_time_ms, context.homes[_GRANTS]

    def all_of(value: str | int | None, dtype: pl.DataType | None = None) -> pl.Series:
        kind = dtype or (pl.Int64() if isinstance(value, int) else pl.String())
        return alike(value, there.height, kind)

    active = there["mode"] == "active"
    expected = {
        "grantor_type": all_of("parent"),
        "grantor_id": there["parent"],
        "grantee_type": all_of("clinician"),
        "grantee_id": there["clinician"],
        "grantee_email": all_of(None),
        "person_id": there["person"],
        "permissions": all_of(PERMISSIONS),
        "access_level": all_of("view"),
        "token": all_of(None),
        "token_expires_at": all_of(None, pl.Int64()),
        "status": there["mode"],
        "granted_at": all_of(now),
        "activated_at": all_of(now).zip_with(active, pl.Series([None], dtype=pl.Int64)),
        "expires_at": all_of(None, pl.Int64()),
        "revoked_at": all_of(None, pl.Int64()),
        "granted_by_name": there["email"],
        "granted_by_email": there["email"],
        "audit_log": all_of("[]"),
    }
    wrong = {}
    for name, value in expected.items():
        if name in cells.columns and value.dtype == cells.columns[name].dtype:
            flawed = value.ne_missing(cells.columns[name])
            odd = cells.odd.get(name)
            wrong[name] = flawed if odd is None else flawed.scatter(odd["at"], True)
    notes = cells.columns["notes"]
    named = pl.DataFrame({"n": notes, "c": there["child_old"], "p": there["patient_old"]}).select(
        pl.col("n").str.contains(pl.col("c"), literal=True)
        & pl.col("n").str.contains(pl.col("p"), literal=True)
    )
    wrong["notes"] = ~named.to_series().fill_null(value=False)
    home.see(cells, wrong)
    return wrong


def _tell_implied(
    context: Context, home: Home, made: pl.DataFrame, wrong: dict[str, pl.Series]
) -> None:
    source = context.file_name("children")
    missing = made.filter(pl.col("row").is_null())["child_old"]
    detail = "the implied grant of this child is missing"
    context.answers.tell(
        Found("minus", source, _GRANTS, None, detail, 0, ()),
        missing.len(),
        lambda limit: [((old,), None) for old in missing.head(limit)],
    )
    there = made.filter(pl.col("row").is_not_null())
    for name, rows in wrong.items():
        at = rows.arg_true()
        chosen = there[at] if at.len() else there.clear()

        def keys(limit: int, chosen: pl.DataFrame = chosen) -> list[tuple[Key, Key]]:
            few = chosen.head(limit)
            ids = home.named(few["place"], limit)
            return [((old,), id_) for old, id_ in zip(few["child_old"], ids, strict=True)]

        detail = "not what an implied grant holds"
        context.answers.tell(
            Found("changed", source, _GRANTS, name, detail, 0, ()),
            at.len(),
            keys,
        )


def tell_rest(context: Context, table: str, sources: list[str]) -> None:
    """Name the rows of a target table that nothing accounts for."""
    home = context.homes[table]
    at = (~home.claimed).arg_true()
    for source in sources:
        if context.answers.wants(source):
            context.answers.tell(
                Found("plus", source, table, None, "of no loaded source row", 0, ()),
                at.len(),
                lambda limit: [(None, key) for key in home.named(at, limit)],
            )
            return
