# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SQL over the superuser's socket, as root on the host or postgres in the keeper. Private to the collection.

What we ask must not depend on what somebody has set for his database or role: a schema of his before the catalogue,
another role, a transaction that cannot write, a time that is over at once, an event trigger that refuses logins. So
every connection brings settings of its own, which win over those of databases and roles (PostgreSQL manual, "Setting
Parameters"). A superuser is subject to no row security, so that needs none.
"""

from __future__ import annotations

import contextlib
import re
from typing import Any, Iterator, Mapping, Optional, Sequence

from ._errors import PgkeepError
from ._files import read
from ._layout import PORT

READ_ONLY = "default_transaction_read_only"

_GUARDED = {
    "search_path": "pg_catalog",
    "role": "none",
    READ_ONLY: "off",
    "default_transaction_isolation": "read committed",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
}
# Servers before do not know them and would refuse the connection.
_GUARDED_17 = {"transaction_timeout": "0", "event_triggers": "off"}

# In the second line of the lock beside the socket: the data directory, of the server or of a copy.
_MAJOR = re.compile(r"\d+\n/.*/(\d+)/data[^/\n]*\n")


def driver() -> Any:
    """The psycopg2 module, imported late so that a machine without it gets a message and not a traceback."""
    try:
        import psycopg2
    except ImportError as error:
        raise PgkeepError(
            "PostgreSQL cannot be asked",
            "the Python library psycopg2 is missing: %s" % error,
            "install python3-psycopg2",
        ) from error
    return psycopg2


def guarded(socket_dir: str) -> dict[str, str]:
    """The settings that keep a superuser's session free of those of databases and roles, for the server that has its
    socket there."""
    return {**_GUARDED, **(_GUARDED_17 if _major(socket_dir) >= 17 else {})}


def as_options(settings: Mapping[str, str]) -> str:
    """The same for libpq's options or the variable PGOPTIONS."""
    return " ".join("-c %s=%s" % (name, re.sub(r"([\\ ])", r"\\\1", value)) for name, value in settings.items())


def conninfo(socket_dir: str, database: str, inside: Optional[str] = None) -> str:
    """The same connection for --dbname of PostgreSQL's programs, which take a bare name with a = in it for a connection
    string. inside: socket_dir as a program in a container sees it."""
    values = {
        "host": inside or socket_dir,
        "user": "postgres",
        "dbname": database,
        "application_name": "pgkeep",
        "options": as_options(guarded(socket_dir)),
    }
    return " ".join("%s='%s'" % (key, re.sub(r"([\\'])", r"\\\1", value)) for key, value in values.items())


def _major(socket_dir: str) -> int:
    """The server's major version before it is asked; 0 where there is none, or none of ours."""
    try:
        found = _MAJOR.match(read("%s/.s.PGSQL.%d.lock" % (socket_dir, PORT)) or "")
    except OSError:
        return 0
    return int(found.group(1)) if found else 0


def connect(
    socket_dir: str,
    database: str = "postgres",
    timeout_seconds: int = 5,
    user: str = "postgres",
    settings: Optional[Mapping[str, str]] = None,
) -> Any:
    """A connection in autocommit mode, the superuser's; the caller closes it. psycopg2's errors pass through.

    settings: None for guarded(); only a superuser may bring all of those.
    """
    opened = driver().connect(
        host=socket_dir,
        user=user,
        dbname=database,
        connect_timeout=timeout_seconds,
        application_name="pgkeep",
        options=as_options(guarded(socket_dir) if settings is None else settings),
    )
    opened.autocommit = True
    return opened


@contextlib.contextmanager
def connection(
    socket_dir: str,
    database: str = "postgres",
    timeout_seconds: int = 5,
    user: str = "postgres",
    settings: Optional[Mapping[str, str]] = None,
) -> Iterator[Any]:
    """connect() for a block, closed at its end."""
    opened = connect(socket_dir, database, timeout_seconds, user, settings)
    try:
        yield opened
    finally:
        opened.close()


def rows(opened: Any, statement: str, values: Optional[Sequence[Any]] = None) -> list[tuple[Any, ...]]:
    """Run one statement and return all its rows, none for a statement without."""
    with opened.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall()) if cursor.description else []


def query(socket_dir: str, statement: str, values: Optional[Sequence[Any]] = None) -> list[tuple[Any, ...]]:
    """All rows of one statement in the database postgres. Raises PgkeepError when there is no answer but an error."""
    try:
        with connection(socket_dir) as opened:
            return rows(opened, statement, values)
    except driver().Error as error:
        raise PgkeepError(
            "PostgreSQL did not do what it was asked",
            " ".join(str(error).split()),
            "correct what it names (docker logs of the server shows more), then repeat",
        ) from error
