# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may log in where: users and databases of an inventory joined. Pure. Private to the collection."""

from __future__ import annotations

from typing import Any, Iterable, Mapping

from ._errors import PgkeepError


def clients(
    users: Iterable[Mapping[str, Any]], databases: Iterable[Mapping[str, Any]], passwords: Mapping[str, str]
) -> list[dict[str, str]]:
    """One entry (service, database, user, password) for each database a user may log in to.

    users: name and optionally databases; without, those the user owns. databases: name and optionally owner.
    service is the database for its owner and database-user for the others.
    """
    owners = {database["name"]: database.get("owner") for database in databases}
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
