# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SQL over the superuser's socket, as root on the host or postgres in the keeper. Private to the collection."""

from __future__ import annotations

import contextlib
from typing import Any, Iterator, Optional, Sequence

from ._errors import PgkeepError


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


@contextlib.contextmanager
def connection(
    socket_dir: str, database: str = "postgres", timeout_seconds: int = 5, user: str = "postgres"
) -> Iterator[Any]:
    """A connection in autocommit mode, the superuser's, closed at the end; psycopg2's errors pass through."""
    opened = driver().connect(
        host=socket_dir, user=user, dbname=database, connect_timeout=timeout_seconds, application_name="pgkeep"
    )
    try:
        opened.autocommit = True
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
