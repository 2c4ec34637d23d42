"""Damage where two tables, two drivers or two places of one cell are involved (see ``damage``)."""

from __future__ import annotations

from .damage import Damage, change


def _elsewhere(
    table: str, column: str, other: str, source: str, where: str = "1", *also: str
) -> Damage:
    """A row that belongs to another row than it did."""
    return Damage(
        f"{table}.{column} of another row of {other}",
        (
            f"UPDATE main.{table} SET {column} = (SELECT o.id FROM main.{other} AS o "
            f"WHERE o.id <> {table}.{column} ORDER BY o.rowid DESC LIMIT 1) "
            f"WHERE rowid = (SELECT min(rowid) FROM main.{table} WHERE {where})",
        ),
        ("cells_match", source),
        also,
    )


def _of(source: str) -> str:
    return f"id IN (SELECT id FROM source.{source})"


MOVED = (
    _elsewhere("education_goals", "plan_id", "education_plans", "iep_goals", _of("iep_goals")),
    _elsewhere("goal_objectives", "goal_id", "education_goals", "iep_objectives"),
    _elsewhere("accommodations", "plan_id", "education_plans", "iep_accommodations"),
    _elsewhere("services", "plan_id", "education_plans", "iep_services"),
    _elsewhere("team_members", "plan_id", "education_plans", "iep_team_members"),
    _elsewhere("progress_records", "person_id", "persons", "iep_progress_reports"),
    _elsewhere("activities", "person_id", "persons", "pep_activities"),
    _elsewhere("activities", "goal_id", "education_goals", "pep_activities", "goal_id IS NOT NULL"),
    _elsewhere("activity_completions", "activity_id", "activities", "activity_completions"),
    _elsewhere("messages", "conversation_id", "conversations", "messages"),
    _elsewhere("screening_responses", "screening_id", "screenings", "screening_responses"),
    _elsewhere("assessment_evidence", "assessment_id", "assessments", "assessment_evidence"),
    _elsewhere(
        *("intervention_strategies", "intervention_id", "interventions", "intervention_strategies")
    ),
    _elsewhere(
        *("intervention_progress", "intervention_id", "interventions", "intervention_progress")
    ),
    _elsewhere(
        *("session_participants", "session_id", "consultation_sessions", "session_participants")
    ),
    _elsewhere("journal_attachments", "entry_id", "journal_entries", "journal_attachments"),
    _elsewhere("reports", "person_id", "persons", "reports"),
    _elsewhere("clinician_patient_views", "clinician_id", "users", "patients"),
    _elsewhere("education_plans", "person_id", "persons", "ieps", _of("ieps")),
    Damage(
        "a grant given by another parent",
        (
            "UPDATE main.access_grants SET grantor_id = (SELECT p.id FROM main.parents AS p WHERE "
            "p.id <> access_grants.grantor_id LIMIT 1) WHERE id = "
            "(SELECT new_id FROM ledger.consent_to_grant ORDER BY rowid LIMIT 1)",
        ),
        ("grants_not_wider", "access_grants"),
    ),
    Damage(
        "a goal under a plan of the other family",
        (
            "UPDATE main.education_goals SET plan_id = (SELECT p.id FROM main.education_plans AS p "
            "WHERE p.plan_type = 'PEP' LIMIT 1) WHERE rowid = (SELECT min(rowid) FROM "
            f"main.education_goals WHERE {_of('iep_goals')})",
        ),
        ("cells_match", "iep_goals"),
    ),
)


def _swapped(map_: str, finds: tuple[str, str | None], *also: str, key: str = "old_id") -> Damage:
    """Two entries of a map that exchanged their new ids: it stays one to one, and is wrong."""
    return Damage(
        f"two entries of {map_} swapped",
        (
            f"CREATE TEMP TABLE pair AS SELECT {key} AS k, new_id FROM ledger.{map_} "
            f"GROUP BY new_id HAVING count(*) = 1 ORDER BY {key} LIMIT 2",
            f"UPDATE ledger.{map_} SET new_id = (SELECT p.new_id FROM temp.pair AS p "
            f"WHERE p.k <> {map_}.{key}) WHERE {key} IN (SELECT k FROM temp.pair)",
            "DROP TABLE temp.pair",
        ),
        finds,
        tuple(also),
    )


_EVERYWHERE = (
    *("cells_match", "view_maps", "parent_views", "primary_caregiver"),
    *("child_map", "children_equation", "grants_not_wider", "implied_grants", "grants_count"),
    *("discrepancies", "unreadable_values", "demographic_mismatches", "suspected_duplicates"),
    *("person_notes", "persons_seen", "linked_children", "rows_logged", "id_collisions"),
)
MAPS = (
    _swapped("patient_to_person", ("cells_match", "patients"), *_EVERYWHERE),
    _swapped("patient_to_view", ("view_maps", "patients"), *_EVERYWHERE),
    _swapped("child_to_view", ("view_maps", "children"), *_EVERYWHERE),
    _swapped("parent_link_to_view", ("view_maps", "parent_children"), *_EVERYWHERE),
    _swapped("consent_to_grant", ("cells_match", "consent_grants"), *_EVERYWHERE),
)


def _cell(name: str, table: str, column: str, value: str, source: str, where: str = "1") -> Damage:
    """One target cell that another driver would show as the same, or not at all."""
    place = f"main.{table}"
    return Damage(
        name,
        (change(place, f"{column} = {value}", where),),
        ("cells_match", source),
        ("storage_classes",),
    )


READ = (
    _cell(
        "a byte that is no UTF-8",
        "contacts",
        "first_name",
        "CAST(x'41ff' AS TEXT)",
        "patient_contacts",
    ),
    _cell(
        "a NUL behind a text",
        "contacts",
        "last_name",
        "last_name || char(0)",
        "patient_contacts",
        "last_name IS NOT NULL",
    ),
    _cell(
        "a byte order mark before a text",
        "journal_entries",
        "title",
        "char(0xfeff) || title",
        "journal_entries",
        "title IS NOT NULL",
    ),
    _cell(
        "a line feed behind a text",
        "journal_entries",
        "content",
        "content || char(10)",
        "journal_entries",
        "content IS NOT NULL",
    ),
    _cell(
        "a blank for an empty text",
        "contacts",
        "occupation",
        "' '",
        "patient_contacts",
        "occupation = ''",
    ),
    _cell(
        "an empty BLOB for NULL",
        "journal_entries",
        "linked_goal_id",
        "x''",
        "journal_entries",
        "linked_goal_id IS NULL",
    ),
    _cell(
        "a text in other letters that look alike",
        "documents",
        "file_name",
        "replace(file_name, 'a', char(1072))",
        "patient_documents",
        "file_name LIKE '%a%'",
    ),
    _cell(
        "a text in capitals",
        "documents",
        "file_name",
        "upper(file_name)",
        "patient_documents",
        "file_name <> upper(file_name)",
    ),
    _cell("an instant in seconds", "appointments", "date", "date / 1000", "appointments"),
    _cell("an instant with a fraction", "appointments", "date", "date + 0.25", "appointments"),
    _cell("a boolean as a text", "messages", "is_read", "'true'", "messages"),
    _cell(
        "a number with more digits than a REAL",
        "documents",
        "file_size",
        "9007199254740993",
        "patient_documents",
        "file_size IS NOT NULL",
    ),
)


def _kept(name: str, values: str, where: str, finds: str = "rebuild") -> Damage:
    return Damage(
        name,
        (change("ledger.archive_reports", values, f"_reason = 'not_carried' AND {where}"),),
        (finds, "reports"),
        ("archive_verbatim", "archive_lists"),
    )


ARCHIVED = (
    _kept(
        "an archived text as bytes",
        "shared_with = CAST(shared_with AS BLOB)",
        "typeof(shared_with) = 'text'",
    ),
    _kept("an archived text that is no UTF-8", "shared_with = CAST(x'ff' AS TEXT)", "1"),
    Damage(
        "an archived NULL as an empty text",
        (change("ledger.archive_ieps", "grade = ''", "grade IS NULL AND _reason = 'not_carried'"),),
        ("rebuild", "ieps"),
    ),
    _kept("a list that is a text", "_archived = '\"content\"'", "1", "archive_lists"),
    _kept("a list of numbers", "_archived = '[1]'", "1", "archive_lists"),
    _kept("a list that is bytes", "_archived = CAST(_archived AS BLOB)", "1", "archive_lists"),
    _kept("no reason", "_reason = NULL", "1", "archive_lists"),
    Damage(
        "a number archived as a REAL",
        (
            change(
                "ledger.archive_ieps",
                "placement_percentage = placement_percentage + 0.0",
                "typeof(placement_percentage) = 'integer' AND _reason = 'not_carried'",
            ),
        ),
        ("rebuild", "ieps"),
    ),
    Damage(
        "two archived cells that changed places",
        (
            "CREATE TEMP TABLE pair AS SELECT rowid AS n, strengths FROM ledger.archive_ieps "
            "WHERE _reason = 'not_carried' AND strengths IS NOT NULL GROUP BY strengths LIMIT 2",
            "UPDATE ledger.archive_ieps SET strengths = (SELECT p.strengths FROM temp.pair AS p "
            "WHERE p.n <> archive_ieps.rowid) WHERE rowid IN (SELECT n FROM temp.pair)",
            "DROP TABLE temp.pair",
        ),
        ("rebuild", "ieps"),
    ),
    Damage(
        "a cell moved from the archive into the target",
        (
            "UPDATE main.education_plans SET notes = (SELECT a.strengths FROM ledger.archive_ieps "
            "AS a WHERE a.id = education_plans.id) WHERE rowid = (SELECT min(rowid) FROM "
            f"main.education_plans WHERE {_of('ieps')} AND instr(notes, char(10)) > 0)",
        ),
        ("cells_match", "ieps"),
    ),
)

BETWEEN = (*MOVED, *MAPS, *READ, *ARCHIVED)
