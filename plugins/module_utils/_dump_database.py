# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database as a whole: what pg_restore into another name loses, and exchanging two. Private to the collection."""

from __future__ import annotations

import csv
import time
from typing import Any, Callable, Mapping, Optional, Sequence

from . import _sql
from ._errors import PgkeepError

# By to_jsonb, because the columns of the locale have other names in every second version.
_DATABASES = """
SELECT d.datname, pg_database_size(d.oid)::bigint, jsonb_build_object(
    'owner', pg_get_userbyid(d.datdba), 'encoding', pg_encoding_to_char(d.encoding),
    'lc_collate', d.datcollate, 'lc_ctype', d.datctype, 'connection_limit', d.datconnlimit,
    'provider', coalesce(j.d ->> 'datlocprovider', 'c'),
    'locale', coalesce(j.d ->> 'datlocale', j.d ->> 'daticulocale'), 'icu_rules', j.d ->> 'daticurules',
    'comment', shobj_description(d.oid, 'pg_database'),
    'settings', (SELECT coalesce(jsonb_agg(jsonb_build_array(r.rolname, s.setconfig) ORDER BY 1), '[]')
                 FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole WHERE s.setdatabase = d.oid),
    'acl', (SELECT jsonb_agg(jsonb_build_array(r.rolname, a.privilege_type, a.is_grantable))
            FROM aclexplode(d.datacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee))
FROM pg_database d CROSS JOIN LATERAL (SELECT to_jsonb(d) AS d) j
WHERE d.datallowconn AND d.datconnlimit <> -2 AND NOT d.datistemplate
ORDER BY 1
"""
_PROVIDERS = {"i": ("icu", "ICU_LOCALE"), "b": ("builtin", "BUILTIN_LOCALE")}

# GUC_LIST_QUOTE of the server: their stored value is a list of quoted names, and quoting it whole would make one name.
_LISTS = (
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
)

# One that is being filled carries this comment, so that a killed restore is found and its database removed.
UNFINISHED = "pgkeep: not restored completely"
_UNFINISHED = "SELECT datname FROM pg_database d WHERE shobj_description(d.oid, 'pg_database') = %s"

_OTHERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
_OBJECT_IN_USE = "55006"
_EXCHANGE_SECONDS = 30.0


def databases(opened: Any) -> dict[str, tuple[int, dict[str, Any]]]:
    """Name -> (bytes, properties) of every database that can be dumped, templates not among them."""
    return {name: (size, properties) for name, size, properties in _sql.rows(opened, _DATABASES)}


def create(opened: Any, name: str, properties: Mapping[str, Any]) -> None:
    """An empty database like the dumped one, closed to everybody but superusers and marked as unfinished."""
    sql = _composer()
    words = [
        sql.SQL("CREATE DATABASE {} TEMPLATE template0 CONNECTION LIMIT 0 OWNER {} ENCODING {}").format(
            sql.Identifier(name), sql.Identifier(properties["owner"]), sql.Literal(properties["encoding"])
        ),
        sql.SQL("LC_COLLATE {} LC_CTYPE {}").format(
            sql.Literal(properties["lc_collate"]), sql.Literal(properties["lc_ctype"])
        ),
    ]
    provider = _PROVIDERS.get(properties["provider"])
    if provider is not None:
        words.append(sql.SQL("LOCALE_PROVIDER %s %s {}" % provider).format(sql.Literal(properties["locale"])))
        if properties["icu_rules"]:
            words.append(sql.SQL("ICU_RULES {}").format(sql.Literal(properties["icu_rules"])))
    elif opened.server_version >= 150000:
        words.append(sql.SQL("LOCALE_PROVIDER libc"))
    _sql.rows(opened, sql.SQL(" ").join(words))
    _comment(opened, name, UNFINISHED)


def _comment(opened: Any, name: str, text: Optional[str]) -> None:
    sql = _composer()
    statement = sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(name), sql.Literal(text))
    _sql.rows(opened, statement)


def finish(opened: Any, name: str, properties: Mapping[str, Any], comment: Optional[str] = None) -> None:
    """Settings, rights, comment and connection limit as the dumped database had them."""
    for statement in _statements(name, properties):
        _sql.rows(opened, statement)
    _comment(opened, name, comment or properties["comment"])
    limit(opened, name, properties["connection_limit"])


def limit(opened: Any, name: str, connections: int) -> None:
    sql = _composer()
    _sql.rows(
        opened,
        sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(sql.Identifier(name), sql.Literal(connections)),
    )


def _statements(name: str, properties: Mapping[str, Any]) -> list[Any]:
    sql = _composer()
    statements = []
    for role, settings in properties["settings"]:
        for setting in settings:
            key, value = setting.split("=", 1)
            whose = sql.SQL("ROLE {} IN ").format(sql.Identifier(role)) if role else sql.SQL("")
            statements.append(
                sql.SQL("ALTER {}DATABASE {} SET {} TO {}").format(
                    whose,
                    sql.Identifier(name),
                    sql.SQL(".").join(sql.Identifier(part) for part in key.split(".")),
                    sql.SQL(", ").join(sql.Literal(part) for part in setting_values(key, value)),
                )
            )
    if properties["acl"] is not None:
        statements.append(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))
    for role, privilege, grantable in properties["acl"] or ():
        statements.append(
            sql.SQL("GRANT {} ON DATABASE {} TO {}{}").format(
                sql.SQL(privilege),
                sql.Identifier(name),
                sql.Identifier(role) if role else sql.SQL("PUBLIC"),
                sql.SQL(" WITH GRANT OPTION" if grantable else ""),
            )
        )
    return statements


def setting_values(key: str, value: str) -> list[str]:
    """What stands behind TO: the names of a list, or the one value. An empty list is one empty word, as in pg_dump."""
    if key.lower() not in _LISTS:
        return [value]
    return next(csv.reader([value], skipinitialspace=True), None) or [""]


def drop(opened: Any, name: str) -> None:
    sql = _composer()
    _sql.rows(opened, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def unfinished(opened: Any) -> list[str]:
    return [row[0] for row in _sql.rows(opened, _UNFINISHED, (UNFINISHED,))]


def exchange(
    opened: Any,
    old: str,
    aside: str,
    new: str,
    old_limit: int,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Rename old to aside and new to old, both or none. Sessions in old are ended; its clients connect to the new one.

    opened is a connection to another database. Raises PgkeepError when somebody does not leave.
    """
    end = clock() + _EXCHANGE_SECONDS
    limit(opened, old, 0)
    try:
        while True:
            _sql.rows(opened, _OTHERS, (old,))
            _sql.rows(opened, _OTHERS, (new,))
            try:
                _rename(opened, [(old, aside), (new, old)])
                break
            except _sql.driver().Error as error:
                if error.pgcode != _OBJECT_IN_USE or clock() > end:
                    raise PgkeepError(
                        "The database %s was not exchanged" % old,
                        " ".join(str(error).split()),
                        "end what uses it; the restored one is %s, the old one serves as before" % new,
                    ) from error
            sleep(0.2)
    except BaseException:
        limit(opened, old, old_limit)
        raise
    limit(opened, aside, old_limit)


def _rename(opened: Any, pairs: Sequence[tuple[str, str]]) -> None:
    sql = _composer()
    _sql.rows(opened, "BEGIN")
    try:
        for name, wanted in pairs:
            _sql.rows(
                opened, sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(name), sql.Identifier(wanted))
            )
    except BaseException:
        _sql.rows(opened, "ROLLBACK")
        raise
    _sql.rows(opened, "COMMIT")


def _composer() -> Any:
    """psycopg2.sql, imported late as in _sql.driver()."""
    _sql.driver()
    from psycopg2 import sql

    return sql
