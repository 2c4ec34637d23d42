"""Where a PostgreSQL database is, as operators and Prisma write it, and what of it is shown."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from person_unify.errors import UsageError

_URL = re.compile("postgres(?:ql)?://", re.IGNORECASE)
_HOST = r"(?:\[[^]/?#@]*\]|[^][/?#@:,]*)(?::[0-9]*)?"
_PARTS = re.compile(
    f"{_URL.pattern}(?:(?P<user>[^/?#@:]*)(?P<secret>:[^/?#]*)?@)?"
    rf"(?P<place>{_HOST}(?:,{_HOST})*(?:/[^?#@]*)?)(?:\?(?P<query>[^#@]*))?",
    re.IGNORECASE,
)
"""A password that is not encoded fits none of these parts, and stands in no place or query."""

_OF_PRISMA = frozenset(
    "schema connection_limit pool_timeout pgbouncer socket_timeout statement_cache_size sslaccept "
    "sslidentity".split()
)
"""Parameters that Prisma takes for itself and libpq refuses."""
_OF_PLACE = ("host", "hostaddr", "port", "dbname", "service", "schema")
"""Parameters by which one schema is told from another."""

_SECRET = ("password", "sslpassword")


@dataclass(frozen=True, slots=True)
class Address:
    """One schema of one PostgreSQL database.

    uri: what libpq gets, which may hold a password and is never shown.  shown: the same without
    password, and of the parameters those that say where it is.
    """

    uri: str = field(repr=False)
    shown: str
    schema: str = "public"
    has_password: bool = False

    def __str__(self) -> str:
        return self.shown

    @property
    def place(self) -> tuple[object, ...]:
        """What two addresses of one schema share, whoever the user is, as far as words can tell.

        >>> one, other = address("postgresql://a@DB:5432/x"), address("postgres://db/x")
        >>> one.place == other.place == address("postgres://db/x?schema=public").place
        True
        """
        found = _PARTS.fullmatch(self.shown)
        assert found is not None
        host, _, name = found["place"].partition("/")
        given = _given(found) | {"schema": self.schema}
        return host.lower().removesuffix(":5432"), name, frozenset(given.items())


def is_address(text: str) -> bool:
    """Whether a word names a PostgreSQL database rather than a file.

    >>> is_address("postgresql://clinic/app"), is_address("new.db")
    (True, False)
    """
    return _URL.match(text) is not None


def address(text: str) -> Address:
    """A URL taken apart; raises :class:`UsageError`, which quotes nothing of it.

    >>> found = address("postgresql://app:secret@db:5432/clinic?schema=tenant&connection_limit=5")
    >>> found.uri, found.schema
    ('postgresql://app:secret@db:5432/clinic', 'tenant')
    >>> str(found), found.has_password
    ('postgresql://app@db:5432/clinic?schema=tenant', True)
    """
    found = _PARTS.fullmatch(text)
    if found is None:
        raise UsageError(
            "that is no PostgreSQL URL: write postgresql://USER@HOST:PORT/DATABASE, and in a name "
            "or a password %40 for @, %2F for /, %3F for ?, %23 for #"
        )
    given = _given(found)
    kept = "&".join(f"{name}={value}" for name, value in given.items() if name not in _OF_PRISMA)
    # Prisma takes the last @ before the host, libpq the first.
    user, secret = found["user"] or "", (found["secret"] or "").replace("@", "%40")
    schema = unquote(given.get("schema", "public"))
    if not schema or "\0" in schema:
        raise UsageError("the URL's schema is empty: leave ?schema= out, or name one")
    who = f"{user}@" if user else ""
    named = "&".join(f"{name}={given[name]}" for name in _OF_PLACE if name in given)
    return Address(
        uri=f"postgresql://{f'{user}{secret}@' if user or secret else ''}{found['place']}"
        + (f"?{kept}" if kept else ""),
        shown=f"postgresql://{who}{found['place']}" + (f"?{named}" if named else ""),
        schema=schema,
        has_password=len(secret) > 1 or any(name in given for name in _SECRET),
    )


def _given(found: re.Match[str]) -> dict[str, str]:
    """The parameters of a URL, as they are written."""
    return dict(part.partition("=")[::2] for part in (found["query"] or "").split("&") if part)


def working_file(ledger: Path) -> Path:
    """The verified SQLite target of a ledger; raises :class:`UsageError` for another name.

    >>> working_file(Path("a/new.ledger.db")).name
    'new.db'
    """
    stem, _, kind = ledger.stem.rpartition(".")
    target = ledger.with_name(f"{stem}{ledger.suffix}")
    if not stem or kind != "ledger":
        raise UsageError(f"{ledger.name} is no name of a ledger: write new.ledger.db or the like")
    return target
