# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which declared roles, databases and extensions are not as declared. Private to the collection.

The modules of community.postgresql make them; each costs half a second for each object also where nothing is to do. So
they are asked for only where one of these conditions, which are those of the modules, does not hold.
"""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from ._access_wishes import literal
from ._errors import PgkeepError
from ._layout import Layout
from ._sql import connection, driver, rows

# Word of role_attr_flags -> column of pg_authid.
_FLAGS = {
    "BYPASSRLS": "rolbypassrls",
    "CREATEDB": "rolcreatedb",
    "CREATEROLE": "rolcreaterole",
    "INHERIT": "rolinherit",
    "LOGIN": "rolcanlogin",
    "REPLICATION": "rolreplication",
    "SUPERUSER": "rolsuper",
}

# What the collection itself needs, as the role postgres_server makes it: the keeper reads there what statements cost.
_OWN: Mapping[str, Any] = {"name": "postgres", "extensions": ["pg_stat_statements"]}


def absent(
    layout: Layout,
    databases: Sequence[Mapping[str, Any]],
    roles: Sequence[Mapping[str, Any]],
    verifiers: Mapping[str, str],
) -> dict[str, list[Any]]:
    """roles and databases by name, extensions as {database, name}: those that are not there or not as declared.

    databases: name, owner, extensions. roles: name, flags, limit. verifiers: name of a role -> SHA-256 of its verifier,
    in hexadecimal. Raises PgkeepError when there is no answer.
    """
    conditions = [role_holds(role, verifiers.get(role["name"])) for role in roles]
    conditions += [database_holds(database) for database in databases]
    named = [str(each["name"]) for each in (*roles, *databases)]
    wanted = [database for database in (*databases, _OWN) if database.get("extensions")]
    try:
        with connection(layout.socket_dir) as opened:
            holds = rows(opened, "select array[%s]::boolean[]" % ", ".join(conditions))[0][0]
            there = {name for (name,) in rows(opened, "select datname from pg_database")}
        found = {name: _extensions(layout, name) for name in {each["name"] for each in wanted} & there}
    except driver().Error as error:
        raise PgkeepError(
            "Users and databases of %s cannot be looked at" % layout.name,
            " ".join(str(error).split()),
            "correct what it names, then run again; nothing was changed",
        ) from error
    missing = [name if not held else None for name, held in zip(named, holds)]
    return {
        "roles": [name for name in missing[: len(roles)] if name is not None],
        "databases": [name for name in missing[len(roles) :] if name is not None],
        "extensions": [
            {"database": database["name"], "name": name}
            for database in wanted
            for name in database["extensions"]
            if name not in found.get(database["name"], ())
        ],
    }


def _extensions(layout: Layout, database: str) -> set[str]:
    with connection(layout.socket_dir, database) as opened:
        return {name for (name,) in rows(opened, "select extname from pg_extension")}


def role_holds(role: Mapping[str, Any], verifier_sha256: Any = None) -> str:
    """An SQL expression. The verifier itself is in no statement, so it is in no log."""
    conditions = ["rolname = %s" % literal(role["name"]), "rolconnlimit = %d" % int(role["limit"])]
    for word in filter(None, (each.strip().upper() for each in role["flags"].split(","))):
        denied = word.startswith("NO")
        column = _FLAGS.get(word[2:] if denied else word)
        # What nobody here knows is for the module to judge.
        conditions.append("false" if column is None else "not " + column if denied else column)
    if verifier_sha256 is not None:
        conditions.append("encode(sha256(convert_to(rolpassword, 'UTF8')), 'hex') = %s" % literal(verifier_sha256))
    return "exists (select from pg_authid where %s)" % " and ".join(conditions)


def database_holds(database: Mapping[str, Any]) -> str:
    """An SQL expression."""
    conditions = ["datname = %s" % literal(database["name"]), "pg_encoding_to_char(encoding) = 'UTF8'"]
    if database.get("owner") is not None:
        conditions.append("pg_get_userbyid(datdba) = %s" % literal(database["owner"]))
    return "exists (select from pg_database where %s)" % " and ".join(conditions)
