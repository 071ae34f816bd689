# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of the module instance to folders, files and containers. Pure. Private to the collection."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Iterator, Mapping, Optional

from . import _pooler_config as pooler_config
from . import _render as render
from . import _repositories as repositories
from . import _server_log as server_log
from ._container import ContainerSpec, HealthCheck, plain_address, reachable
from ._files import File, Folder, secret_file
from ._keeper_config import FILE as KEEPER_FILE
from ._layout import (
    CONFIG_MOUNT,
    DATA_MOUNT,
    DUMPS_MOUNT,
    GID,
    KEEPER_CONFIG_MOUNT,
    KEEPER_CURL,
    KEEPER_PORT,
    KEEPER_TOKEN,
    MONITOR,
    PGBACKREST_CONFIG_MOUNT,
    PORT,
    REPO_MOUNT,
    SCRATCH_MOUNT,
    SOCKET_MOUNT,
    SPOOL_MOUNT,
    STATE_MOUNT,
    UID,
    Layout,
    pgdata,
)
from ._pgpass import pgpass
from ._rules import refuse_options
from ._runbook import FILE as RUNBOOK
from ._runbook import render as runbook
from ._timers import timer_files

# Over TCP and not over the socket: nothing of ours counts as healthy that an application could not reach.
# As a role that pg_hba.conf lets in, or every check would leave a FATAL line in the log.
_HEALTH = HealthCheck("pg_isready -q -h 127.0.0.1 -p %d -d postgres -U %s -t 3" % (PORT, MONITOR))
# Asked by the shell itself: Python would take longer to start than the keeper to answer.
_KEEPER_HEALTH = HealthCheck(
    'bash -c \'exec 3<>/dev/tcp/127.0.0.1/%d && printf "HEAD /live HTTP/1.0\\r\\n\\r\\n" >&3'
    ' && read -r -t 3 _ code _ <&3 && [ "$code" = 200 ]\'' % KEEPER_PORT,
    interval_seconds=30,
)


@dataclass(frozen=True)
class Later:
    """What waits for the maintenance window, which opens at opens_at (RFC 3339 UTC). containers: by name the fields
    that force a new one, with (actual, wanted). settings: names of those that come with it. See _later."""

    opens_at: str
    containers: Mapping[str, Mapping[str, tuple[Any, Any]]] = field(default_factory=dict)
    settings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Declared:
    """The whole wanted state of one instance."""

    layout: Layout
    major: int
    folders: tuple[Folder, ...]
    files: tuple[File, ...]
    server: ContainerSpec
    keeper: ContainerSpec
    # Where one is declared.
    pooler: Optional[ContainerSpec] = None
    initdb_args: tuple[str, ...] = ()
    # Whether the major version may change, and how; see _crossing.
    upgrade: str = "refuse"
    # Whether an image may come that sorts text otherwise; see _collation.
    collation: str = "refuse"
    # Set while the maintenance window is shut; the rest is then what can be deployed now.
    later: Optional[Later] = None

    @property
    def volumes(self) -> dict[str, str]:
        """Volume name -> label of its role."""
        layout = self.layout
        return {
            layout.data_volume: "data",
            layout.repo_volume: "repo",
            layout.spool_volume: "spool",
            layout.scratch_volume: "scratch",
            layout.dumps_volume: "dumps",
        }

    def settings_files(self) -> tuple[File, ...]:
        return tuple(file for file in self.files if "/conf.d/" in file.path)


def declare(
    options: Mapping[str, Any], server_image: str, keeper_image: str, pooler_image: Optional[str] = None
) -> Declared:
    """options are those of the module instance, sizes in bytes; the images are ids, so that a tag that moves
    is a visible change and a release can be returned to."""
    layout = Layout(options["name"])
    if options["pooler"]:
        options = {**options, "pooler": pooler_config.sized(options["pooler"])}
    refuse_options(options)
    options = {**options, "bind_address": plain_address(options["bind_address"])}
    if options["keeper_http"]:
        address = plain_address(options["keeper_http"]["bind_address"], "postgres_server_keeper_bind_address")
        options["keeper_http"] = {**options["keeper_http"], "bind_address": address}
    return Declared(
        layout=layout,
        major=options["major"],
        folders=folders(layout, bool(options["pooler"])),
        files=_files(layout, options),
        server=_server(layout, options, server_image),
        keeper=_keeper(layout, options, keeper_image),
        pooler=pooler_config.container(layout, options, pooler_image) if pooler_image else None,
        initdb_args=tuple(options["initdb_args"]),
        upgrade=options.get("upgrade", "refuse"),
        collation=options.get("collation", "refuse"),
    )


def folders(layout: Layout, pooled: bool) -> tuple[Folder, ...]:
    """pooled: whether the instance has a pooler."""
    server = layout.server_config_dir
    return (
        Folder("/etc/pgkeep", 0o755, gid=0),
        Folder(layout.config_dir, 0o755, gid=0),
        Folder(server),
        Folder(server + "/conf.d"),
        Folder(server + "/tls"),
        Folder(layout.pgbackrest_config_dir),
        Folder(layout.keeper_config_dir),
        Folder(layout.client_dir, 0o755, gid=0),
        Folder("/var/lib/pgkeep", 0o755, gid=0),
        Folder(layout.home, 0o755, gid=0),
        Folder(layout.socket_dir, 0o750, UID, GID),
        Folder(layout.state_dir, 0o750, UID, GID),
        Folder(layout.releases_dir, 0o700, gid=0),
        *([pooler_config.folder(layout)] if pooled else []),
    )


def _files(layout: Layout, options: Mapping[str, Any]) -> tuple[File, ...]:
    name, server, client = layout.name, layout.server_config_dir, layout.client_dir
    tls, clients, logging = options["tls"], options["clients"], options.get("logging") or {}
    pairs = [(entry["database"], entry["user"]) for entry in clients]
    address = reachable(options["bind_address"])
    monitor = {"database": "*", "user": MONITOR, "password": options["monitor_password"]}
    pooler = options["pooler"]
    networks, lookups = options["allowed_networks"], []
    if pooler:
        # The server sees the pooler's address and not the client's, which the pooler looks at itself.
        networks = list(dict.fromkeys([*networks, "samenet"]))
        lookups = [("postgres", pooler_config.LOOKUP)]
    # By what is added to the name of a service.
    ports = {"": options["port"], **({"-pooler": pooler["port"]} if pooler else {})}

    base = {**render.base_settings(name, options["major"]), **server_log.settings(logging, options["major"])}

    def settings(file: str, about: str, values: Mapping[str, object]) -> File:
        return File("%s/conf.d/%s" % (server, file), render.settings_conf(name, about, values))

    return (
        File(server + "/postgresql.conf", render.postgresql_conf(name)),
        settings("10-base.conf", "what the collection stands on", base),
        settings("20-tuned.conf", "derived from the limits of the container by the filter tune", options["tuned"]),
        settings(
            "90-user.conf",
            "postgres_server_settings of the inventory",
            server_log.of_inventory(options["settings"], logging),
        ),
        File(
            server + "/pg_hba.conf",
            render.pg_hba(name, [*pairs, *lookups], networks, options["hba"], MONITOR),
        ),
        File(server + "/pg_ident.conf", render.pg_ident(name)),
        File(server + "/initdb.args", "".join(argument + "\n" for argument in options["initdb_args"])),
        File(server + "/on_empty", options["on_empty"] + "\n"),
        File(server + "/tls/server.crt", tls["certificate"]),
        File(server + "/tls/ca.crt", tls["ca_certificate"]),
        secret_file(server + "/tls/server.key", tls["private_key"]),
        *_tool_files(layout, options),
        *_keeper_files(layout, options),
        File("%s/%s" % (layout.config_dir, RUNBOOK), runbook(layout, options, address), 0o644, gid=0),
        *(pooler_config.files(layout, options, MONITOR) if pooler else ()),
        *timer_files(layout, options["keeper"].get("schedule") or {}),
        File(client + "/ca.crt", tls["ca_certificate"], 0o644, gid=0),
        File(client + "/pg_service.conf", render.pg_service_conf(name, address, ports, client, clients), 0o644, gid=0),
        secret_file(client + "/pgpass", pgpass(address, ports.values(), [*clients, monitor]), uid=0, gid=0),
        secret_file(client + "/monitor.password", options["monitor_password"] + "\n", uid=0, gid=0),
    )


def _keeper_files(layout: Layout, options: Mapping[str, Any]) -> Iterator[File]:
    """What the keeper does, its secrets, and for programs on the host the token of its endpoints."""
    topics, http = options["keeper"], options["keeper_http"]
    secrets = {**options["keeper_secrets"], "monitor.password": options["monitor_password"] + "\n"}
    if http:
        topics = {**topics, "http": {key: http[key] for key in ("environment", "interval_seconds")}}
        if options["pooler"]:
            topics["pooler"] = {"host": layout.pooler}
        secrets = {**secrets, KEEPER_TOKEN: http["token"] + "\n"}
        for name, line in ((KEEPER_TOKEN, "%s\n"), (KEEPER_CURL, 'header = "Authorization: Bearer %s"\n')):
            yield secret_file("%s/%s" % (layout.client_dir, name), line % http["token"], uid=0, gid=0)
    yield File(layout.keeper_config_dir + "/" + KEEPER_FILE, render.keeper_json(topics))
    for secret, content in sorted(secrets.items()):
        yield secret_file("%s/%s" % (layout.keeper_config_dir, secret), content)


def _tool_files(layout: Layout, options: Mapping[str, Any]) -> Iterator[File]:
    """pgbackrest.conf names all repositories, archive.conf the first, repositoryN.conf the one that WAL is brought to;
    beside them what their settings refer to. All are secret: most hold passphrases, and the rest may."""
    backup, folder = options["backup"], layout.pgbackrest_config_dir
    further = repositories.declared(backup["repositories"])
    first = render.first_repository(backup["cipher_pass"], backup["retention_days"])
    known = {
        "pgbackrest.conf": [first, *(repository.settings() for repository in further)],
        "archive.conf": [first],
        **{repository.config_file: [repository.settings()] for repository in further},
    }
    for name, settings in known.items():
        text = render.pgbackrest_conf(
            layout.name, options["major"], settings, {**backup["options"], **backup["secret_options"]}
        )
        yield secret_file("%s/%s" % (folder, name), text)
    for repository in further:
        for word, content in sorted(repository.files.items()):
            yield secret_file("%s/%s" % (folder, repository.file_name(word)), content)


def _mounts(layout: Layout, options: Mapping[str, Any], data_mode: str) -> tuple[str, ...]:
    further = repositories.declared(options["backup"]["repositories"])
    return (
        "%s:%s%s" % (layout.data_volume, DATA_MOUNT, data_mode),
        "%s:%s" % (layout.repo_volume, REPO_MOUNT),
        "%s:%s" % (layout.spool_volume, SPOOL_MOUNT),
        "%s:%s:ro" % (layout.server_config_dir, CONFIG_MOUNT),
        "%s:%s:ro" % (layout.pgbackrest_config_dir, PGBACKREST_CONFIG_MOUNT),
        "%s:%s" % (layout.socket_dir, SOCKET_MOUNT),
        "%s:%s" % (layout.state_dir, STATE_MOUNT),
        *("%s:%s" % (each.path, each.mount) for each in further if not each.elsewhere),
    )


def _environment(layout: Layout, major: int) -> dict[str, str]:
    return {
        "PGDATA": pgdata(major),
        "PGKEEP_INSTANCE": layout.name,
        # Backends give themselves up before the postmaster does (PostgreSQL manual, Linux Memory Overcommit).
        "PG_OOM_ADJUST_FILE": "/proc/self/oom_score_adj",
        "PG_OOM_ADJUST_VALUE": "0",
    }


def _server(layout: Layout, options: Mapping[str, Any], image: str) -> ContainerSpec:
    return ContainerSpec(
        name=layout.server,
        instance=layout.name,
        role="server",
        image=image,
        command=("server",),
        environment=_environment(layout, options["major"]),
        mounts=_mounts(layout, options, ""),
        memory_bytes=options["memory_bytes"],
        cpus=options["cpus"],
        pids_limit=options["pids_limit"],
        shm_bytes=options["shm_bytes"],
        network=options["network"],
        ports=("%s:%d:%d" % (options["bind_address"], options["port"], PORT),),
        stop_timeout_seconds=options["stop_timeout_seconds"],
        health=_HEALTH,
    )


def _needs_network(options: Mapping[str, Any]) -> bool:
    """The keeper gets a network only where it has somebody to talk to: who asks it, a repository elsewhere, somebody to
    alert."""
    further = repositories.declared(options["backup"]["repositories"])
    talks = options["keeper_http"] or options["keeper"].get("alerts")
    return bool(talks) or any(repository.elsewhere for repository in further)


def _keeper(layout: Layout, options: Mapping[str, Any], image: str) -> ContainerSpec:
    http = options["keeper_http"]
    return ContainerSpec(
        name=layout.keeper,
        instance=layout.name,
        role="keeper",
        image=image,
        command=("keeper",),
        environment=_environment(layout, options["major"]),
        # Read-only data: whatever goes wrong in the keeper, it cannot touch the database's files.
        mounts=(
            *_mounts(layout, options, ":ro"),
            "%s:%s:ro" % (layout.keeper_config_dir, KEEPER_CONFIG_MOUNT),
            "%s:%s" % (layout.scratch_volume, SCRATCH_MOUNT),
            "%s:%s" % (layout.dumps_volume, DUMPS_MOUNT),
        ),
        network=options["network"] if _needs_network(options) else "none",
        memory_bytes=options["keeper_memory_bytes"],
        cpus=options["keeper_cpus"],
        pids_limit=100,
        ports=("%s:%d:%d" % (http["bind_address"], http["port"], KEEPER_PORT),) if http else (),
        health=_KEEPER_HEALTH if http else None,
        stop_signal="SIGTERM",
        stop_timeout_seconds=30,
    )
