# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Configuration files as text: PostgreSQL's, pgBackRest's, the clients'. Pure. Private to the collection."""

from __future__ import annotations

import json
import re
from typing import Iterable, Mapping, Sequence

from ._layout import ARCHIVE_CONFIG, CONFIG_MOUNT, PORT, REPO_MOUNT, SOCKET_MOUNT, SPOOL_MOUNT, pgdata

_OF_REPOSITORY = re.compile(r"repo\d+-")

_HEADER = "# Written by pgkeep for instance %s. Change the inventory, not this file.\n"


def base_settings(instance: str, major: int) -> dict[str, str]:
    """Settings every instance has whatever its size; an inventory may override those that _rules lets it."""
    settings = {
        "listen_addresses": "*",
        "port": str(PORT),
        "unix_socket_directories": SOCKET_MOUNT,
        "unix_socket_permissions": "0700",
        "password_encryption": "scram-sha-256",
        "ssl": "on",
        "ssl_cert_file": CONFIG_MOUNT + "/tls/server.crt",
        "ssl_key_file": CONFIG_MOUNT + "/tls/server.key",
        "superuser_reserved_connections": "3",
        "wal_level": "replica",
        "archive_mode": "on",
        # With the first repository alone: pgBackRest archives to all or to none, so one that cannot be reached would
        # stop archiving altogether. The keeper brings WAL to the others.
        "archive_command": "pgbackrest --config=%s --stanza=%s archive-push %%p" % (ARCHIVE_CONFIG, instance),
        # Bounds the loss of a lost host: a quiet server hands over its WAL once a minute.
        "archive_timeout": "60",
        "shared_preload_libraries": "pg_stat_statements",
        "track_io_timing": "on",
        "idle_in_transaction_session_timeout": "10min",
        "log_line_prefix": "%m [%p] %q%u@%d/%a %r ",
        "log_checkpoints": "on",
        "log_lock_waits": "on",
        "log_temp_files": "10MB",
        "log_autovacuum_min_duration": "1min",
        "log_min_duration_statement": "1s",
        "log_timezone": "UTC",
        "timezone": "UTC",
    }
    if major >= 16:
        settings["reserved_connections"] = "2"
    return settings


def header(instance: str) -> str:
    return _HEADER % instance


def postgresql_conf(instance: str) -> str:
    return _HEADER % instance + "include_dir 'conf.d'\n"


def settings_conf(instance: str, about: str, settings: Mapping[str, object]) -> str:
    """A conf.d file: one quoted setting a line, sorted, so that a diff shows exactly what changed."""
    lines = ["%s = %s\n" % (name, _quoted(text(value))) for name, value in sorted(settings.items())]
    return _HEADER % instance + "# %s\n" % about + "".join(lines)


def text(value: object) -> str:
    """A value of the inventory in PostgreSQL's spelling: YAML's true is on."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


def _quoted(value: str) -> str:
    return "'%s'" % value.replace("\\", "\\\\").replace("'", "''")


def pg_ident(instance: str) -> str:
    return _HEADER % instance + "".join("pgkeep %s postgres\n" % user for user in ("root", "postgres"))


def pg_hba(
    instance: str, pairs: Iterable[tuple[str, str]], networks: Sequence[str], extra: Sequence[str], monitor: str
) -> str:
    """pairs are (database, user) of applications; networks are CIDRs or PostgreSQL's words such as samenet.
    The first matching line decides, so no line of the inventory (extra) can take the way in from ours."""
    lines = [
        "local all postgres peer map=pgkeep",
        "local all all scram-sha-256",
        # The loopback of the container, for the engine's health check.
        *("hostssl all %s %s scram-sha-256" % (monitor, network) for network in ("127.0.0.1/32", *networks)),
        *(
            "hostssl %s %s %s scram-sha-256" % (hba_name(database), hba_name(user), network)
            for database, user in pairs
            for network in networks
        ),
        *extra,
    ]
    return _HEADER % instance + "".join(line + "\n" for line in lines)


def hba_name(name: str) -> str:
    """Always quoted: an unquoted all, sameuser or +name would mean something else (pg_hba.conf documentation)."""
    return '"%s"' % name.replace('"', '""')


def first_repository(cipher_pass: str, retention_days: int) -> dict[str, object]:
    """Repository 1 on the volume, encrypted, block incremental."""
    return {
        "repo1-path": REPO_MOUNT,
        "repo1-cipher-type": "aes-256-cbc",
        "repo1-cipher-pass": cipher_pass,
        "repo1-bundle": "y",
        "repo1-block": "y",
        # By time and never by count: an extra full backup must not push out the week before.
        "repo1-retention-full-type": "time",
        "repo1-retention-full": retention_days,
    }


def pgbackrest_conf(
    instance: str,
    major: int,
    repositories: Iterable[Mapping[str, object]],
    options: Mapping[str, object],
) -> str:
    """Settings that know these repositories and no others; options go to [global] and win."""
    words = {name: value for repository in repositories for name, value in repository.items()}
    known = {name.split("-")[0] for name in words}
    settings: dict[str, object] = {
        **words,
        "compress-type": "zst",
        "compress-level": 3,
        "process-max": 2,
        "start-fast": "y",
        "archive-async": "y",
        "archive-timeout": 60,
        "spool-path": SPOOL_MOUNT,
        # On the shared volume: locks in /tmp of one container do not exist for another.
        "lock-path": SPOOL_MOUNT + "/lock",
        "log-level-console": "info",
        "log-level-file": "off",
        # Whoever waits for a network shall not wait for a minute at each step.
        **({} if known == {"repo1"} else {"io-timeout": 10}),
        **{
            name: value
            for name, value in options.items()
            if not _OF_REPOSITORY.match(name) or name.split("-")[0] in known
        },
    }
    stanza = {"pg1-path": pgdata(major), "pg1-socket-path": SOCKET_MOUNT}
    return _HEADER % instance + section("global", settings) + section(instance, stanza)


def section(name: str, settings: Mapping[str, object]) -> str:
    """A section of an INI file."""
    return "[%s]\n" % name + "".join("%s=%s\n" % (key, _word(value)) for key, value in settings.items())


def _word(value: object) -> str:
    """A value of the inventory in pgBackRest's spelling: YAML's true is y."""
    if isinstance(value, bool):
        return "y" if value else "n"
    return str(value)


def keeper_json(topics: Mapping[str, object]) -> str:
    """What the keeper shall do, a key for each topic; JSON, because nobody but the keeper reads it."""
    return json.dumps(topics, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def pg_service_conf(
    instance: str, host: str, ports: Mapping[str, int], folder: str, clients: Sequence[Mapping[str, str]]
) -> str:
    """One section a client and port: ``PGSERVICEFILE=… psql service=<section>`` logs in with TLS, certificate verified.

    ports: what the section has behind the name of the service -> port.
    """
    sections = (
        section(
            client["service"] + ending,
            {
                "host": host,
                "port": port,
                "dbname": client["database"],
                "user": client["user"],
                "sslmode": "verify-full",
                "sslrootcert": folder + "/ca.crt",
                "passfile": folder + "/pgpass",
            },
        )
        for ending, port in ports.items()
        for client in clients
    )
    return _HEADER % instance + "\n".join(sections)
