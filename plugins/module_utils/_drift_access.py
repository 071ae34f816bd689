# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Roles, databases and privileges that are not as declared, and those that nobody declared. Reads only. Private."""

from __future__ import annotations

from typing import Any, Iterator, Mapping, Optional, Sequence

from ._access import bring_about
from ._access_wishes import database_wishes, identifier, server_wishes
from ._drift_server import psql, quoted
from ._errors import PgkeepError
from ._finding import DEPLOY, Finding
from ._layout import Layout
from ._sql import connection, rows

_ROLES = """
select rolname, rolpassword, rolconnlimit,
       rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls
from pg_authid where rolname !~ '^pg_' order by rolname
"""
# Its way in is the socket, so a password would only be one more.
_SUPERUSER = "postgres"
_ATTRIBUTES = ("LOGIN", "SUPERUSER", "CREATEDB", "CREATEROLE", "REPLICATION", "BYPASSRLS")

_MEMBERS = """
select g.rolname, m.rolname from pg_auth_members a
join pg_roles g on g.oid = a.roleid join pg_roles m on m.oid = a.member
where m.rolname = any(%s) order by 1, 2
"""

_DATABASES = "select datname from pg_database where not datistemplate and datname <> 'postgres' order by datname"
_EXTENSIONS = "select extname from pg_extension"


def statements(
    databases: Sequence[Mapping[str, Any]],
    users: Sequence[Mapping[str, Any]],
    logins: Sequence[Mapping[str, Any]],
) -> list[str]:
    """Every statement that the declared privileges consist of."""
    wishes = [*server_wishes(logins)]
    for database in databases:
        wishes += database_wishes(database, users, logins)
    return [wish.statement for wish in wishes if not wish.undoes or " set role = " in wish.statement]


def findings(
    opened: Any,
    layout: Layout,
    declared: Mapping[str, Any],
    wanted: Sequence[str],
) -> Iterator[Finding]:
    """declared: roles (name, flags, limit, verifier), databases, users and logins of the module drift; wanted: what
    statements() makes of them."""
    logins = {each["name"] for key in ("logins", "users", "roles") for each in declared[key]}
    found = {row[0]: row[1:] for row in rows(opened, _ROLES)}
    superuser = found.pop(_SUPERUSER, None)
    if superuser is not None and superuser[0] is not None:
        fix = psql(layout, "alter role %s password null" % quoted(_SUPERUSER))
        yield Finding("roles", _SUPERUSER, "no password", "a password", fix)
    groups = {name for name in found if "create role %s nologin" % identifier(name) in wanted}
    for role in declared["roles"]:
        yield from of_role(role, found.get(role["name"]))
    for name in sorted(found.keys() - logins - groups):
        attributes = [word for word, has in zip(_ATTRIBUTES, found[name][2:]) if has]
        fix = "declare it in postgres_server_users, or %s" % psql(layout, "drop role %s" % quoted(name))
        yield Finding("roles", name, "absent", " ".join(["there", *attributes]), fix)
    # What is given to a group all of its members have.
    for group, member in rows(opened, _MEMBERS, (sorted(logins | groups),)):
        if "grant %s to %s" % (identifier(group), identifier(member)) not in wanted:
            fix = psql(layout, "revoke %s from %s" % (quoted(group), quoted(member)))
            yield Finding("roles", "%s in %s" % (member, group), "no member", "a member", fix)
    there = [name for (name,) in rows(opened, _DATABASES)]
    names = [database["name"] for database in declared["databases"]]
    for name in names:
        if name not in there:
            yield Finding("databases", name, "there", "absent")
    for name in there:
        if name not in names:
            fix = "declare it in postgres_server_databases, or drop it"
            yield Finding("databases", name, "absent", "there", fix)
    yield from _extensions(layout, [each for each in declared["databases"] if each["name"] in there])
    yield from _privileges(layout, declared, there)


def of_role(role: Mapping[str, Any], found: Optional[Sequence[Any]]) -> Iterator[Finding]:
    """found: the rest of its row of _ROLES, None where there is no such role."""
    name = role["name"]
    if found is None:
        yield Finding("roles", name, "there", "absent")
        return
    password, limit, has = found[0], found[1], found[2:]
    words = str(role["flags"]).upper().replace(" ", "").split(",")
    for attribute, actual in zip(_ATTRIBUTES, has):
        wanted = attribute in words
        # What the flags do not name is not declared.
        if (wanted or "NO" + attribute in words) and wanted != actual:
            both = [attribute if each else "NO" + attribute for each in (wanted, actual)]
            yield Finding("roles", name, *both)
    if int(role.get("limit", -1)) != limit:
        yield Finding("roles", name, "connection limit %s" % role.get("limit", -1), "%d" % limit)
    if role.get("verifier") is not None and role["verifier"] != password:
        yield Finding("roles", name, "its password", "another password" if password else "no password")


def _extensions(layout: Layout, databases: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    for database in databases:
        wanted = database.get("extensions") or ()
        if not wanted:
            continue
        with connection(layout.socket_dir, database["name"]) as opened:
            found = {name for (name,) in rows(opened, _EXTENSIONS)}
        for name in wanted:
            if name not in found:
                yield Finding("databases", "%s: extension %s" % (database["name"], name), "there", "absent")


def _privileges(layout: Layout, declared: Mapping[str, Any], there: Sequence[str]) -> Iterator[Finding]:
    databases = [each for each in declared["databases"] if each["name"] in there]
    try:
        answer = bring_about(layout, databases, declared["users"], declared["logins"], True)
    except PgkeepError as error:
        yield Finding("privileges", layout.name, "as declared", "%s: %s" % (error.what, error.why), error.next_step)
        return
    for each in answer["access"]["statements"]:
        yield Finding("privileges", each["database"], each["statement"], "it does not hold", DEPLOY)
