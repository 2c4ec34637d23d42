"""Everything that stops a run, as one tree.

    MigrationError               exit 1   failed; nothing changed, or it says what is complete
    ├── UsageError               exit 2   the call itself is wrong
    ├── SchemaRefused            exit 3   a database is not what the run needs
    │   ├── SourceError                   … the old one
    │   └── TargetError                   … the new one
    │       └── TargetInUse               … which another program has open or locked
    ├── DecisionsRefused         exit 3   a workbook or file of decisions cannot be taken as it is
    │   └── TenantsRefused                … a list of databases
    ├── VerificationFailed       exit 4   a check failed, nothing published
    ├── StrictStop               exit 5   ``--strict`` and there are error-level discrepancies
    ├── SourceChanged            exit 6   complete and published, but the source changed since
    └── DatabaseError            exit 1   SQLite, connectorx or ADBC said no
        ├── BatchTooLarge                 … more text in one read than Arrow can index
        ├── FeatureMissing                … a function or collation that this SQLite lacks
        ├── DiskError                     … the disk is full or failing
        ├── ServerError                   … a PostgreSQL server said no, or is gone
        └── DatabaseLocked                … another program has the file

An error stops the run and leaves every file as it was; only :class:`SourceChanged` comes after a
complete run.  A *discrepancy* is something else: a row in
the ledger, never an exception.  Messages name files, tables, columns, counts and ids, never a cell.
"""

from __future__ import annotations

from collections.abc import Sequence


class MigrationError(Exception):
    """The run failed and changed nothing; ``exit_code`` is what the command line ends with."""

    exit_code = 1


class UsageError(MigrationError):
    """The call cannot be carried out as written: same file twice, unknown time zone, bad option."""

    exit_code = 2


class SchemaRefused(MigrationError):
    """A database is not in the state that the migration needs; nothing was written."""

    exit_code = 3


class SourceError(SchemaRefused):
    """The source is missing, damaged, not an old-schema database, or breaks a precondition."""


class TargetError(SchemaRefused):
    """The target cannot take the rows: not empty, a table or column missing, a forbidding index."""


class TargetInUse(TargetError):
    """Another program has the target open or locked; what was made for it until then is kept."""


class DecisionsRefused(MigrationError):
    """Decisions are malformed, unknown or contradict each other; nothing was written.

    ``problems`` are sentences of their own, one per line after the message.
    """

    exit_code = 3

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        super().__init__("\n  ".join([message, *problems]))
        self.message = message
        self.problems = tuple(problems)


class TenantsRefused(DecisionsRefused):
    """A list of databases is malformed, or its runs would be in each other's way."""


class VerificationFailed(MigrationError):
    """At least one check of contract section 10 failed; the transaction was rolled back."""

    exit_code = 4


class StrictStop(MigrationError):
    """``--strict`` was given and there are discrepancies of severity ``error``."""

    exit_code = 5


class SourceChanged(MigrationError):
    """Target and ledger are complete and published, but the source changed since its snapshot."""

    exit_code = 6


class DatabaseError(MigrationError):
    """A database driver failed; the message is ours, because drivers quote cells in theirs."""


class BatchTooLarge(DatabaseError):
    """One read holds more text than a batch can index; the reader tries again with fewer rows."""


class FeatureMissing(DatabaseError):
    """A statement needs a function, collation or module that only some application brings along."""


class DiskError(DatabaseError):
    """The disk is full or failing; what was done until then is kept for ``--resume``."""


class DatabaseLocked(DatabaseError):
    """Another program has locked the file; callers say which one, and what to do about it."""


class ServerError(DatabaseError):
    """A PostgreSQL server refused a statement, or is gone.

    code: its SQLSTATE, '' for none.  constraint: the constraint or index concerned, '' for none.
    """

    def __init__(self, message: str, code: str = "", constraint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.constraint = constraint

    @property
    def lost(self) -> bool:
        """Whether the connection is gone, so that another one may find out more."""
        return not self.code or self.code.startswith(("08", "57P"))
