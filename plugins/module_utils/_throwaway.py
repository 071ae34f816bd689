# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that lives for one drill or one restore: restored by the image's own entrypoint, alone, without network.

Private to the collection.
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass, replace
from typing import Any, Callable, Mapping, Optional, Sequence

from . import _docker as docker
from ._container import ContainerSpec, create_argv
from ._errors import PgkeepError
from ._files import File, Folder, make, write
from ._layout import CONFIG_MOUNT, DATA_MOUNT, GID, REPO_MOUNT, SOCKET_MOUNT, SPOOL_MOUNT, STATE_MOUNT, UID
from ._retry import retryable
from ._run import Run
from ._server import REFUSAL
from ._sql import connection, driver, rows
from ._units import MB, postgres_size

# A smaller server cannot run amcheck and recovery side by side.
MINIMUM_MEMORY = 256 * MB

# What a copy never does, whatever the settings of the instance say.
ALONE = {
    "listen_addresses": "",
    "logging_collector": "off",
    "log_destination": "stderr",
    # Without hot standby no setting has to reach the value that the server had when the backup was taken, and a
    # login succeeds exactly when recovery is over.
    "hot_standby": "off",
    "autovacuum": "off",
    # A subscription of a copy would take from the publisher what belongs to production.
    "max_logical_replication_workers": "0",
}

_FEW_SEGMENTS = 32
# Between the words that tell why may stand many answers to our own logins.
LOG_LINES = 1000

_STEPS = (
    (
        "recovery ended before configured recovery target",
        "choose a target before the last completed transaction, or for an xid or a name an older backup with label",
    ),
    ("No space left on device", "free space on the file system of the data volume, then repeat"),
    ("", "choose another backup with label; backup_info lists them, and what is wrong with each"),
)

_TELLING = ("FATAL:", "PANIC:", "ERROR:", "last completed transaction")
# The answer to our own question whether recovery is over.
_REFUSED_LOGIN = "the database system is "


@dataclass(frozen=True)
class Place:
    """Host folder of a throw-away server: its sockets, spool, state and its own word for an empty data directory."""

    home: str

    @property
    def socket_dir(self) -> str:
        return self.home + "/run"

    @property
    def spool_dir(self) -> str:
        return self.home + "/spool"

    @property
    def state_dir(self) -> str:
        return self.home + "/state"

    @property
    def on_empty(self) -> str:
        return self.home + "/on_empty"


def derive(
    server: ContainerSpec,
    place: Place,
    *,
    name: str,
    role: str,
    data: str,
    environment: Mapping[str, str],
    settings: Mapping[str, str],
    memory_bytes: int,
    cpus: float,
    repository: int = 1,
) -> ContainerSpec:
    """The throw-away container, from the spec of the real one: same image, entrypoint and settings.

    data is the volume or host path for DATA_MOUNT. The repository is read-only and spool, state and sockets are its
    own, so nothing it does can reach the instance; settings are added on the command line and win. Only where its
    repository is on no mount has it the server's network, to reach that.
    """
    sources = {
        DATA_MOUNT: data,
        SPOOL_MOUNT: place.spool_dir,
        STATE_MOUNT: place.state_dir,
        SOCKET_MOUNT: place.socket_dir,
    }
    mounts = []
    for mount in server.mounts:
        source, inside = mount.split(":")[:2]
        if inside in sources:
            mounts.append("%s:%s" % (sources[inside], inside))
        else:
            mounts.append("%s:%s:ro" % (source, inside))
    mounts.append("%s:%s/on_empty:ro" % (place.on_empty, CONFIG_MOUNT))
    words = {**ALONE, "shared_buffers": postgres_size(memory_bytes // 4), **settings}
    return replace(
        server,
        name=name,
        role=role,
        command=("server", *(word for item in words.items() for word in ("-c", "%s=%s" % item))),
        environment={**server.environment, "PGKEEP_REPOSITORY": str(repository), **environment},
        mounts=tuple(mounts),
        memory_bytes=memory_bytes,
        cpus=cpus,
        shm_bytes=min(server.shm_bytes, memory_bytes),
        network="none" if is_mounted(server, repository) else server.network,
        ports=(),
        restart="no",
        health=None,
    )


def is_mounted(server: ContainerSpec, repository: int) -> bool:
    """Whether the repository is a folder of this machine, which no network is needed for."""
    folder = REPO_MOUNT if repository == 1 else "%s-%d" % (REPO_MOUNT, repository)
    return any(mount.split(":")[1] == folder for mount in server.mounts)


def fetching(backup: Mapping[str, Any], newest: Optional[str]) -> dict[str, str]:
    """How WAL is fetched, as environment: backup is where recovery begins, newest the last archived segment.

    archive-get in the background overtakes PostgreSQL and wins over hundreds of segments; over a few its start, 0.4 s
    each time PostgreSQL goes back or asks for more, costs more than the segments.
    """
    begin, end = str(backup["wal_stop"]), newest or str(backup["wal_stop"])
    # The same log (digits 8 to 15) and near: true for every segment size.
    few = begin[8:16] == end[8:16] and int(end[16:], 16) - int(begin[16:], 16) < _FEW_SEGMENTS
    return {"PGBACKREST_ARCHIVE_ASYNC": "n"} if few else {}


def prepare(place: Place) -> None:
    """Make the folders of place, empty."""
    discard(place)
    make(Folder(place.home, 0o750))
    for path in (place.socket_dir, place.spool_dir, place.state_dir):
        make(Folder(path, 0o750, UID, GID))
    # The instance may say refuse; this server exists to restore.
    write(File(place.on_empty, "restore\n"))


def discard(place: Place) -> None:
    if os.path.isdir(place.home):
        shutil.rmtree(place.home)


def source_of(spec: ContainerSpec, inside: str) -> str:
    """The volume or host path that spec mounts at inside."""
    for mount in spec.mounts:
        source, path = mount.split(":")[:2]
        if path == inside:
            return source
    raise PgkeepError(
        "The release of %s cannot be used" % spec.instance,
        "its server mounts nothing at %s" % inside,
        "run the playbook deploy.yml, which writes a new release",
    )


def host_path(run: Run, source: str) -> str:
    """Where the files of a mount lie on the host: source is a path already or the name of a volume."""
    if source.startswith("/"):
        return source
    found = docker.volume(run, source)
    if found is None:
        raise PgkeepError(
            "The volume %s cannot be read" % source, "there is no such volume", "look at docker volume ls"
        )
    options = found.get("Options") or {}
    # A volume that binds a folder is mounted at its mount point only while a container uses it.
    return str(options["device"] if "bind" in options.get("o", "") else found["Mountpoint"])


def wait_until_open(
    run: Run,
    name: str,
    socket_dir: str,
    timeout_seconds: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    ready: Optional[Callable[[str], bool]] = None,
) -> None:
    """wait_open() for a server in the container name."""

    def log() -> str:
        return docker.logs_tail(run, name, LOG_LINES)

    wait_open(socket_dir, lambda: docker.running(docker.inspect(run, name)), log, timeout_seconds, clock, sleep, ready)


def wait_open(
    socket_dir: str,
    alive: Callable[[], bool],
    log: Callable[[], str],
    timeout_seconds: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    ready: Optional[Callable[[str], bool]] = None,
) -> None:
    """Wait until the server accepts writes, or ready(socket_dir) says yes.

    Raises PgkeepError with the log's own words when it is not alive any more.
    Every refused login is a line of the log, so after some seconds they become rarer.
    """
    began = asked = clock()
    while not (ready or is_open)(socket_dir):
        now = clock()
        # A question to the engine costs ten times a login.
        if now - asked >= 0.5:
            asked = now
            if not alive():
                raise failure(log())
        if now - began > timeout_seconds:
            raise PgkeepError(
                "The copy was not ready in time",
                "it was not there within %d s; %s" % (timeout_seconds, failure(log()).why),
                "repeat with a greater timeout_seconds",
            )
        sleep(min(0.05 + (now - began) / 200, 0.5))


def is_open(socket_dir: str) -> bool:
    """Whether a login succeeds and the server is out of recovery. Raises PgkeepError for a login that never will."""
    return _says(socket_dir, "select not pg_is_in_recovery()")


def is_paused(socket_dir: str) -> bool:
    """Whether a login succeeds and recovery waits at its target. Raises PgkeepError for a login that never will."""
    return _says(socket_dir, "select pg_is_in_recovery() and pg_is_wal_replay_paused()")


def _says(socket_dir: str, question: str) -> bool:
    try:
        with connection(socket_dir) as opened:
            return bool(rows(opened, question)[0][0])
    except driver().OperationalError as error:
        if retryable(error):
            return False
        raise PgkeepError("The copy refuses the superuser", str(error).strip()) from error


def failure(log: str) -> PgkeepError:
    """Why a copy ended, from its log: the entrypoint's refusal, else what PostgreSQL and pgBackRest called fatal."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    for line in reversed(lines):
        refusal = REFUSAL.match(line)
        if refusal:
            return PgkeepError(*refusal.groups())
    found = [line for line in lines if any(mark in line for mark in _TELLING) and _REFUSED_LOGIN not in line]
    # pgBackRest says the cause first, PostgreSQL last; three lines hold both.
    why = "; ".join(_without_prefix(line) for line in found[-3:]) or (lines[-1] if lines else "the log is empty")
    step = next((step for words, step in _STEPS if words in why), _STEPS[-1][1])
    return PgkeepError("The recovery of the copy failed", why, step)


def _without_prefix(line: str) -> str:
    """Without time and process id."""
    for mark in ("FATAL:", "PANIC:", "ERROR:", "LOG:"):
        if mark in line:
            return ("" if mark == "LOG:" else mark + " ") + line.split(mark, 1)[1].strip()
    return line


def start(run: Run, spec: ContainerSpec) -> None:
    docker.docker(run, create_argv(spec, "run --detach"), what="The container %s could not be started" % spec.name)


def remove_leftovers(run: Run, instance: str, role: str) -> list[str]:
    """Remove containers and volumes that carry our labels with role; returns their names."""
    containers = docker.labelled(run, "container", instance, role)
    for name in containers:
        docker.remove(run, name)
    volumes = docker.labelled(run, "volume", instance, role)
    for name in volumes:
        docker.remove_volume(run, name)
    return [*containers, *volumes]


def free_bytes(path: str) -> int:
    """Space for an ordinary user on the file system of path or, where it is not there yet, of its first parent."""
    while not os.path.exists(path):
        path = os.path.dirname(path)
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


def require_space(path: str, needed_bytes: int, what: str) -> None:
    free = free_bytes(path)
    if free < needed_bytes:
        raise PgkeepError(
            "The %s cannot start" % what,
            "the copy needs %d MB on the file system of %s and %d MB are free" % (needed_bytes // MB, path, free // MB),
            "free space there, then repeat; nothing was changed",
        )


def databases(socket_dir: str) -> Sequence[str]:
    """Names of the databases that accept connections."""
    with connection(socket_dir) as opened:
        return [name for (name,) in rows(opened, "select datname from pg_database where datallowconn order by datname")]
