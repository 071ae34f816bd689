# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From users and databases to roles, memberships and privileges. Pure. Private to the collection.

A wish is a condition over the catalogues and the statement that makes it true. Conditions never fail: a role or schema
that is not there makes them false, or true where it is the better word for nothing to do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Iterator, Mapping, Optional, Sequence

from ._clients import LEVELS, group, has_groups

_MONITOR = "pgkeep_monitor"
# By it our groups are known from those of somebody else that have the same name.
_NOTE = "Made by pgkeep: what users with this access may do in the database."

_DATABASE_ACL = "(select coalesce(datacl, acldefault('d', datdba)) from pg_database where datname = current_database())"
_DATABASE_OID = "(select oid from pg_database where datname = current_database())"

# Kind of object -> its letter in pg_default_acl, what readwrite and readonly may do with it.
_DEFAULTS: dict[str, tuple[str, dict[str, tuple[str, ...]]]] = {
    "schemas": ("n", {"readwrite": ("USAGE",), "readonly": ("USAGE",)}),
    "tables": ("r", {"readwrite": ("SELECT", "INSERT", "UPDATE", "DELETE"), "readonly": ("SELECT",)}),
    "sequences": ("S", {"readwrite": ("USAGE", "SELECT", "UPDATE"), "readonly": ("SELECT",)}),
}


@dataclass(frozen=True)
class Wish:
    """holds: whether it is true already, an SQL expression; statement: what makes it true; undoes: whether it takes
    something away that no new database has."""

    holds: str
    statement: str
    undoes: bool = False


def server_wishes(logins: Sequence[Mapping[str, Any]]) -> Iterator[Wish]:
    """What is not about one database: of the health checks, and of logins that stand for another role."""
    yield _member("pg_monitor", _MONITOR)
    # Whoever looks gets in when applications use up all connections. PostgreSQL has the role from 16 on.
    reserved = _member("pg_use_reserved_connections", _MONITOR)
    yield replace(reserved, holds="%s is null or %s" % (_oid("pg_use_reserved_connections"), reserved.holds))
    for login in logins:
        for wish in _login(login):
            yield _if_there(login, wish)


def _login(login: Mapping[str, Any]) -> Iterator[Wish]:
    user = login.get("user", login["name"])
    if user != login["name"]:
        yield _member(user, login["name"])
        yield _acts_as(login["name"], user, None)
    if "expires" in login:
        yield _expires(login["name"], login["expires"])


def _if_there(login: Mapping[str, Any], wish: Wish) -> Wish:
    """Nobody makes the role of a login that has ended: it was given up before there was one, or data of a time before
    it were restored."""
    if not login.get("ended"):
        return wish
    return replace(wish, holds="%s is null or %s" % (_oid(login["name"]), wish.holds))


def database_wishes(
    database: Mapping[str, Any], users: Sequence[Mapping[str, Any]], logins: Sequence[Mapping[str, Any]]
) -> Iterator[Wish]:
    """Everything about one database, in the order in which it can be done. Arguments are those of
    _access.bring_about()."""
    name = database["name"]
    managed = has_groups(users, name)
    if managed:
        for level in LEVELS if database.get("owner") is None else LEVELS[1:]:
            yield from _group(group(name, level))
    owner = database.get("owner") or (group(name, "owner") if managed else None)
    yield _not_everybody(_DATABASE_ACL, "CONNECT", "database %s" % identifier(name))
    yield _not_everybody(_schema_acl("public"), "CREATE", "schema public")
    if owner is not None:
        yield _owned(name, owner)
        yield _in_schema("public", owner, "CREATE")
    for schema in database.get("schemas") or ():
        yield from _schema(schema, owner)
    for user in users:
        yield from _user(name, owner, user, logins)
    if managed and owner is not None:
        for level in LEVELS[1:]:
            yield from _rights(name, owner, level, ["public", *(database.get("schemas") or ())])


def _user(
    database: str, owner: Optional[str], user: Mapping[str, Any], logins: Sequence[Mapping[str, Any]]
) -> Iterator[Wish]:
    name, level = user["name"], (user.get("access") or {}).get(database)
    role = owner if level == "owner" else group(database, level) if level else None
    if role not in (None, name):
        yield _member(str(role), name)
    for each in LEVELS:
        if group(database, each) != role:
            yield _no_member(group(database, each), name)
    sessions = [login for login in logins if login.get("user") == name] or [user]
    sessions.sort(key=lambda login: str(login["name"]))
    if level == "owner" and owner not in (None, name):
        yield _handed_over(name, str(owner))
        for login in sessions:
            yield _if_there(login, _acts_as(login["name"], str(owner), database))
    elif owner != name:
        if owner not in (None, group(database, "owner")):
            yield _no_owner_any_more(str(owner), name, database)
        for role in sorted({str(owner or group(database, "owner")), group(database, "owner")}):
            for login in sessions:
                yield _if_there(login, _acts_for_itself(login["name"], role, database))
    if owner != name:
        direct = level is None and database in (user.get("databases") or ())
        yield _on_database(database, name) if direct else _not_on_database(database, name)


def _rights(database: str, owner: str, level: str, schemas: Sequence[str]) -> Iterator[Wish]:
    """What a group may do with whatever the owner has made, and with what it will make."""
    role = group(database, level)
    yield _on_database(database, role)
    for schema in schemas:
        yield _in_schema(schema, role, "USAGE")
    for kind, (letter, privileges) in _DEFAULTS.items():
        yield _default(owner, role, kind, letter, privileges[level])


def strangers(databases: Sequence[Mapping[str, Any]], users: Sequence[Mapping[str, Any]]) -> str:
    """A query for roles that have the name of a group and are none of ours, or can do more than ours: members would get
    all of it."""
    names = [group(each["name"], level) for each in databases if has_groups(users, each["name"]) for level in LEVELS]
    return (
        "select rolname from pg_roles where rolname in (%s) and (rolcanlogin or rolsuper or rolcreaterole or"
        " rolcreatedb or rolreplication or rolbypassrls or shobj_description(oid, 'pg_authid') is distinct from %s)"
        " order by rolname" % (", ".join(map(literal, ["", *names])), literal(_NOTE))
    )


def _group(role: str) -> Iterator[Wish]:
    yield Wish("%s is not null" % _oid(role), "create role %s nologin" % identifier(role))
    yield Wish(
        "coalesce(shobj_description(%s, 'pg_authid') = %s, false)" % (_oid(role), literal(_NOTE)),
        "comment on role %s is %s" % (identifier(role), literal(_NOTE)),
    )


def _schema(schema: str, owner: Optional[str]) -> Iterator[Wish]:
    found = "select nspowner from pg_namespace where nspname = %s" % literal(schema)
    yield Wish("exists (%s)" % found, "create schema if not exists %s" % identifier(schema))
    if owner is not None:
        yield Wish(
            "coalesce((%s) = %s, false)" % (found, _oid(owner)),
            "alter schema %s owner to %s" % (identifier(schema), identifier(owner)),
        )


def _owned(database: str, owner: str) -> Wish:
    return Wish(
        "exists (select from pg_database where datname = current_database() and datdba = %s)" % _oid(owner),
        "alter database %s owner to %s" % (identifier(database), identifier(owner)),
    )


def _not_everybody(acl: str, privilege: str, what: str) -> Wish:
    return Wish("not %s" % _granted(acl, "0", privilege), "revoke %s on %s from public" % (privilege, what))


def _on_database(database: str, role: str) -> Wish:
    return Wish(
        _granted(_DATABASE_ACL, _oid(role), "CONNECT"),
        "grant CONNECT on database %s to %s" % (identifier(database), identifier(role)),
    )


def _not_on_database(database: str, role: str) -> Wish:
    return Wish(
        "not %s" % _granted(_DATABASE_ACL, _oid(role), "CONNECT"),
        "revoke CONNECT on database %s from %s" % (identifier(database), identifier(role)),
        undoes=True,
    )


def _in_schema(schema: str, role: str, privilege: str) -> Wish:
    place = "to_regnamespace(%s)" % literal(identifier(schema))
    # Whoever dropped the schema public wants nothing there; any other one is made before.
    nothing = "%s is null" % place if schema == "public" else "false"
    return Wish(
        "coalesce(has_schema_privilege(%s, %s, '%s'), %s)" % (_oid(role), place, privilege, nothing),
        "grant %s on schema %s to %s" % (privilege, identifier(schema), identifier(role)),
    )


def _default(owner: str, role: str, kind: str, letter: str, privileges: Sequence[str]) -> Wish:
    """With the rule for what will be made goes once the right to what is there, so that a later REVOKE stays."""
    words = ", ".join(privileges)
    target = "schema %I" if kind == "schemas" else "all %s in schema %%I" % kind
    return Wish(
        "%d = (select count(distinct privilege_type) from pg_default_acl, aclexplode(defaclacl) where defaclrole = %s"
        " and defaclnamespace = 0 and defaclobjtype = '%s' and grantee = %s and privilege_type in (%s))"
        % (len(privileges), _oid(owner), letter, _oid(role), ", ".join(map(literal, privileges))),
        "alter default privileges for role %(owner)s grant %(words)s on %(kind)s to %(role)s;"
        " do $pgkeep$ declare each text; begin"
        " for each in select nspname from pg_namespace where nspname = 'public' or nspowner = %(oid)s loop"
        " execute format('grant %(words)s on %(target)s to %%I', each, %(name)s); end loop; end $pgkeep$"
        % {
            "owner": identifier(owner),
            "words": words,
            "kind": kind,
            "role": identifier(role),
            "oid": _oid(owner),
            "target": target,
            "name": literal(role),
        },
    )


def _member(role: str, member: str) -> Wish:
    return Wish(_is_member(role, member), "grant %s to %s" % (identifier(role), identifier(member)))


def _no_member(role: str, member: str) -> Wish:
    ours = "coalesce(shobj_description(%s, 'pg_authid') = %s, false)" % (_oid(role), literal(_NOTE))
    return Wish(
        "not (%s and %s)" % (_is_member(role, member), ours),
        "revoke %s from %s" % (identifier(role), identifier(member)),
        undoes=True,
    )


def _no_owner_any_more(owner: str, member: str, database: str) -> Wish:
    """The owner is a user, whom somebody else may have given to the member: that it was us shows the setting that goes
    with it, here and, while the member owns another database of the same owner, there."""
    elsewhere = (
        "exists (select from pg_db_role_setting where setrole = %s and setdatabase <> %s and %s = any (setconfig))"
        % (_oid(member), _DATABASE_OID, literal("role=" + owner))
    )
    return Wish(
        "not (%s and %s and not %s)" % (_is_member(owner, member), _setting(member, owner, database), elsewhere),
        "revoke %s from %s" % (identifier(owner), identifier(member)),
        undoes=True,
    )


def _expires(login: str, time: str) -> Wish:
    return Wish(
        "exists (select from pg_roles where rolname = %s and rolvaliduntil = %s)" % (literal(login), literal(time)),
        "alter role %s valid until %s" % (identifier(login), literal(time)),
    )


def _acts_as(login: str, role: str, database: Optional[str]) -> Wish:
    """Its sessions begin as role, so that the owner of what they make is always the same."""
    place = " in database %s" % identifier(database) if database is not None else ""
    return Wish(
        _setting(login, role, database), "alter role %s%s set role = %s" % (identifier(login), place, literal(role))
    )


def _acts_for_itself(login: str, role: str, database: str) -> Wish:
    return Wish(
        "not %s" % _setting(login, role, database),
        "alter role %s in database %s reset role" % (identifier(login), identifier(database)),
        undoes=True,
    )


def _handed_over(user: str, owner: str) -> Wish:
    """What the user made before it became one of several owners. REASSIGN takes its other databases along; they are
    given back."""
    return Wish(
        "not exists (select from pg_shdepend where refclassid = 'pg_authid'::regclass and refobjid = %s"
        " and deptype = 'o' and dbid = %s)" % (_oid(user), _DATABASE_OID),
        "do $pgkeep$ declare each text; others text[] := array(select datname from pg_database"
        " where datdba = %s and datname <> current_database()); begin reassign owned by %s to %s;"
        " foreach each in array others loop execute format('alter database %%I owner to %%I', each, %s); end loop;"
        " end $pgkeep$" % (_oid(user), identifier(user), identifier(owner), literal(user)),
        undoes=True,
    )


def _is_member(role: str, member: str) -> str:
    return "exists (select from pg_auth_members where roleid = %s and member = %s)" % (_oid(role), _oid(member))


def _setting(login: str, role: str, database: Optional[str]) -> str:
    place = _DATABASE_OID if database is not None else "0"
    return (
        "exists (select from pg_db_role_setting where setrole = %s and setdatabase = %s and %s = any (setconfig))"
        % (_oid(login), place, literal("role=" + role))
    )


def _schema_acl(schema: str) -> str:
    return "(select coalesce(nspacl, acldefault('n', nspowner)) from pg_namespace where nspname = %s)" % literal(schema)


def _granted(acl: str, grantee: str, privilege: str) -> str:
    """Not by has_…_privilege(): what comes through another role goes with it."""
    return "exists (select from aclexplode(%s) where grantee = %s and privilege_type = '%s')" % (
        acl,
        grantee,
        privilege,
    )


def _oid(role: str) -> str:
    """null where there is no such role."""
    return "to_regrole(%s)::oid" % literal(identifier(role))


def identifier(name: str) -> str:
    return '"%s"' % name.replace('"', '""')


def literal(text: str) -> str:
    """Safe whatever standard_conforming_strings is."""
    quoted = text.replace("\\", "\\\\").replace("'", "''")
    return "%s'%s'" % (" E" if "\\" in text else "", quoted)
