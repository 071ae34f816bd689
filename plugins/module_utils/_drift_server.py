# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What only the server knows of its settings: which are in force, and which somebody else set. Reads only. Private."""

from __future__ import annotations

import os
from typing import Any, Iterator, Optional, Sequence

from ._finding import DEPLOY, NONE, RELOAD, RESTART, Finding, value
from ._layout import Layout
from ._sql import rows
from ._times import rfc3339

# pgBackRest writes these for a restore, and PostgreSQL forgets them after it.
_OF_A_RESTORE = "restore_command|recovery_.*|archive_cleanup_command"

# Of postgresql.auto.conf each name, what it says, and what the files of the instance say.
_BY_HAND = """
select a.name, a.setting, f.setting, s.context from pg_file_settings a
left join lateral (select setting from pg_file_settings where name = a.name
                   and sourcefile not like '%%/postgresql.auto.conf' order by seqno desc limit 1) f on true
left join pg_settings s on s.name = a.name
where a.sourcefile like '%%/postgresql.auto.conf' and a.name !~ %s order by a.name
"""

# What waits for a restart has an error as well.
_ERRORS = """
select sourcefile || ':' || sourceline, error from pg_file_settings
where error is not null and error <> 'setting could not be applied'
union all
select 'pg_hba.conf:' || line_number, error from pg_hba_file_rules where error is not null order by 1
"""

_LOADED = "select extract(epoch from pg_conf_load_time())::float8"

_OF_ROLES = """
select coalesce(r.rolname, ''), coalesce(d.datname, ''), split_part(each, '=', 1), substr(each, strpos(each, '=') + 1)
from pg_db_role_setting s cross join unnest(s.setconfig) each
left join pg_roles r on r.oid = s.setrole left join pg_database d on d.oid = s.setdatabase order by 1, 2, 3
"""


def findings(opened: Any, layout: Layout, statements: Sequence[str]) -> Iterator[Finding]:
    """opened: a superuser's connection. statements: those that the declared privileges consist of, see _drift_access;
    some of them are settings of roles."""
    for name, actual, declared, context in rows(opened, _BY_HAND, ("^(%s)$" % _OF_A_RESTORE,)):
        yield by_hand(layout, name, actual, declared, context)
    for place, error in rows(opened, _ERRORS):
        yield Finding("hba" if place.startswith("pg_hba") else "settings", place, "no error", error, DEPLOY, RELOAD)
    yield from unread(layout, float(rows(opened, _LOADED)[0][0]))
    for role, database, name, actual in rows(opened, _OF_ROLES):
        finding = of_role(layout, role, database, name, actual)
        # The statement that sets it is among those of declared privileges.
        if not any(_same(role, database, name, actual, statement) for statement in statements):
            yield finding


def by_hand(layout: Layout, name: str, actual: str, declared: Optional[str], context: Optional[str]) -> Finding:
    """A setting of ALTER SYSTEM, which wins over every file and which no deploy touches. context: pg_settings'."""
    statement = 'alter system reset "%s"' % name
    fix = "%s, and put what is wanted into postgres_server_settings" % psql(
        layout, statement, "select pg_reload_conf()"
    )
    cost = RESTART if context == "postmaster" else RELOAD
    return Finding("settings", name, value(name, declared), value(name, actual) + " by ALTER SYSTEM", fix, cost)


def unread(layout: Layout, loaded: float) -> Iterator[Finding]:
    """Files that were changed after the server read its settings at loaded (seconds since the epoch)."""
    folder = layout.server_config_dir
    settings = ["conf.d/" + name for name in sorted(os.listdir(folder + "/conf.d")) if name.endswith(".conf")]
    for name in ("postgresql.conf", "pg_hba.conf", "pg_ident.conf", *settings):
        path = "%s/%s" % (folder, name)
        changed = os.stat(path).st_mtime if os.path.exists(path) else 0
        if changed > loaded:
            actual = "changed at %s, the server read its files at %s" % (rfc3339(changed), rfc3339(loaded))
            area = "hba" if name == "pg_hba.conf" else "settings"
            yield Finding(area, path, "in force", actual, DEPLOY, RELOAD)


def of_role(layout: Layout, role: str, database: str, name: str, actual: str) -> Finding:
    """A setting of ALTER ROLE or ALTER DATABASE; role or database is an empty text where it is for all."""
    who = " in ".join(each for each in (role, database) if each)
    what = "database %s" % quoted(database) if not role else "role %s" % (quoted(role))
    place = " in database %s" % quoted(database) if role and database else ""
    fix = psql(layout, "alter %s%s reset %s" % (what, place, quoted(name)))
    return Finding("role settings", "%s: %s" % (who, name), "not set", value(name, actual), fix, NONE)


def _same(role: str, database: str, name: str, actual: str, statement: str) -> bool:
    place = " in database %s" % quoted(database) if database else ""
    return name == "role" and statement == "alter role %s%s set role = '%s'" % (
        quoted(role),
        place,
        actual.replace("'", "''"),
    )


def psql(layout: Layout, *statements: str) -> str:
    """The command that runs statements as the superuser."""
    words = " ".join("-c '%s'" % statement.replace("'", "'\\''") for statement in statements)
    return "docker exec %s psql %s" % (layout.server, words)


def quoted(name: str) -> str:
    return '"%s"' % name.replace('"', '""')
