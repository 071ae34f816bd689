# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may log in where: users and databases of an inventory joined. Pure. Private to the collection."""

from __future__ import annotations

import os
from typing import Any, Iterable, Mapping, Optional, Sequence

from ._errors import PgkeepError
from ._passwords import weakness

# Theirs is the superuser, the health check, the pooler, and what the server keeps for itself.
_OWN_USERS = ("postgres", "pgkeep_monitor", "pgkeep_pooler", "pgkeep_stats", "public", "none")
# What a user may do in a database; each is a group role named after the database.
LEVELS = ("owner", "readwrite", "readonly")
_OWN_DATABASES = ("postgres", "template0", "template1")


def clients(
    users: Iterable[Mapping[str, Any]],
    databases: Iterable[Mapping[str, Any]],
    passwords: Mapping[str, str],
    logins: Optional[Sequence[Mapping[str, Any]]] = None,
) -> list[dict[str, str]]:
    """One entry (service, database, user, password) for each database a user may log in to.

    users: name and optionally databases and access; without databases, those the user owns. databases: name and
    optionally owner. logins: the users as _logins.logins() tells them apart, where some have two. service is the
    database for the first who owns it and database-user for the others. What check_objects() refuses is refused.
    """
    users, databases = list(users), list(databases)
    check_objects(users, databases)
    _check_passwords(users)
    owners = _owners(databases)
    first = {database: owner or _first_owner(users, database) for database, owner in owners.items()}

    def service(login: Mapping[str, Any], database: str) -> str:
        if login.get("spare"):
            return "%s-%s" % (database, login["name"])
        user = login.get("user", login["name"])
        return database if first[database] == user else "%s-%s" % (database, user)

    return [
        {
            "service": service(login, database),
            "database": database,
            "user": login["name"],
            "password": passwords[login["name"]],
        }
        for login in (users if logins is None else logins)
        for database in _databases_of(login, owners)
    ]


def _check_passwords(users: Iterable[Mapping[str, Any]]) -> None:
    """Those that the inventory gives; the others are made."""
    for user in users:
        why = weakness(str(user["password"]), user["name"]) if "password" in user else None
        if why:
            raise PgkeepError(
                "The password of the user %s is refused" % user["name"],
                why,
                "give another one in postgres_server_users, or none to have one made; nothing was changed",
            )


def check_objects(users: Sequence[Mapping[str, Any]], databases: Sequence[Mapping[str, Any]]) -> None:
    """Raises PgkeepError for names that PostgreSQL or the modules that create them cannot have, and for owners and
    databases that nobody declares. users and databases are those of clients()."""
    owners = _owners(databases)
    names = [user["name"] for user in users]
    _check_names("user", names, _OWN_USERS)
    _check_names("database", [database["name"] for database in databases], _OWN_DATABASES)
    _check_groups(users, owners)
    for database, owner in owners.items():
        if owner and owner not in names:
            raise PgkeepError(
                "The database %s cannot be given the owner %s" % (database, owner),
                "it is not in postgres_server_users",
                "add it there, or correct the owner",
            )
    for user in users:
        _check_access(user)
        for database in _databases_of(user, owners):
            if database not in owners:
                raise PgkeepError(
                    "The user %s cannot be given the database %s" % (user["name"], database),
                    "it is not in postgres_server_databases",
                    "add it there, or correct the user's databases",
                )


def check_scripts(scripts: Sequence[Mapping[str, Any]]) -> None:
    """Raises PgkeepError where two scripts (database, file) of one database have the same name in different folders.

    A script is remembered by its name and not by its folder, which differs between two checkouts: the second of them
    would be taken for the first one, changed.
    """
    known: dict[tuple[str, str], str] = {}
    for script in scripts:
        name = os.path.basename(script["file"])
        other = known.setdefault((script["database"], name), script["file"])
        if other != script["file"]:
            raise PgkeepError(
                "The script %s cannot be told from %s" % (script["file"], other),
                "both run in the database %s and a script is remembered by the name %s alone"
                % (script["database"], name),
                "rename one that has not run yet, in postgres_server_init_sql too",
            )


def _owners(databases: Sequence[Mapping[str, Any]]) -> dict[str, Optional[str]]:
    return {database["name"]: database.get("owner") for database in databases}


def group(database: str, level: str) -> str:
    """The role whose members have that access."""
    return "%s_%s" % (database, level)


def has_groups(users: Iterable[Mapping[str, Any]], database: str) -> bool:
    return any(database in (user.get("access") or {}) for user in users)


def _first_owner(users: Sequence[Mapping[str, Any]], database: str) -> Optional[str]:
    return next((user["name"] for user in users if (user.get("access") or {}).get(database) == "owner"), None)


def _databases_of(user: Mapping[str, Any], owners: Mapping[str, Optional[str]]) -> list[str]:
    """In the order of the inventory, each once."""
    name = user.get("user", user["name"])
    given = user.get("databases") or [known for known, owner in owners.items() if owner == name]
    return list(dict.fromkeys([*given, *(user.get("access") or {})]))


def _check_access(user: Mapping[str, Any]) -> None:
    for database, level in (user.get("access") or {}).items():
        if level not in LEVELS:
            raise PgkeepError(
                "The user %s cannot be given access to %s" % (user["name"], database),
                "there is no access %s" % level,
                "use one of %s" % ", ".join(LEVELS),
            )


def _check_groups(users: Sequence[Mapping[str, Any]], databases: Iterable[str]) -> None:
    names = {user["name"] for user in users}
    for database in databases:
        for role in (group(database, level) for level in LEVELS):
            why = None
            if role in names:
                why = "that is also the name of a user"
            elif len(role.encode()) > 63:
                why = "that has more than 63 bytes"
            if why and has_groups(users, database):
                raise PgkeepError(
                    "The database %s cannot have groups of users" % ascii(database),
                    "one of them would be called %s, and %s" % (ascii(role), why),
                    "rename one, or use no access to this database in postgres_server_users",
                )


def _check_names(what: str, names: list[str], own: tuple[str, ...]) -> None:
    for name in names:
        reason = None
        if not name or len(name.encode()) > 63:
            reason = "a name has 1 to 63 bytes"
        elif name in own or name.startswith("pg_"):
            reason = "it belongs to the server or to the collection"
        elif set(name) & set('"\0\n\r]%'):
            # The modules of community.postgresql that create it take a percent sign for a place of their own values.
            reason = "double quotes, percent signs, line breaks and ] cannot be in it"
        elif names.count(name) > 1:
            reason = "it is declared twice"
        if reason:
            raise PgkeepError(
                "The %s %s cannot be declared" % (what, ascii(name)), reason, "correct postgres_server_%ss" % what
            )
