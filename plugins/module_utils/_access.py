# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may do what in a database: asked of the catalogues in one query, changed in one transaction. Private.

What is declared becomes wishes in _access_wishes, which is pure; here they are compared with a server and granted.
"""

from __future__ import annotations

from typing import Any, Iterable, Mapping, Optional, Sequence

from ._access_objects import absent
from ._access_wishes import Wish, database_wishes, server_wishes, strangers
from ._actor import ANSIBLE, actor
from ._audit import recorded
from ._errors import PgkeepError
from ._layout import Layout
from ._sql import connection, driver, query, rows

_HOME = "postgres"
# Whoever waits for a lock makes everybody wait who comes after him; an application's long transaction is no reason.
_PATIENCE = "set local lock_timeout = '5s'"


def bring_about(
    layout: Layout,
    databases: Sequence[Mapping[str, Any]],
    users: Sequence[Mapping[str, Any]],
    logins: Sequence[Mapping[str, Any]],
    check_mode: bool,
    roles: Optional[Sequence[Mapping[str, Any]]] = None,
    verifiers: Optional[Mapping[str, str]] = None,
) -> dict[str, Any]:
    """Grant and revoke until everything is as declared; returns access (statements and their databases, and what is
    absent), changed, diff.

    databases, users and logins are those of _clients.clients(). roles and verifiers are those of _access_objects: where
    something of that or a database is absent, nothing is done. Raises PgkeepError when PostgreSQL refuses; what was
    done in that database is then undone. A group that is none of ours is refused before anything is done.
    """
    lacking = absent(layout, databases, roles, verifiers or {}) if roles is not None else {}
    if any(lacking.values()):
        return _result([], lacking)
    _refuse_strangers(layout, databases, users)
    done = _in(layout, _HOME, server_wishes(logins), check_mode)
    for database in databases:
        done += _in(layout, database["name"], database_wishes(database, users, logins), check_mode)
    return _result(done, lacking)


def _result(done: list[dict[str, str]], lacking: Mapping[str, list[Any]]) -> dict[str, Any]:
    told = "".join("%(database)s: %(statement)s\n" % each for each in done)
    found = {"statements": done, "absent": {"roles": [], "databases": [], "extensions": [], **lacking}}
    return {"changed": bool(done), "access": found, "diff": {"before": "", "after": told}}


def _refuse_strangers(
    layout: Layout, databases: Sequence[Mapping[str, Any]], users: Sequence[Mapping[str, Any]]
) -> None:
    found = [row[0] for row in query(layout.socket_dir, strangers(databases, users))]
    if found:
        raise PgkeepError(
            "The role %s cannot be a group of users" % " and ".join(found),
            "somebody else made it, or gave it what our groups have not, such as LOGIN; members would get that",
            "rename it with ALTER ROLE, or take back what it was given, then run again; no privilege was changed",
        )


def missing(opened: Any, wishes: Sequence[Wish]) -> list[Wish]:
    """Those that do not hold, in one query."""
    answers = rows(opened, "select array[%s]" % ", ".join("(%s)" % wish.holds for wish in wishes))[0][0]
    return [wish for wish, holds in zip(wishes, answers) if not holds]


def _in(layout: Layout, database: str, wishes: Iterable[Wish], check_mode: bool) -> list[dict[str, str]]:
    wanted, error = list(wishes), driver().Error
    try:
        if check_mode and _is_foretold(layout, database):
            found = [wish for wish in wanted if not wish.undoes]
        else:
            with connection(layout.socket_dir, database) as opened:
                found = missing(opened, wanted)
                if found and not check_mode:
                    told = {"database": database, "statements": [wish.statement for wish in found]}
                    with recorded(layout.state_dir, "access", actor(ANSIBLE), told):
                        _change(opened, told["statements"])
    except error as failure:
        raise PgkeepError(
            "Privileges in the database %s are not as declared" % database,
            " ".join(str(failure).split()),
            "correct what it names, then run again; in this database nothing was changed",
        ) from failure
    return [{"database": database, "statement": wish.statement} for wish in found]


def _change(opened: Any, statements: Iterable[str]) -> None:
    opened.autocommit = False
    for statement in (_PATIENCE, *statements):
        rows(opened, statement)
    opened.commit()


def _is_foretold(layout: Layout, database: str) -> bool:
    """Whether the deploy that is only checked would make the database."""
    with connection(layout.socket_dir) as opened:
        return not rows(opened, "select 1 from pg_database where datname = %s", (database,))
