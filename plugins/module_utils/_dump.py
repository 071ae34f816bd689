# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking dumps of databases in the keeper: a run appears whole, verified, or not at all. Private to the collection."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO, Iterator, Mapping, Optional, Sequence

from . import _dump_manifest as manifests
from . import _dump_names as names
from . import _dump_settings as settings_of
from . import _sql
from ._backup_repository import Keeper
from ._dump_database import databases
from ._dump_manifest import Dump, Run, Stored
from ._dump_pipe import Deadline, flow, nothing, within
from ._dump_rows import counted
from ._dump_settings import Settings
from ._errors import PgkeepError
from ._layout import GID, UID
from ._lock import hold
from ._times import rfc3339

# A table that is locked for longer makes the dump fail, naming it, instead of waiting for the deadline.
_LOCK_WAIT_MILLISECONDS = 60_000
_MARGIN = 1.2
# The share of a database that its first dump takes; typical data compress to less, and indexes are left out.
_FIRST_SHARE = 0.5
_LEAST_BYTES = 1024 * 1024
# zstd came with PostgreSQL 16; before it there is gzip, whose first level is the nearest.
_ZSTD_SINCE = 160000


@dataclass(frozen=True)
class Plan:
    """databases: what would be dumped. Sizes are bytes."""

    databases: tuple[str, ...]
    needed_bytes: int
    free_bytes: int


def take(keeper: Keeper, wanted: Sequence[str] = (), *, check: bool = False) -> dict[str, Any]:
    """Dump the wanted databases, by default those of the inventory, and return dump, changed, plan and removed.

    Raises PgkeepError, busy while another run or a restore from a dump goes on. A run that fails leaves nothing, and
    removes no older one.
    """
    settings = settings_of.load(keeper)
    if settings.encrypt:
        settings_of.require_passphrase(keeper)
    deadline = within(settings.deadline_seconds)
    with locked(keeper, "dump of %s" % keeper.instance), _server(keeper) as opened:
        found = manifests.runs(keeper)
        there = databases(opened)
        plan = make_plan(keeper, wanted or settings.databases, there, found)
        if check:
            return {"dump": None, "changed": True, "plan": asdict(plan), "removed": []}
        for name in manifests.leftovers(keeper):
            shutil.rmtree("%s/%s" % (keeper.dumps, name))
        run = _take(keeper, settings, opened, plan, there, deadline)
        after = manifests.sound(keeper, manifests.runs(keeper))
        removed = manifests.removable(after, settings.keep_days, settings.keep_min, time.time())
        for name in removed:
            _remove(keeper, name)
        return {"dump": described(keeper, run), "changed": True, "plan": asdict(plan), "removed": removed}


def locked(keeper: Keeper, what: str) -> contextlib.AbstractContextManager[None]:
    """Apart from the repository's lock, for dumps do not touch it; not on the volume, which may be full.

    Whoever makes databases on the host holds it too, or one of the two would remove what the other has begun.
    """
    return hold(keeper.spool + "/pgkeep-dumps.lock", what, who=keeper.actor, owner=(UID, GID))


@contextlib.contextmanager
def _server(keeper: Keeper) -> Iterator[Any]:
    """A connection to postgres; an error of the server on any connection in the block becomes a PgkeepError.

    So does a name that is not UTF-8, which a database of encoding SQL_ASCII may have.
    """
    try:
        with _sql.connection(keeper.sockets) as opened:
            opened.set_client_encoding("UTF8")
            yield opened
    except (_sql.driver().Error, UnicodeError) as error:
        raise PgkeepError(
            "The dump of %s failed" % keeper.instance,
            " ".join(str(error).split()),
            "read the server's log (docker logs %s), then repeat; no older dump was removed" % keeper.instance,
        ) from error


def make_plan(
    keeper: Keeper,
    wanted: Sequence[str],
    there: Mapping[str, tuple[int, Mapping[str, Any]]],
    found: Sequence[manifests.Found],
) -> Plan:
    """Refuse what cannot end well, before anything is touched."""
    unknown = [name for name in wanted if name not in there]
    if unknown:
        raise PgkeepError(
            "The dump of %s was not started" % keeper.instance,
            "there is no database %s; there are %s" % (", ".join(unknown), ", ".join(there)),
            "correct the name, or databases of postgres_backup_dumps",
        )
    chosen = tuple(dict.fromkeys(wanted)) or tuple(there)
    needed = _LEAST_BYTES
    for name in chosen:
        last = manifests.newest(found, name)
        needed += int(last[1].size_bytes * _MARGIN if last else there[name][0] * _FIRST_SHARE)
    disk = os.statvfs(keeper.dumps)
    plan = Plan(chosen, needed, disk.f_bavail * disk.f_frsize)
    if plan.free_bytes < plan.needed_bytes:
        raise PgkeepError(
            "The dump of %s was not started" % keeper.instance,
            "the disk of the dumps is too full: about %d bytes are needed, %d are free" % (needed, plan.free_bytes),
            "free space or enlarge the disk, or lower keep_days of postgres_backup_dumps; no older dump was removed",
        )
    return plan


def _take(
    keeper: Keeper,
    settings: Settings,
    opened: Any,
    plan: Plan,
    there: Mapping[str, tuple[int, dict[str, Any]]],
    deadline: Deadline,
) -> Run:
    began = time.time()
    name = _free_name(keeper, began)
    final = "%s/%s" % (keeper.dumps, name)
    folder = final + names.PARTIAL
    os.mkdir(folder, 0o700)
    try:
        stored = _globals(keeper, settings, folder, name, deadline)
        dumps = tuple(_one(keeper, settings, folder, name, each, there[each], deadline) for each in plan.databases)
        ended = time.time()
        run = Run(
            run=name,
            instance=keeper.instance,
            system_id=int(_sql.rows(opened, "SELECT system_identifier FROM pg_control_system()")[0][0]),
            server_version=str(_sql.rows(opened, "SHOW server_version")[0][0]),
            started_at=rfc3339(began),
            stopped_at=rfc3339(ended),
            duration_seconds=round(ended - began, 3),
            encrypted=settings.encrypt,
            globals=stored,
            databases=dumps,
            verified_at=rfc3339(ended),
        )
        with _new(folder + "/" + manifests.MANIFEST) as handle:
            handle.write(manifests.to_text(run).encode())
            handle.flush()
            os.fsync(handle.fileno())
        _sync(folder)
        os.rename(folder, final)
        _sync(keeper.dumps)
    except OSError as error:
        raise PgkeepError(
            "The dump of %s failed" % keeper.instance,
            "%s: %s" % (error.filename or folder, error.strerror or error),
            "free space on the disk of the dumps, then repeat; no older dump was removed",
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return run


def _free_name(keeper: Keeper, began: float) -> str:
    """Two runs may begin in the same second, or after the clock was set back."""
    while os.path.exists("%s/%s" % (keeper.dumps, names.stamp(began))):
        began += 1
    return names.stamp(began)


def _sync(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _new(path: str) -> BinaryIO:
    return open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600))


def _globals(keeper: Keeper, settings: Settings, folder: str, run: str, deadline: Deadline) -> Stored:
    """Roles, their memberships and settings, and tablespaces. Password verifiers only where they are encrypted."""
    argv = ["pg_dumpall", "--globals-only", "--no-password", "--dbname=" + _sql.conninfo(keeper.sockets, "postgres")]
    if not settings.encrypt:
        argv.append("--no-role-passwords")
    what = "The roles of %s were not dumped" % keeper.instance
    return _store(keeper, settings, what, argv, folder, names.globals_file(run, encrypted=settings.encrypt), deadline)


def _one(
    keeper: Keeper,
    settings: Settings,
    folder: str,
    run: str,
    database: str,
    about: tuple[int, dict[str, Any]],
    deadline: Deadline,
) -> Dump:
    began = time.monotonic()
    what = "The database %s was not dumped" % database
    file = names.dump_file(database, run, encrypted=settings.encrypt)
    with _sql.connection(keeper.sockets, database) as opened:
        with counted(opened, database) as counting:
            argv = [
                "pg_dump",
                "--format=custom",
                compression(opened),
                "--snapshot=" + counting.snapshot,
                "--lock-wait-timeout=%d" % _LOCK_WAIT_MILLISECONDS,
                "--no-password",
                "--dbname=" + _sql.conninfo(keeper.sockets, database),
            ]
            stored = _store(keeper, settings, what, argv, folder, file, deadline)
            read_through(keeper, what, "%s/%s" % (folder, file), deadline, encrypted=settings.encrypt, whole=False)
        tables = counting.tables()
    return Dump(
        stored.file,
        stored.size_bytes,
        stored.sha256,
        database=database,
        duration_seconds=round(time.monotonic() - began, 3),
        database_bytes=about[0],
        properties=about[1],
        tables=tables,
        unlogged=counting.unlogged,
    )


def _store(
    keeper: Keeper, settings: Settings, what: str, argv: Sequence[str], folder: str, file: str, deadline: Deadline
) -> Stored:
    """Write what argv prints, encrypted if so wished, and believe it when the disk gives the same back."""
    path = "%s/%s" % (folder, file)
    commands = [argv, settings_of.encryption(keeper)] if settings.encrypt else [argv]
    digest, size = hashlib.sha256(), 0
    with _new(path) as handle:

        def write(chunk: bytes) -> None:
            nonlocal size
            digest.update(chunk)
            size += len(chunk)
            handle.write(chunk)

        flow(what, commands, write, deadline)
        handle.flush()
        os.fsync(handle.fileno())
    stored = Stored(file, size, digest.hexdigest())
    wrong = manifests.problem(folder, stored, reread=True)
    if wrong:
        raise PgkeepError(what, "what the disk gives back is not what was written: " + wrong, "replace the disk")
    return stored


def compression(opened: Any) -> str:
    """The option of the server's pg_dump."""
    return "--compress=%s" % ("zstd:3" if opened.server_version >= _ZSTD_SINCE else "1")


def read_through(keeper: Keeper, what: str, path: str, deadline: Deadline, *, encrypted: bool, whole: bool) -> None:
    """Let pg_restore read a dump: its table of contents, or with whole everything in it."""
    argv = ["pg_restore", "--file=/dev/null"] if whole else ["pg_restore", "--list"]
    if encrypted:
        flow(
            what, [settings_of.encryption(keeper, decrypt=True), argv], nothing, deadline, source=path, partly=not whole
        )
    else:
        flow(what, [argv], nothing, deadline, source=path)


def _remove(keeper: Keeper, name: str) -> None:
    """First out of sight, so that a run is never half there under its name."""
    path = "%s/%s" % (keeper.dumps, name)
    os.rename(path, path + names.PARTIAL)
    shutil.rmtree(path + names.PARTIAL)


def described(keeper: Keeper, run: Run, problems: Optional[Mapping[str, str]] = None) -> dict[str, Any]:
    """A run for people and programs: the manifest without its tables. problems: file -> what is wrong with it."""
    problems = problems or {}
    folder = "%s/%s" % (keeper.dumps, run.run)
    return {
        "run": run.run,
        "folder": folder,
        "started_at": run.started_at,
        "stopped_at": run.stopped_at,
        "duration_seconds": run.duration_seconds,
        "verified_at": run.verified_at,
        "encrypted": run.encrypted,
        "size_bytes": run.size_bytes,
        "good": not problems,
        "globals": {**asdict(run.globals), "problem": problems.get(run.globals.file)},
        "databases": [
            {
                "database": dump.database,
                "file": dump.file,
                "format": dump.format,
                "size_bytes": dump.size_bytes,
                "sha256": dump.sha256,
                "duration_seconds": dump.duration_seconds,
                "tables": len(dump.tables),
                "rows": dump.rows,
                "problem": problems.get(dump.file),
            }
            for dump in run.databases
        ],
    }
