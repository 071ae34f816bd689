# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SQL files that run once, remembered in the database they ran in. Private to the collection."""

from __future__ import annotations

import hashlib
from typing import Any, Optional

from ._actor import ANSIBLE, actor
from ._audit import recorded
from ._errors import PgkeepError
from ._layout import Layout
from ._sql import connection, driver, rows

# In the database itself, so that a restore brings the memory back together with what it remembers.
_TABLE = (
    "create schema if not exists pgkeep; create table if not exists pgkeep.init_sql"
    " (script text primary key, sha256 text not null, applied_at timestamptz not null default now())"
)
_FIELDS = "sha256, to_char(applied_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
_KNOWN = "select %s from pgkeep.init_sql where script = %%s" % _FIELDS
_RECORD = "insert into pgkeep.init_sql (script, sha256) values (%%s, %%s) returning %s" % _FIELDS

# PL/pgSQL executes any statement but those that end a transaction. A script that commits would leave its first half
# behind when the second one fails, and its record behind in any case. The last statement keeps PL/pgSQL from looking
# for a place for the result of the script's own last one.
_GUARDED = "do $%(tag)s$ begin execute $%(tag)s_script$%(script)s\n;select 1$%(tag)s_script$; end $%(tag)s$"
# A script may hold a password: neither the statement nor its context may reach the server's log, failed or slow. And
# whatever the language of the server, its words are compared below.
_QUIET = (
    "log_min_error_statement = panic",
    "log_error_verbosity = terse",
    "log_statement = none",
    "pgaudit.log = 'none'",
    "log_min_duration_statement = -1",
    "lc_messages = 'C'",
)
_ENDED = "EXECUTE of transaction commands is not implemented"


def run_once(layout: Layout, database: str, script: str, content: str, check_mode: bool) -> dict[str, Any]:
    """Run content in one transaction unless script has run in database before; returns init_sql and changed.

    Raises PgkeepError when a script of that name ran with other content, and when the SQL fails: nothing stays.
    """
    digest = hashlib.sha256(content.encode()).hexdigest()
    error = driver().Error
    try:
        # The settings of the database and the role are what the script was written for.
        with connection(layout.socket_dir, database, settings={}) as opened:
            known = _known(opened, script)
            if known is None and not check_mode:
                told = {"database": database, "script": script, "sha256": digest}
                with recorded(layout.state_dir, "init-sql", actor(ANSIBLE), told):
                    try:
                        sha256, applied_at = _run(opened, script, digest, content)
                    except error as failure:
                        # Before the trail sees it: the driver's own words may show the script.
                        raise _failed(script, database, failure) from failure
            else:
                sha256, applied_at = known or (digest, None)
    except error as failure:
        raise _failed(script, database, failure) from failure
    if known is not None and known[0] != digest:
        raise PgkeepError(
            "The script %s changed after it ran in the database %s" % (script, database),
            "it ran at %s with the SHA-256 %s, the file now has %s" % (known[1], known[0][:12], digest[:12]),
            "put the old content back and add the change as a new file;"
            " if it is another script of the same name, give it a name of its own",
        )
    return {
        "changed": known is None,
        "init_sql": {
            "database": database,
            "script": script,
            "sha256": sha256,
            "applied_at": applied_at,
        },
    }


def _run(opened: Any, script: str, digest: str, content: str) -> Any:
    """No log has the script, which may hold a password."""
    opened.autocommit = False
    for setting in _QUIET:
        rows(opened, "set local " + setting)
    rows(opened, _TABLE)
    # Before the script, which may go on as another role.
    found = rows(opened, _RECORD, (script, digest))[0]
    rows(opened, _GUARDED % {"tag": "pgkeep_" + digest, "script": content})
    opened.commit()
    return found


def _known(opened: Any, script: str) -> Optional[tuple[str, str]]:
    if rows(opened, "select to_regclass('pgkeep.init_sql') is null")[0][0]:
        return None
    found = rows(opened, _KNOWN, (script,))
    return (found[0][0], found[0][1]) if found else None


def _failed(script: str, database: str, failure: Any) -> PgkeepError:
    """failure is the driver's; its context would show the whole script, which may hold a password."""
    told = failure.diag
    why = " ".join(filter(None, (told.message_primary, told.message_detail, told.message_hint)))
    next_step = "correct it and run again"
    if _ENDED in why:
        why = "it begins or ends a transaction itself (such as BEGIN, COMMIT, ROLLBACK, SAVEPOINT)"
        next_step = "remove these statements, the whole script is one transaction, and run again"
    if failure.pgcode:
        next_step += "; it was rolled back as a whole"
    return PgkeepError(
        "The script %s did not run in the database %s" % (script, database),
        " ".join((why or str(failure)).split()),
        next_step,
    )
