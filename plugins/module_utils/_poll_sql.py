# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the poller asks the server, as few statements as can be, and what the answers mean. Private to the collection.

FREQUENT is asked at every poll, the others every minute: they read files, or take long. Each answers with one JSON
object, as bytes: a session may be in a database of another encoding, whose bytes the server passes on as they are.
"""

from __future__ import annotations

import json
import re
from typing import Any, Mapping, Optional

RARE_SECONDS = 60.0
QUERY_LENGTH = 300
LONGEST = 5

# Who only keeps WAL, such as pg_receivewal, replays none: behind is then what it has not written safely.
_FREQUENT = """
SELECT textsend(json_build_object(
  'recovering', pg_is_in_recovery(),
  'now', extract(epoch FROM clock_timestamp()),
  'started_at', extract(epoch FROM pg_postmaster_start_time()),
  'loaded_at', extract(epoch FROM pg_conf_load_time()),
  'reset_at', (SELECT extract(epoch FROM stats_reset) FROM pg_stat_bgwriter),
  'maximum', current_setting('max_connections')::int,
  'usable', current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
    - coalesce(current_setting('reserved_connections', true)::int, 0),
  'sessions', (
    SELECT json_build_object(
      'total', count(*),
      'active', count(*) FILTER (WHERE state = 'active' AND pid <> pg_backend_pid()),
      'idle', count(*) FILTER (WHERE state = 'idle'),
      'idle_in_transaction', count(*) FILTER (WHERE state LIKE 'idle in transaction%'),
      'blocked', count(*) FILTER (WHERE wait_event_type = 'Lock'),
      'idle_seconds', extract(epoch FROM clock_timestamp() - min(state_change) FILTER (
        WHERE state LIKE 'idle in transaction%')))
    FROM pg_stat_activity WHERE backend_type = 'client backend'),
  'longest', (
    SELECT json_agg(t) FROM (
      SELECT pid, usename AS "user", datname AS database, application_name AS application,
        coalesce(host(client_addr), 'local') AS client, state,
        extract(epoch FROM clock_timestamp() - xact_start) AS seconds,
        wait_event_type || '/' || wait_event AS wait,
        CASE WHEN wait_event_type = 'Lock' THEN to_json(pg_blocking_pids(pid)) ELSE '[]' END AS blocked_by,
        left(query, {length}) AS query
      FROM pg_stat_activity
      WHERE xact_start IS NOT NULL AND backend_type = 'client backend' AND pid <> pg_backend_pid()
      ORDER BY xact_start LIMIT {longest}) t),
  'counters', (
    SELECT json_build_object(
      'commits', sum(xact_commit), 'rollbacks', sum(xact_rollback), 'hits', sum(blks_hit), 'reads', sum(blks_read),
      'rows_written', sum(tup_inserted + tup_updated + tup_deleted), 'temp_bytes', sum(temp_bytes),
      'deadlocks', sum(deadlocks))
    FROM pg_stat_database),
  'checksum_failures', (SELECT coalesce(sum(checksum_failures), 0) FROM pg_stat_database),
  'wal_position', CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END
    - '0/0'::pg_lsn,
  'archiver', (
    SELECT json_build_object(
      'mode', current_setting('archive_mode'), 'archived_count', archived_count, 'failed_count', failed_count,
      'last_failed_wal', last_failed_wal, 'failed_at', extract(epoch FROM last_failed_time),
      'last_archived_age_seconds', extract(epoch FROM clock_timestamp() - last_archived_time))
    FROM pg_stat_archiver),
  'slots', (
    SELECT json_agg(json_build_object(
      'name', slot_name, 'active', active, 'wal_status', wal_status,
      'retained_bytes', CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_lsn() - restart_lsn END)
      ORDER BY slot_name)
    FROM pg_replication_slots),
  'replicas', (
    SELECT json_agg(json_build_object(
      'application', application_name, 'client', coalesce(host(client_addr), 'local'), 'state', state,
      'lag_bytes', CASE WHEN NOT pg_is_in_recovery() THEN
        pg_current_wal_lsn() - coalesce(replay_lsn, flush_lsn, write_lsn) END,
      'lag_seconds', extract(epoch FROM replay_lag)) ORDER BY application_name)
    FROM pg_stat_replication),
  'replica_lag_bytes', CASE WHEN pg_is_in_recovery() AND {streams}
    THEN pg_last_wal_receive_lsn() - pg_last_wal_replay_lsn() END,
  'replica_lag_seconds', CASE
    WHEN NOT pg_is_in_recovery() THEN NULL
    WHEN {streams} AND pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
    ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END,
  'cgroup', {cgroup})::text)
"""

# A standby that was cut off has replayed all that it received, and is behind all the same.
_STREAMS = "EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')"

# pg_stat_statements may be in any schema; the rest asks for it only where it is.
_RARE = """
SELECT textsend(json_build_object(
  'version', current_setting('server_version'),
  'system_id', (SELECT system_identifier::text FROM pg_control_system()),
  'timeline', (SELECT timeline_id FROM pg_control_checkpoint()),
  'pending_restart', (SELECT json_agg(name ORDER BY name) FROM pg_settings WHERE pending_restart),
  'file_errors', (SELECT count(*) FROM pg_file_settings WHERE error IS NOT NULL),
  'xid_age', (
    SELECT json_build_object('database', datname, 'age', age(datfrozenxid), 'ratio', age(datfrozenxid) / 2147483648.0)
    FROM pg_database ORDER BY age(datfrozenxid) DESC LIMIT 1),
  'statements', (
    SELECT quote_ident(nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
    WHERE extname = 'pg_stat_statements'),
  'cgroup2', (pg_stat_file('/sys/fs/cgroup/cgroup.controllers', true)).size IS NOT NULL)::text)
"""

# It looks at every file, and may take longer than a statement may.
_SIZES = """
SELECT textsend(json_build_object(
  'databases', (
    SELECT json_agg(json_build_object('name', datname, 'size_bytes', pg_database_size(oid)) ORDER BY datname)
    FROM pg_database WHERE datallowconn AND NOT datistemplate),
  'wal_bytes', (SELECT coalesce(sum(size), 0) FROM pg_ls_waldir()))::text)
"""

_STATEMENTS = """
SELECT textsend(json_build_object('top', (SELECT json_agg(t) FROM (
  SELECT left(query, %d) AS query, calls, round(total_exec_time::numeric, 1) AS total_ms,
    round(mean_exec_time::numeric, 3) AS mean_ms
  FROM %s.pg_stat_statements ORDER BY total_exec_time DESC LIMIT 10) t))::text)
"""

# Name -> file of the server's own control group, in version 2 and in version 1.
_CGROUP2 = {
    "memory_limit": "memory.max",
    "memory_used": "memory.current",
    "memory_stat": "memory.stat",
    "memory_events": "memory.events",
    "cpu_max": "cpu.max",
    "cpu_stat": "cpu.stat",
}
_CGROUP1 = {
    "memory_limit": "memory/memory.limit_in_bytes",
    "memory_used": "memory/memory.usage_in_bytes",
    "memory_stat": "memory/memory.stat",
    "memory_events": "memory/memory.oom_control",
    "cpu_quota": "cpu/cpu.cfs_quota_us",
    "cpu_period": "cpu/cpu.cfs_period_us",
    "cpu_stat": "cpu/cpu.stat",
    "cpu_usage": "cpuacct/cpuacct.usage",
}

# Such a statement may hold a password in the clear.
_TELLS_SECRET = re.compile(
    r"\b(ssl)?password\b|\bencrypted\b|\bscram-sha-256\$"
    # ://user:password@, of which the end may have been cut off.
    r"|://[^\s@/]*:[^\s@]*@|://[^\s@/'\"]*:[^\s@'\"]*\Z",
    re.IGNORECASE,
)
HIDDEN = "(hidden: it is about a password)"


def frequent(cgroup2: Optional[bool]) -> str:
    """cgroup2: which version the machine has, None while that is not known."""
    files = {} if cgroup2 is None else _CGROUP2 if cgroup2 else _CGROUP1
    # Four arguments, which every version has; a file that is missing is null.
    pairs = ", ".join(
        "'%s', pg_read_file('/sys/fs/cgroup/%s', 0, 65536, true)" % pair for pair in sorted(files.items())
    )
    text = _FREQUENT.replace("{cgroup}", "json_build_object(%s)" % pairs)
    text = text.replace("{streams}", _STREAMS)
    return text.replace("{length}", str(QUERY_LENGTH)).replace("{longest}", str(LONGEST))


def rare() -> str:
    return _RARE


def sizes() -> str:
    return _SIZES


def statements(schema: str) -> str:
    """schema as quote_ident() writes it."""
    return _STATEMENTS % (QUERY_LENGTH, schema)


def parsed(rows: list[tuple[Any, ...]]) -> dict[str, Any]:
    """The object of a statement above; lists that are empty are null to json_agg()."""
    return dict(json.loads(bytes(rows[0][0]).decode("utf-8", "replace")))


def sessions(found: Mapping[str, Any]) -> dict[str, Any]:
    """The part sessions of the snapshot from an answer to frequent()."""
    counted = {name: value for name, value in found["sessions"].items() if name != "idle_seconds"}
    longest = [{**each, "query": shown(each["query"])} for each in found["longest"] or []]
    for each in longest:
        each["seconds"] = round(each["seconds"], 1)
    return {**counted, "maximum": found["maximum"], "longest": longest}


def shown(query: Optional[str]) -> str:
    """A statement as others may see it, on one line."""
    line = " ".join((query or "").split())
    return HIDDEN if _TELLS_SECRET.search(line) else line


def rates(before: Optional[Mapping[str, Any]], found: Mapping[str, Any]) -> dict[str, Any]:
    """The part rates of the snapshot from two answers to frequent(); null without two of one and the same server.

    deadlocks is how many there were between the two.
    """
    names = ("transactions_per_second", "rollback_ratio", "cache_hit_ratio", "rows_written_per_second")
    nothing = dict.fromkeys((*names, "wal_bytes_per_second", "temp_bytes_per_second", "deadlocks"))
    if before is None:
        return nothing
    seconds = found["now"] - before["now"]
    grown = {name: value - before["counters"][name] for name, value in found["counters"].items()}
    if seconds <= 0 or any(value < 0 for value in grown.values()):
        # Statistics were reset, or it is another server.
        return nothing
    ended, blocks = grown["commits"] + grown["rollbacks"], grown["hits"] + grown["reads"]
    position = (found["wal_position"], before["wal_position"])
    return {
        "transactions_per_second": round(ended / seconds, 2),
        "rollback_ratio": round(grown["rollbacks"] / ended, 4) if ended else None,
        "cache_hit_ratio": round(grown["hits"] / blocks, 4) if blocks else None,
        "rows_written_per_second": round(grown["rows_written"] / seconds, 2),
        "wal_bytes_per_second": None if None in position else round(max(position[0] - position[1], 0) / seconds, 1),
        "temp_bytes_per_second": round(grown["temp_bytes"] / seconds, 1),
        "deadlocks": grown["deadlocks"],
    }
