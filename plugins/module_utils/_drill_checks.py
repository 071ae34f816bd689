# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The topic drill: how long a drill may take, which repositories the schedule proves, and SQL of the inventory that a
copy has to answer. Private.

A check runs in the copy only, in a transaction that cannot write, as a role that may read everything and is nobody
else: the objects it touches belong to applications, and their code must not run as a superuser.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from ._errors import PgkeepError
from ._sandbox import CHECKER
from ._sql import connection, driver, guarded, rows

TOPIC = "drill"
DEFAULT_MINUTES = 360
STATEMENT_SECONDS = 300
_KEYS = ("name", "database", "sql", "expect")
_ALL_DATA = 14

_ROLE = "CREATE ROLE %s LOGIN BYPASSRLS" % CHECKER
_GRANT_ALL = "GRANT pg_read_all_data TO %s" % CHECKER
# Before version 14 there is no such role; what each schema holds is granted by itself.
_GRANT_EACH = """DO $$ DECLARE s text; BEGIN
FOR s IN SELECT quote_ident(nspname) FROM pg_namespace WHERE nspname !~ '^pg_' LOOP
EXECUTE 'GRANT USAGE ON SCHEMA ' || s || ' TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA ' || s || ' TO {role}';
END LOOP; END $$""".replace("{role}", CHECKER)
_GRANT_CONNECT = "SELECT format('GRANT CONNECT ON DATABASE %%I TO %s', current_database())" % CHECKER


@dataclass(frozen=True)
class SqlCheck:
    """sql returns one row with one column, which as text is expect; null is the text null."""

    name: str
    database: str
    sql: str
    expect: str


@dataclass(frozen=True)
class Wanted:
    """The topic as it is used; the deadline in seconds. repositories: numbers of those that the schedule proves in
    turn, none for all."""

    timeout_seconds: float
    checks: tuple[SqlCheck, ...]
    repositories: tuple[int, ...] = ()


def parse(instance: str, topic: Mapping[str, Any]) -> Wanted:
    """Raises PgkeepError for what cannot be done; an empty topic is the default."""
    minutes = topic.get("timeout_minutes", DEFAULT_MINUTES)
    if isinstance(minutes, bool) or not isinstance(minutes, (int, float)) or minutes <= 0:
        raise _unusable(instance, "postgres_backup_drill_timeout_minutes is %r, not a number above 0" % (minutes,))
    checks = []
    for entry in topic.get("checks") or []:
        if not isinstance(entry, dict) or sorted(entry) != sorted(_KEYS):
            raise _unusable(instance, "a check has not exactly the keys %s: %r" % (", ".join(_KEYS), entry))
        for key in ("name", "database", "sql"):
            if not isinstance(entry[key], str) or not entry[key].strip():
                raise _unusable(instance, "%s of a check is not a text: %r" % (key, entry[key]))
        if isinstance(entry["expect"], (list, dict)):
            raise _unusable(instance, "the check %s expects %r, not one value" % (entry["name"], entry["expect"]))
        checks.append(SqlCheck(entry["name"], entry["database"], entry["sql"], as_text(entry["expect"])))
    names = [check.name for check in checks]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise _unusable(instance, "two checks have the name %s" % ", ".join(twice))
    numbers = topic.get("repositories") or []
    if not isinstance(numbers, list) or not all(isinstance(number, int) and number > 0 for number in numbers):
        raise _unusable(instance, "postgres_backup_drill_repositories is %r, not a list of numbers" % (numbers,))
    return Wanted(minutes * 60.0, tuple(checks), tuple(numbers))


def _unusable(instance: str, why: str) -> PgkeepError:
    return PgkeepError(
        "The drills of %s cannot be done as the inventory says" % instance,
        why,
        "correct postgres_backup_drill_checks, postgres_backup_drill_repositories or"
        " postgres_backup_drill_timeout_minutes",
    )


def as_text(value: Any) -> str:
    """A value of the inventory or of PostgreSQL in one spelling."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def run_check(socket_dir: str, check: SqlCheck) -> tuple[bool, str]:
    """(passed, detail) of one check in the copy."""
    try:
        _admit(socket_dir, check.database)
        with connection(socket_dir, check.database, user=CHECKER, settings={}) as opened:
            opened.set_session(readonly=True)
            rows(opened, "SET statement_timeout = %d" % (STATEMENT_SECONDS * 1000))
            found = rows(opened, check.sql)
    except driver().Error as error:
        return False, " ".join(str(error).split())
    return judge(found, check.expect)


def judge(found: Sequence[Sequence[Any]], expect: str) -> tuple[bool, str]:
    if len(found) != 1 or len(found[0]) != 1:
        return False, "the answer has %d rows of %d columns, expected is one value" % (
            len(found),
            len(found[0]) if found else 0,
        )
    answer = as_text(found[0][0])
    if answer == expect:
        return True, "the answer is %s" % _short(answer)
    return False, "the answer is %s, expected is %s" % (_short(answer), _short(expect))


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."


def _admit(socket_dir: str, database: str) -> None:
    """Let the role of the checks into database, in the copy."""
    with connection(socket_dir, database) as opened:
        if not rows(opened, "SELECT 1 FROM pg_roles WHERE rolname = %s", (CHECKER,)):
            rows(opened, _ROLE)
            for name, value in guarded(socket_dir).items():
                # A check may count on the search_path of its database.
                if name != "search_path":
                    rows(opened, "ALTER ROLE %s SET %s = '%s'" % (CHECKER, name, value))
        rows(opened, _GRANT_ALL if opened.server_version // 10000 >= _ALL_DATA else _GRANT_EACH)
        rows(opened, str(rows(opened, _GRANT_CONNECT)[0][0]))
