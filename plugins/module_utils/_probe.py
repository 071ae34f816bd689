# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking at a server from outside: a login as an application would, its certificate, its disks.

Nothing here changes anything, and nothing waits longer than it says. Private to the collection.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import statistics
import struct
import time
from dataclasses import dataclass
from typing import Any, Mapping, Optional, Sequence

from ._container import reachable
from ._layout import PORT
from ._retry import TRY_SECONDS
from ._sql import driver, rows
from ._times import rfc3339

# A server that needs longer for one of these statements is not healthy.
_STATEMENT_MS = 5000

# pg_ls_archive_statusdir() is allowed to members of pg_monitor; on a standby there is nothing to archive.
STATISTICS = """
select current_setting('server_version'), pg_is_in_recovery(),
       extract(epoch from clock_timestamp() - pg_postmaster_start_time())::bigint,
       (select count(*) from pg_stat_activity where backend_type = 'client backend'),
       current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
       - coalesce(current_setting('reserved_connections', true)::int, 0),
       current_setting('archive_mode'), a.archived_count, a.failed_count, a.last_failed_wal,
       extract(epoch from clock_timestamp() - a.last_archived_time)::bigint,
       extract(epoch from clock_timestamp() - a.last_failed_time)::bigint,
       exists(select from pg_ls_archive_statusdir() where name = a.last_failed_wal || '.ready'),
       (select count(*) from pg_ls_archive_statusdir() where name like '%%.ready'),
       extract(epoch from clock_timestamp() - (select stats_reset from pg_stat_bgwriter))::bigint,
       (select coalesce(sum(checksum_failures), 0)::bigint from pg_stat_database)
from pg_stat_archiver a
"""


@dataclass(frozen=True)
class Target:
    """Where and as whom to log in; the password is in memory only."""

    host: str
    port: int
    user: str
    password: str
    ca_file: str
    database: str = "postgres"
    # Of host, where that is not left to the name service.
    address: Optional[str] = None


def published(container: Mapping[str, Any]) -> Optional[tuple[str, int]]:
    """Host address and port that reach the server, from docker inspect; an address for all is tried on the loopback."""
    for source in (container["NetworkSettings"].get("Ports"), container["HostConfig"].get("PortBindings")):
        bindings = (source or {}).get("%d/tcp" % PORT)
        if bindings and bindings[0].get("HostPort"):
            return reachable(bindings[0].get("HostIp") or "0.0.0.0"), int(bindings[0]["HostPort"])
    return None


def connect(target: Target, pooler: bool = False) -> Any:
    """Log in over TLS with the certificate verified; the caller closes. psycopg2's errors pass through. One try.

    Statements end after a while, except over a pooler: PgBouncer refuses logins with options.
    """
    limit = {} if pooler else {"options": "-c statement_timeout=%d" % _STATEMENT_MS}
    opened = driver().connect(
        host=target.host,
        port=target.port,
        user=target.user,
        password=target.password,
        dbname=target.database,
        sslmode="verify-full",
        sslrootcert=target.ca_file,
        connect_timeout=TRY_SECONDS,
        # A network that swallows packets after the login shall not hang us either.
        tcp_user_timeout=TRY_SECONDS * 1000,
        application_name="pgkeep health",
        **limit,
    )
    opened.autocommit = True
    return opened


def first_login(targets: Sequence[Target]) -> Any:
    """A connection to the first target that takes it; the last one's error passes through."""
    for target in targets[:-1]:
        with contextlib.suppress(driver().Error):
            return connect(target)
    return connect(targets[-1])


def login(target: Target) -> dict[str, Any]:
    """Log in, time SELECT 1 on the open connection and read the statistics.

    Returns connect_ms (a new login), response_ms (median of three), version, role, uptime_seconds, connections and
    archiver. psycopg2's errors pass through. One try; the caller repeats.
    """
    began = time.perf_counter()
    opened = connect(target)
    connect_ms = (time.perf_counter() - began) * 1000
    with contextlib.closing(opened):
        response_ms = response(opened)
        row = rows(opened, STATISTICS, ())[0]
    return {"connect_ms": round(connect_ms, 2), "response_ms": round(response_ms, 2), **described(row)}


def response(opened: Any) -> float:
    """Milliseconds of SELECT 1 on the open connection, the median of three."""
    return statistics.median(_timed(opened) for _number in range(3))


def _timed(opened: Any) -> float:
    began = time.perf_counter()
    rows(opened, "select 1")
    return (time.perf_counter() - began) * 1000


def described(row: tuple[Any, ...]) -> dict[str, Any]:
    """One row of STATISTICS as a mapping; ages in seconds, None where it never happened."""
    return {
        "version": row[0].split()[0],
        "role": "standby" if row[1] else "primary",
        "uptime_seconds": row[2],
        "connections": {"used": row[3], "maximum": row[4]},
        "archiver": {
            "mode": row[5],
            "archived_count": row[6],
            "failed_count": row[7],
            "last_failed_wal": row[8],
            "last_archived_age_seconds": row[9],
            "last_failed_age_seconds": row[10],
            "failing": row[11],
            "ready_count": row[12],
        },
        # Statistics are lost in a crash; a young age beside an old uptime means the server re-initialised itself.
        "statistics_age_seconds": row[13],
        "checksum_failures": row[14],
    }


def certificate(target: Target, now: float) -> dict[str, Any]:
    """The certificate that is really served, which a file that nobody reloaded is not.

    Returns days_left (a number, the end of its authority counts too, or None when verification failed), not_after (RFC
    3339) and error (None, or OpenSSL's words for why). OSError passes through when nothing answers.
    """
    try:
        _binary, found = served(target)
    except ssl.SSLCertVerificationError as error:
        return {"days_left": None, "not_after": None, "error": error.verify_message}
    except _NoTls as error:
        return {"days_left": None, "not_after": None, "error": str(error)}
    ends = min(ssl.cert_time_to_seconds(end) for end in (found["notAfter"], *_authority_ends(target, found)))
    return {"days_left": round((ends - now) / 86400, 1), "not_after": rfc3339(ends), "error": None}


def _authority_ends(target: Target, found: Mapping[str, Any]) -> list[str]:
    """When the authority that signed it ends, by its name; of several with one name the last."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=target.ca_file)
    known: list[Any] = context.get_ca_certs()
    ends = [each["notAfter"] for each in known if each["subject"] == found["issuer"]]
    return sorted(ends, key=ssl.cert_time_to_seconds)[-1:]


class _NoTls(OSError):
    """The server answers and does not offer TLS."""


def served(target: Target) -> tuple[bytes, dict[str, Any]]:
    """The certificate that a port serves, as DER and as Python describes it, verified for the host of target.

    It speaks PostgreSQL's SSLRequest and leaves without a login. OSError passes through: nothing answers, no TLS, or
    ssl.SSLCertVerificationError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=target.ca_file)
    with socket.create_connection((target.address or target.host, target.port), timeout=TRY_SECONDS) as plain:
        if not _offers_tls(plain):
            raise _NoTls("the server does not offer TLS")
        with context.wrap_socket(plain, server_hostname=target.host) as encrypted:
            binary, found = encrypted.getpeercert(True), encrypted.getpeercert()
            # A goodbye, or the server notes a connection that was reset.
            with contextlib.suppress(OSError):
                encrypted.unwrap()
    return binary or b"", dict(found or {})


def _offers_tls(plain: socket.socket) -> bool:
    # SSLRequest: length 8, code 80877103 (PostgreSQL manual, Message Formats).
    plain.sendall(struct.pack("!ii", 8, 80877103))
    return plain.recv(1) == b"S"


def listens(target: Target, seconds: float) -> bool:
    """Whether a server answers there so soon. The engine opens a port before its container does, and who connects then
    waits for a second, which a try to log in cannot be told to give up sooner."""
    try:
        with socket.create_connection((target.host, target.port), timeout=seconds) as plain:
            return _offers_tls(plain)
    except OSError:
        return False


def disk(path: str) -> dict[str, Any]:
    """Use of the file system below path as df shows it: used_percent of what an ordinary user may fill, inodes_percent
    (0 where a file system makes them as needed), free_bytes, size_bytes, and device to tell file systems apart. OSError
    passes through."""
    found = os.statvfs(path)
    used = found.f_blocks - found.f_bfree
    usable = used + found.f_bavail
    inodes = found.f_files - found.f_ffree
    return {
        "path": path,
        "device": os.stat(path).st_dev,
        "used_percent": round(100 * used / usable, 1) if usable else 0.0,
        "inodes_percent": round(100 * inodes / found.f_files, 1) if found.f_files else 0.0,
        "free_bytes": found.f_bavail * found.f_frsize,
        "size_bytes": found.f_blocks * found.f_frsize,
    }


def mounted_from(container: Mapping[str, Any], destination: str) -> Optional[str]:
    """Folder of the host behind a mount of the container: a volume's mountpoint or the source of a bind mount."""
    for mount in container.get("Mounts") or []:
        if mount["Destination"] == destination:
            return str(mount["Source"])
    return None
