# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts of a running server, in one login over the superuser's socket. Reads only. Private to the collection."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any, Iterable

from ._errors import PgkeepError
from ._layout import Layout
from ._probe import STATISTICS, described
from ._sql import connection, driver, rows

SETTINGS = [
    "archive_mode",
    "autovacuum",
    "autovacuum_max_workers",
    "autovacuum_work_mem",
    "data_checksums",
    "effective_cache_size",
    "fsync",
    "full_page_writes",
    "huge_pages",
    "log_autovacuum_min_duration",
    "log_checkpoints",
    "log_connections",
    "log_disconnections",
    "log_line_prefix",
    "log_lock_waits",
    "log_min_duration_statement",
    "log_min_messages",
    "log_temp_files",
    "log_timezone",
    "maintenance_work_mem",
    "max_connections",
    "max_slot_wal_keep_size",
    "max_wal_senders",
    "max_wal_size",
    "max_worker_processes",
    "password_encryption",
    "random_page_cost",
    "reserved_connections",
    "shared_buffers",
    "shared_memory_size_in_huge_pages",
    "shared_preload_libraries",
    "ssl",
    "ssl_min_protocol_version",
    "superuser_reserved_connections",
    "synchronous_commit",
    "TimeZone",
    "track_io_timing",
    "wal_level",
    "wal_sync_method",
    "work_mem",
]

# The netmask tells everybody (0.0.0.0/0) from one host.
_RULES = """
select line_number, type, database, user_name, case when netmask in ('0.0.0.0', '::') then 'all' else address end,
       auth_method, error
from pg_hba_file_rules order by line_number
"""

_FILE_ERRORS = """
select sourcefile, sourceline, name, error from pg_file_settings where error is not null order by seqno
"""

# The databases whose collation had another version when they were made.
_COLLATIONS = """
select datname, datcollversion, pg_database_collation_actual_version(oid) from pg_database
where datallowconn and datcollversion is distinct from pg_database_collation_actual_version(oid) order by datname
"""

# What each role that can log in has beside its password. Settings are those of the role, in every database or one.
_RIGHTS = """
select rolname::text, rolcreatedb, rolreplication, rolconnlimit,
       array(select distinct split_part(word, '=', 1) from pg_db_role_setting s, unnest(s.setconfig) word
             where s.setrole = r.oid order by 1),
       array(select g.rolname::text from pg_auth_members m join pg_roles g on g.oid = m.roleid
             where m.member = r.oid order by 1)
from pg_roles r where rolcanlogin order by 1
"""

_DATABASES = """
select datname::text, pg_encoding_to_char(encoding)::text, age(datfrozenxid),
       has_database_privilege('public', oid, 'connect'), has_database_privilege('public', oid, 'temporary')
from pg_database where datallowconn and not datistemplate order by 1
"""

# Not from pg_settings: it tells what this session brings itself, see _sql.guarded().
_TIMEOUTS = """
select name, setting from pg_file_settings
where applied and name in ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout')
"""

# The version that each extension of the image would be made in.
_AVAILABLE = "select name::text, default_version from pg_available_extensions"

# Name of the facts -> server_version_num that it needs, columns, statement.
_TABLES = {
    "file_errors": (0, ("file", "line", "name", "error"), _FILE_ERRORS),
    "hba": (0, ("line", "type", "databases", "users", "address", "method", "error"), _RULES),
    "collations": (150000, ("database", "made", "now"), _COLLATIONS),
    "rights": (0, ("name", "createdb", "replication", "limit", "settings", "groups"), _RIGHTS),
    "databases": (0, ("name", "encoding", "xid_age", "connect", "temporary"), _DATABASES),
}

_SETTINGS = "select name, setting, unit, boot_val from pg_settings where name = any(%s)"
_PENDING = "select name from pg_settings where pending_restart order by name"
_ROLES = (
    "select rolname, rolsuper, rolcreaterole, rolbypassrls, rolpassword from pg_authid where rolcanlogin order by 1"
)

# What everybody tries first, beside the role's own name.
_COMMON_PASSWORDS = ("", "postgres", "password", "admin", "secret", "changeme", "123456", "test")


def collect(layout: Layout) -> dict[str, Any]:
    """settings, pending, hba, file_errors, roles, rights, databases, timeouts, extensions, collations, slots,
    archiver, major, version, role."""
    try:
        with connection(layout.socket_dir) as opened:
            return _read(opened)
    except driver().Error as error:
        raise PgkeepError(
            "The server of %s cannot be asked" % layout.name,
            " ".join(str(error).split()),
            "read docker logs %s" % layout.server,
        ) from error


def _read(opened: Any) -> dict[str, Any]:
    number, slots = rows(
        opened,
        "select current_setting('server_version_num')::int, (select count(*) from pg_replication_slots)",
    )[0]
    settings = rows(opened, _SETTINGS, (SETTINGS,))
    facts: dict[str, Any] = {
        "major": number // 10000,
        "slots": slots,
        **described(rows(opened, STATISTICS, ())[0]),
        "settings": {name: {"setting": value, "unit": unit, "boot": boot} for name, value, unit, boot in settings},
        "pending": [name for (name,) in rows(opened, _PENDING)],
        "roles": [role(*row) for row in rows(opened, _ROLES)],
        "timeouts": dict(rows(opened, _TIMEOUTS)),
        "extensions": dict(rows(opened, _AVAILABLE)),
    }
    for key, (since, columns, statement) in _TABLES.items():
        facts[key] = [dict(zip(columns, row)) for row in (rows(opened, statement) if number >= since else [])]
    return facts


def role(name: str, superuser: bool, createrole: bool, bypassrls: bool, secret: Any) -> dict[str, Any]:
    """A role that can log in; of its password only the kind (none, scram, md5, other) and whether it is guessable."""
    kind = "none" if secret is None else "scram" if secret.startswith("SCRAM-SHA-256$") else "other"
    if kind == "other" and secret.startswith("md5"):
        kind = "md5"
    return {
        "name": name,
        "superuser": superuser,
        "createrole": createrole,
        "bypassrls": bypassrls,
        "password": kind,
        "guessable": kind != "none" and guessable(name, secret, (*_COMMON_PASSWORDS, name, name[::-1])),
    }


def guessable(name: str, secret: str, passwords: Iterable[str]) -> bool:
    """Whether one of passwords is the one behind what pg_authid stores. Computed here: no login is tried."""
    if secret.startswith("md5"):
        return any("md5" + hashlib.md5((word + name).encode()).hexdigest() == secret for word in passwords)
    try:
        # SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey> (PostgreSQL manual, pg_authid; RFC 5802).
        _mechanism, parameters, keys = secret.split("$")
        iterations, salt = parameters.split(":")
        stored = base64.b64decode(keys.split(":")[0])
        return any(_stored_key(word, base64.b64decode(salt), int(iterations)) == stored for word in set(passwords))
    except ValueError:
        return False


def _stored_key(password: str, salt: bytes, iterations: int) -> bytes:
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    return hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
