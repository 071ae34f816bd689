# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pooler as data: its options, files and container. Pure. Private to the collection."""

from __future__ import annotations

import re
from typing import Any, Iterator, Mapping, Sequence

from ._container import ContainerSpec, HealthCheck
from ._errors import PgkeepError
from ._files import File, Folder, secret_file
from ._layout import POOLER_CONFIG_MOUNT, POOLER_PORT, PORT, Layout
from ._pooler_reader import CONSOLE, USER, password_verifier
from ._pooler_sizes import OWN_POOL, Pools, pools
from ._render import hba_name, header, section
from ._units import parse_bytes

# The role that looks up the verifiers of the others, and the function that it may call for that.
LOOKUP = "pgkeep_pooler"
# The file with the password of that role.
USERS = "userlist.txt"
_AUTH_QUERY = "SELECT username, verifier FROM pgkeep_pooler.lookup($1)"
# Where that function is, whatever database a client wants.
_LOOKUP_DATABASE = "postgres"

# Options of the pooler in the module instance, for Ansible.
SPEC: dict[str, dict[str, Any]] = {
    "image": {"type": "str", "required": True},
    "port": {"type": "int", "default": POOLER_PORT},
    "password": {"type": "str", "required": True, "no_log": True},
    "mode": {"type": "str", "choices": ["session", "transaction", "statement"], "default": "transaction"},
    "size": {"type": "int", "default": 0},
    "sizes": {"type": "dict", "default": {}},
    "min_size": {"type": "int", "default": 2},
    "max_clients": {"type": "int", "default": 500},
    "queue_timeout_seconds": {"type": "int", "default": 15},
    "memory": {"type": "str", "default": "128MB"},
    "cpus": {"type": "float", "default": 1.0},
}

# Names that its file can hold. It has no way to quote another one, whatever its manual says (pgbouncer issue 971), but
# serves them by its entry for all others.
_PLAIN = re.compile(r"[A-Za-z0-9_.-]+\Z")

# Of the process that an application would reach, and of nothing behind it: a server that is down does not make its
# pooler unhealthy. As the one role that the pooler knows without asking the server.
_HEALTH = HealthCheck(
    "pg_isready -q -h 127.0.0.1 -p %d -d %s -U %s -t 3" % (POOLER_PORT, _LOOKUP_DATABASE, LOOKUP),
    start_period_seconds=10,
)


def refuse(name: str, pooler: Mapping[str, Any], clients: Sequence[Mapping[str, Any]]) -> None:
    """Raises PgkeepError for numbers and names that the pooler cannot have."""
    numbers = {
        "postgres_pooler_size": (pooler["size"], 0),
        "postgres_pooler_min_size": (pooler["min_size"], 0),
        "postgres_pooler_max_clients": (pooler["max_clients"], 1),
        "postgres_pooler_queue_timeout_seconds": (pooler["queue_timeout_seconds"], 1),
        **{"postgres_pooler_sizes of %s" % key: (value, 1) for key, value in pooler["sizes"].items()},
    }
    for word, (value, least) in numbers.items():
        if not str(value).isdigit() or int(value) < least:
            raise PgkeepError(
                "The pooler of %s cannot be declared" % name, "%s is %s" % (word, value), "set it to %d or more" % least
            )
    awkward = sorted(name for name in pooler["sizes"] if not _PLAIN.match(name))
    if awkward:
        raise PgkeepError(
            "The pool of the database %s cannot be sized" % awkward[0],
            "PgBouncer takes only letters, digits, dots, hyphens and underscores in a name there",
            "remove it from postgres_pooler_sizes; it gets postgres_pooler_size",
        )
    if any(client["database"] == CONSOLE for client in clients):
        raise PgkeepError(
            "The pooler of %s cannot serve the database %s" % (name, CONSOLE),
            "PgBouncer has its own console under this name",
            "rename the database, or do without the pooler",
        )


def sized(pooler: Mapping[str, Any]) -> dict[str, Any]:
    """The options with the memory in bytes."""
    return {**pooler, "memory_bytes": parse_bytes(pooler["memory"], "memory limit of the pooler")}


def folder(layout: Layout) -> Folder:
    return Folder(layout.pooler_config_dir)


def files(layout: Layout, options: Mapping[str, Any], monitor: str) -> Iterator[File]:
    """options are those of the module instance, monitor the role of health checks. Raises PgkeepError where the pools
    could exhaust the server."""
    pooler, place, tls = options["pooler"], layout.pooler_config_dir, options["tls"]
    pairs, reader = pairs_of(options), options["keeper_http"]
    sizes = pools(pooler, pairs, {**options["tuned"], **options["settings"]}, options["major"])
    known = {LOOKUP: pooler["password"]}
    if reader:
        known[USER] = password_verifier(reader["token"])
    users = ('"%s" "%s"\n' % (name, secret.replace('"', '""')) for name, secret in known.items())
    yield File(place + "/pgbouncer.ini", _ini(layout, pooler, sizes))
    yield File(place + "/pg_hba.conf", _hba(layout.name, pairs, options["allowed_networks"], monitor, bool(reader)))
    yield secret_file("%s/%s" % (place, USERS), "".join(users))
    yield File(place + "/server.crt", tls["certificate"])
    yield secret_file(place + "/server.key", tls["private_key"])
    yield File(place + "/ca.crt", tls["ca_certificate"])


def pairs_of(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(client["database"], client["user"]) for client in options["clients"]]


def container(layout: Layout, options: Mapping[str, Any], image: str) -> ContainerSpec:
    pooler = options["pooler"]
    return ContainerSpec(
        name=layout.pooler,
        instance=layout.name,
        role="pooler",
        image=image,
        command=("run",),
        environment={},
        mounts=("%s:%s:ro" % (layout.pooler_config_dir, POOLER_CONFIG_MOUNT), layout.hosts_file + ":/etc/hosts:ro"),
        memory_bytes=pooler["memory_bytes"],
        cpus=pooler["cpus"],
        pids_limit=50,
        network=options["network"],
        ports=("%s:%d:%d" % (options["bind_address"], pooler["port"], POOLER_PORT),),
        # PgBouncer lets transactions end on SIGINT, and waits for all clients to leave on SIGTERM.
        stop_timeout_seconds=10,
        health=_HEALTH,
    )


def _ini(layout: Layout, pooler: Mapping[str, Any], sizes: Pools) -> str:
    """[databases] with a hard limit for each, so that the sum that was judged cannot be passed by anything."""

    def entry(size: int, minimum: int, most: int) -> str:
        limits = (layout.server, PORT, size, min(size, minimum), most)
        return "host=%s port=%d pool_size=%d min_pool_size=%d max_db_connections=%d" % limits

    databases = {_LOOKUP_DATABASE: entry(OWN_POOL, 0, 2 * OWN_POOL)}
    for name, size in sorted(sizes.size.items()):
        if _PLAIN.match(name):
            databases[name] = entry(size, sizes.minimum, sizes.most(name))
    others = [name for name in sizes.size if not _PLAIN.match(name)]
    if others:
        # All of one size, see refuse(); which of them exist says pg_hba.conf.
        most = max(sizes.most(name) for name in others)
        databases["*"] = entry(sizes.size[others[0]], sizes.minimum, most)
    return header(layout.name) + section("databases", databases) + section("pgbouncer", _settings(pooler))


def _settings(pooler: Mapping[str, Any]) -> dict[str, object]:
    return {
        "listen_addr": "*",
        "listen_port": POOLER_PORT,
        # The console: in the container's own file system, for its own uid.
        "unix_socket_dir": "/tmp",
        "unix_socket_mode": "0700",
        "auth_type": "hba",
        # pg_hba.conf of this folder, with the networks of the container in the place of samenet.
        "auth_hba_file": "/tmp/pg_hba.conf",
        "auth_file": POOLER_CONFIG_MOUNT + "/" + USERS,
        "auth_user": LOOKUP,
        "auth_dbname": _LOOKUP_DATABASE,
        "auth_query": _AUTH_QUERY,
        # The keeper's; who that is say auth_file and pg_hba.conf.
        "stats_users": USER,
        "client_tls_sslmode": "require",
        "client_tls_cert_file": POOLER_CONFIG_MOUNT + "/server.crt",
        "client_tls_key_file": POOLER_CONFIG_MOUNT + "/server.key",
        "server_tls_sslmode": "verify-full",
        "server_tls_ca_file": POOLER_CONFIG_MOUNT + "/ca.crt",
        "pool_mode": pooler["mode"],
        "max_client_conn": pooler["max_clients"],
        "max_prepared_statements": 200,
        # Sent by drivers of Java whatever they are told; its default is what every client of today wants.
        "ignore_startup_parameters": "extra_float_digits",
        # The breaker: who comes while the server cannot be reached gets its error at once, and one try in so many
        # seconds finds out when that is over.
        "server_connect_timeout": 5,
        "server_login_retry": 1,
        "query_wait_timeout": pooler["queue_timeout_seconds"],
        "client_login_timeout": pooler["queue_timeout_seconds"],
        # A new container of the server has another address.
        "dns_max_ttl": 1,
        "dns_nxdomain_ttl": 1,
        # Every health check would be two lines.
        "log_connections": 0,
        "log_disconnections": 0,
    }


def _hba(instance: str, pairs: Sequence[tuple[str, str]], networks: Sequence[str], monitor: str, keeper: bool) -> str:
    """Who may come from where, as in the server, which sees only the pooler's address. Nobody else gets in.

    keeper: whether the instance's keeper looks at the pooler; it is in the same network, wherever applications are.
    """
    watched_from = dict.fromkeys([*networks, *(["samenet"] if keeper else [])])
    lines = [
        # The engine's health check.
        "hostssl %s %s 127.0.0.1/32 scram-sha-256" % (_LOOKUP_DATABASE, LOOKUP),
        *(["hostssl %s %s samenet scram-sha-256" % (CONSOLE, USER)] if keeper else []),
        *("hostssl %s %s %s scram-sha-256" % (_LOOKUP_DATABASE, monitor, network) for network in watched_from),
        *(
            "hostssl %s %s %s scram-sha-256" % (hba_name(database), hba_name(user), network)
            for database, user in pairs
            for network in networks
        ),
    ]
    return header(instance) + "".join(line + "\n" for line in lines)
