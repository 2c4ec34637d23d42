"""Access grants: none wider than its consent, and those a link implies (contract section 5)."""

from __future__ import annotations

from person_unify.mappings.platform import CLOSED
from person_unify.stages.verify import cells, relations
from person_unify.stages.verify.bench import Bench, in_list
from person_unify.stages.verify.rules import closed
from person_unify.stages.verify.words import Words

_OWED = "SELECT count(*) FROM temp.verify_implied WHERE state = 'owed' AND mode <> 'none'"
PERMISSIONS = '{"view": true, "edit": false, "assessments": true, "reports": true, "iep": false}'


def prepare_implied(bench: Bench) -> None:
    """``verify_implied``: per (person, parent) of linked children, whether a grant is owed.

    state: ``owed``, or ``spoken for`` by a consent row of any status, or ``impossible``.
    mode: what the operator, or a decision on this grant, makes of it.
    """
    bench.temp(
        "verify_consents",
        "CREATE TEMP TABLE verify_consents (person_id TEXT, parent_id TEXT, "
        "PRIMARY KEY (person_id, parent_id)) WITHOUT ROWID",
    )
    consents = bench.source("consent_grants")
    if consents is not None:
        person = relations.person_of(bench.column("consent_grants", "patient_id"), "patients")
        parent = cells.text(bench.column("consent_grants", "parent_id"))
        bench.database.execute(
            "INSERT OR IGNORE INTO temp.verify_consents SELECT person_id, parent_id FROM "
            f"(SELECT {person} AS person_id, {parent} AS parent_id FROM {consents} AS s) "
            "WHERE person_id IS NOT NULL AND parent_id IS NOT NULL"
        )
    deleted = bench.column("patients", "deleted_at")
    patients = bench.source("patients") or "(SELECT NULL AS id)"
    bench.temp(
        "verify_implied",
        "CREATE TEMP TABLE verify_implied (person_id TEXT, parent_id TEXT, child_id TEXT, "
        "patient_id TEXT, clinician_id TEXT, state TEXT, mode TEXT, "
        "PRIMARY KEY (person_id, parent_id)) WITHOUT ROWID",
        "INSERT INTO temp.verify_implied SELECT f.person_id, f.parent_id, f.child_id, "
        "p.patient_id, "
        "r.clinician_id, CASE WHEN EXISTS (SELECT 1 FROM temp.verify_consents AS c "
        "WHERE c.person_id = f.person_id AND c.parent_id = f.parent_id) THEN 'spoken for' "
        "WHEN NOT EXISTS (SELECT 1 FROM main.users AS u WHERE u.id = r.clinician_id) "
        f"OR {deleted} IS NOT NULL THEN 'impossible' ELSE 'owed' END, CASE WHEN {_closed(bench)} "
        "THEN 'none' ELSE coalesce((SELECT d.decision "
        "FROM temp.verify_decided AS d WHERE d.kind = 'implied_grant' AND d.source_id = f.child_id "
        f"AND d.related_id = p.patient_id), {cells.literal(bench.options.implied_grants)}) END "
        "FROM temp.verify_pairs AS f JOIN temp.verify_people AS p ON p.person_id = f.person_id "
        "JOIN temp.verify_patients AS r ON r.old_id = p.patient_id "
        f"JOIN {patients} AS s ON s.id = r.old_id WHERE f.children > 0",
    )


def _closed(bench: Bench) -> str:
    """Whether the user of clinician ``r`` or of the parent of pair ``f`` has a closed account."""
    users = bench.source("users")
    if users is None:
        return "0"
    deleted, status = (bench.column("users", name, "a") for name in ("deleted_at", "status"))
    return (
        f"EXISTS (SELECT 1 FROM {users} AS a WHERE ({deleted} IS NOT NULL "
        f"OR lower({cells.text(status)}) IN {in_list(CLOSED)}) AND a.id IN (r.clinician_id, "
        "(SELECT q.user_id FROM main.parents AS q WHERE q.id = f.parent_id)))"
    )


def check_grants(bench: Bench) -> None:
    """Counts, the direction of every change, and the contents of implied grants."""
    bench.progress("access_grants")
    with bench.guarded("grants_count", "access_grants"):
        loaded = bench.value(
            "SELECT count(*) FROM temp.verify_consent_to_grant AS m WHERE EXISTS "
            "(SELECT 1 FROM main.access_grants AS g WHERE g.id = m.new_id)"
        )
        owed = bench.value(_OWED)
        grants = bench.value("SELECT count(*) FROM main.access_grants")
        detail = f"consents {loaded} + implied {owed}"
        bench.compare("grants_count", "access_grants", loaded + owed, grants, detail)
    with bench.guarded("grants_not_wider", "access_grants"):
        _check_not_wider(bench)
    with bench.guarded("implied_grants", "access_grants"):
        _check_implied(bench)


def _check_not_wider(bench: Bench) -> None:
    """Status, person and parent of every consent's grant, and that no closed one is open."""
    bound = bench.mapping("consent_grants")
    if bound is None:
        bench.skip("grants_not_wider", "access_grants", "the source has no consents")
        return
    words = Words(bench, bound)
    status = cells.text(words.cell("status"))
    person = relations.person_of(words.cell("patient_id"), "patients")
    parent = relations.key_text(words.cell("parent_id"))
    sums = {
        "open although the consent is not": f"g.status IN ('active', 'pending') "
        f"AND ({status}) IS NOT g.status",
        "open although the consent is unreadable": f"{closed(words.cell)} "
        "AND (g.status <> 'revoked' OR g.token IS NOT NULL OR g.token_expires_at IS NOT NULL)",
        "of another person": f"g.person_id IS NOT ({person})",
        "of another parent": f"g.grantor_type IS NOT 'parent' OR g.grantor_id IS NOT {parent}",
    }
    listed = ", ".join(f"coalesce(sum(CASE WHEN {s} THEN 1 ELSE 0 END), 0)" for s in sums.values())
    row = bench.rows(
        f"SELECT count(*), {listed} FROM {bench.source('consent_grants')} AS s "
        "JOIN temp.verify_consent_to_grant AS m ON m.old_id = +s.id "
        "JOIN main.access_grants AS g ON g.id = m.new_id"
    )[0]
    failures = [(name, int(n)) for name, n in zip(sums, row[1:], strict=True)]
    bench.judge("grants_not_wider", "access_grants", int(row[0]), failures)


def wrong_contents(bench: Bench) -> dict[str, str]:
    """Per column of an implied grant ``g``, owed as row ``i`` says, whether it is wrong."""
    now = str(bench.options.run_time_ms)
    email = (
        "coalesce((SELECT u.email FROM main.parents AS p JOIN main.users AS u ON u.id = p.user_id "
        "WHERE p.id = i.parent_id), '')"
    )
    expected = {
        "grantor_type": "'parent'",
        "grantee_type": "'clinician'",
        "grantee_id": "i.clinician_id",
        "permissions": cells.literal(PERMISSIONS),
        "access_level": "'view'",
        "token": "NULL",
        "token_expires_at": "NULL",
        "status": "i.mode",
        "granted_at": now,
        "activated_at": f"CASE i.mode WHEN 'active' THEN {now} END",
        "expires_at": "NULL",
        "revoked_at": "NULL",
        "granted_by_name": email,
        "granted_by_email": email,
        "grantee_email": "NULL",
        "audit_log": "'[]'",
    }
    wrong = {
        name: f"NOT {cells.same(f'g.{name}', f'({value})')}" for name, value in expected.items()
    }
    wrong["notes"] = "instr(g.notes, i.child_id) = 0 OR instr(g.notes, i.patient_id) = 0"
    return wrong


def prepare_granted(bench: Bench) -> None:
    """``verify_granted``: the grants that came from a consent, by the map."""
    bench.temp(
        "verify_granted",
        "CREATE TEMP TABLE verify_granted (new_id TEXT PRIMARY KEY) WITHOUT ROWID",
        "INSERT OR IGNORE INTO temp.verify_granted SELECT new_id FROM ledger.consent_to_grant "
        "WHERE new_id IS NOT NULL",
    )


def _check_implied(bench: Bench) -> None:
    """Grants that no consent speaks for are exactly those that are owed."""
    prepare_granted(bench)
    wrong = {"not owed": "i.state IS NOT 'owed' OR i.mode = 'none'", **wrong_contents(bench)}
    listed = ", ".join(f"coalesce(sum(CASE WHEN {s} THEN 1 ELSE 0 END), 0)" for s in wrong.values())
    row = bench.rows(
        f"SELECT count(*), {listed} FROM (SELECT * FROM main.access_grants AS g WHERE NOT EXISTS "
        "(SELECT 1 FROM temp.verify_granted AS m WHERE m.new_id = g.id)) AS g "
        "LEFT JOIN temp.verify_implied AS i "
        "ON i.person_id = g.person_id AND i.parent_id = g.grantor_id"
    )[0]
    made = int(row[0])
    owed = bench.value(_OWED)
    missing = bench.value(
        "SELECT count(*) FROM temp.verify_implied AS i WHERE i.state = 'owed' "
        "AND i.mode <> 'none' AND NOT EXISTS "
        "(SELECT 1 FROM main.access_grants AS g WHERE g.person_id = i.person_id "
        "AND g.grantor_id = i.parent_id)"
    )
    failures = [("missing", missing)]
    failures += [(name, int(n)) for name, n in zip(wrong, row[1:], strict=True)]
    bench.judge("implied_grants", "access_grants", max(made, owed), failures)
