"""What people would use instead of person-unify, each written as its users would write it.

Every peer moves the same old database into the same unified schema and verifies nothing, archives
nothing and logs nothing.  All expect a database without faults (``sample --faults 0``): none would
survive the others.

| peer | what it is | tables |
| --- | --- | --- |
| sql-naive | ``ATTACH`` and ``INSERT … SELECT`` with joins, the target's indexes in place | all |
| sql-tuned | the same by an expert: sorted, indexes after the load, cache, exclusive lock | all |
| sql-unsafe | sql-tuned without journal and without syncing | all |
| row-by-row | Python's sqlite3, a row at a time | all |
| sqlalchemy | ORM objects and bulk inserts | all |
| pandas | ``read_sql``, ``merge``, ``to_sql`` | core |
| prisma-create | Prisma clients for both schemas, one ``create`` at a time | core |
| prisma-many | the same with ``createMany`` in batches of 1000 | core |
| limit | ``VACUUM INTO`` of a finished target: nearly what SQLite needs to write it at all | all |
"""

CORE = (
    "users",
    "parents",
    "persons",
    "parent_child_views",
    "clinician_patient_views",
    "access_grants",
    "contacts",
    "documents",
    "screenings",
    "journal_entries",
    "reports",
)
"""Target tables that the peers for core tables fill."""
