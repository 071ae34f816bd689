# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may log in where: users and databases of an inventory joined. Pure. Private to the collection."""

from __future__ import annotations

from typing import Any, Iterable, Mapping

from ._errors import PgkeepError

# Theirs is the superuser, the health check, and what the server keeps for itself.
_OWN_USERS = ("postgres", "pgkeep_monitor", "public", "none")
_OWN_DATABASES = ("postgres", "template0", "template1")


def clients(
    users: Iterable[Mapping[str, Any]], databases: Iterable[Mapping[str, Any]], passwords: Mapping[str, str]
) -> list[dict[str, str]]:
    """One entry (service, database, user, password) for each database a user may log in to.

    users: name and optionally databases; without, those the user owns. databases: name and optionally owner.
    service is the database for its owner and database-user for the others. Names that PostgreSQL or the modules that
    create them cannot have are refused here, before anything is changed.
    """
    owners = {database["name"]: database.get("owner") for database in databases}
    users = list(users)
    _check_names("user", [user["name"] for user in users], _OWN_USERS)
    _check_names("database", list(owners), _OWN_DATABASES)
    for database, owner in owners.items():
        if owner and owner not in [user["name"] for user in users]:
            raise PgkeepError(
                "The database %s cannot be given the owner %s" % (database, owner),
                "it is not in postgres_server_users",
                "add it there, or correct the owner",
            )
    found = []
    for user in users:
        name = user["name"]
        for database in user.get("databases") or [known for known, owner in owners.items() if owner == name]:
            if database not in owners:
                raise PgkeepError(
                    "The user %s cannot be given the database %s" % (name, database),
                    "it is not in postgres_server_databases",
                    "add it there, or correct the user's databases",
                )
            service = database if owners[database] == name else "%s-%s" % (database, name)
            found.append({"service": service, "database": database, "user": name, "password": passwords[name]})
    return found


def _check_names(what: str, names: list[str], own: tuple[str, ...]) -> None:
    for name in names:
        reason = None
        if not name or len(name.encode()) > 63:
            reason = "a name has 1 to 63 bytes"
        elif name in own or name.startswith("pg_"):
            reason = "it belongs to the server or to the collection"
        elif set(name) & set('"\0\n\r]'):
            reason = "double quotes, line breaks and ] cannot be in it"
        elif names.count(name) > 1:
            reason = "it is declared twice"
        if reason:
            raise PgkeepError(
                "The %s %s cannot be declared" % (what, ascii(name)), reason, "correct postgres_server_%ss" % what
            )
