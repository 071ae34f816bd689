# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run of dumps as its manifest.json describes it, and which runs may go. Private to the collection.

Each run is a folder below the dumps volume, named by its time: the dumps, the globals and the manifest. It appears by
one rename when everything in it is on disk.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from typing import Any, Iterable, Mapping, Optional, Sequence

from ._backup_repository import Keeper
from ._counts import Table, table_from_dict
from ._dump_names import PARTIAL, is_run
from ._errors import PgkeepError
from ._files import read
from ._times import epoch_of

SCHEMA = 1
MANIFEST = "manifest.json"
_CHUNK = 1024 * 1024


@dataclass(frozen=True)
class Stored:
    """A file of a run: its name in the folder, its size and the checksum of what is on disk."""

    file: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Dump(Stored):
    """The dump of one database. tables: rows and counters as the dump's snapshot saw them; unlogged: those of them
    that a physical backup has empty, as [schema, table]. properties: what pg_restore into another name loses."""

    database: str = ""
    format: str = "custom"
    duration_seconds: float = 0
    database_bytes: int = 0
    properties: Mapping[str, Any] = field(default_factory=dict)
    tables: tuple[Table, ...] = ()
    unlogged: tuple[tuple[str, str], ...] = ()

    @property
    def rows(self) -> int:
        return sum(table.rows or 0 for table in self.tables)


@dataclass(frozen=True)
class Run:
    """One run. verified_at is when its files had been read back from the disk and compared."""

    run: str
    instance: str
    system_id: int
    server_version: str
    started_at: str
    stopped_at: str
    duration_seconds: float
    encrypted: bool
    globals: Stored
    databases: tuple[Dump, ...]
    verified_at: Optional[str] = None
    schema: int = SCHEMA

    @property
    def files(self) -> tuple[Stored, ...]:
        return (self.globals, *self.databases)

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)


@dataclass(frozen=True)
class Found:
    """A folder on the dumps volume; run is None when its manifest cannot be read, and why says so."""

    name: str
    run: Optional[Run]
    why: str = ""


def to_text(run: Run) -> str:
    return json.dumps(asdict(run), ensure_ascii=False, indent=1) + "\n"


def from_text(text: str) -> Run:
    """Raises ValueError, KeyError or TypeError for anything but a manifest of this schema."""
    values = json.loads(text)
    if values["schema"] != SCHEMA:
        raise ValueError("its schema is %s" % values["schema"])
    return Run(
        **{
            **values,
            "globals": Stored(**values["globals"]),
            "databases": tuple(_dump(each) for each in values["databases"]),
        }
    )


def _dump(values: Mapping[str, Any]) -> Dump:
    return Dump(
        **{
            **values,
            "tables": tuple(table_from_dict(table) for table in values["tables"]),
            "unlogged": tuple((schema, table) for schema, table in values["unlogged"]),
        }
    )


def runs(keeper: Keeper) -> list[Found]:
    """All complete runs, oldest first."""
    try:
        names = sorted(name for name in os.listdir(keeper.dumps) if is_run(name))
    except OSError as error:
        raise PgkeepError(
            "The dumps of %s cannot be listed" % keeper.instance,
            "%s: %s" % (keeper.dumps, error.strerror or error),
            "run the playbook deploy.yml, which gives the keeper its volume for dumps",
        ) from error
    return [_found(keeper.dumps, name) for name in names]


def _found(folder: str, name: str) -> Found:
    text = read("%s/%s/%s" % (folder, name, MANIFEST))
    if text is None:
        return Found(name, None, "it has no %s" % MANIFEST)
    try:
        return Found(name, from_text(text))
    except (ValueError, KeyError, TypeError) as error:
        return Found(name, None, "its %s cannot be read: %r" % (MANIFEST, error))


def sound(keeper: Keeper, found: Sequence[Found]) -> list[Found]:
    """The same, but a run that misses a file, or a part of one, counts as one that cannot be read."""
    result = []
    for each in found:
        folder = "%s/%s" % (keeper.dumps, each.name)
        problems = [problem(folder, stored, reread=False) for stored in (each.run.files if each.run else ())]
        wrong = next((words for words in problems if words), None)
        result.append(Found(each.name, None, wrong) if wrong else each)
    return result


def leftovers(keeper: Keeper) -> list[str]:
    """Runs that were killed: folders without their final name."""
    return sorted(name for name in os.listdir(keeper.dumps) if name.endswith(PARTIAL))


def checksum(path: str) -> tuple[int, str]:
    """(bytes, sha256) of the file as the disk has it; what the kernel remembers of it is forgotten first."""
    digest, size = hashlib.sha256(), 0
    with open(path, "rb") as handle:
        os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        for chunk in iter(lambda: handle.read(_CHUNK), b""):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()


def problem(folder: str, stored: Stored, *, reread: bool) -> Optional[str]:
    """What is wrong with a file of a run, None when nothing is; with reread its checksum is compared too."""
    path = "%s/%s" % (folder, stored.file)
    try:
        size = os.stat(path).st_size
        if size != stored.size_bytes:
            return "%s has %d bytes, written were %d" % (stored.file, size, stored.size_bytes)
        if reread and checksum(path)[1] != stored.sha256:
            return "%s is damaged: its checksum is not the one that was written down" % stored.file
    except OSError as error:
        return "%s: %s" % (stored.file, error.strerror or error)
    return None


def removable(found: Sequence[Found], keep_days: float, keep_min: int, now: float) -> list[str]:
    """The runs that are older than keep_days and that no database needs as one of its newest keep_min."""
    needed: set[str] = set()
    kept: dict[str, int] = {}
    for each in reversed(found):
        for dump in each.run.databases if each.run else ():
            if kept.get(dump.database, 0) < keep_min:
                kept[dump.database] = kept.get(dump.database, 0) + 1
                needed.add(each.name)
    return [
        each.name
        for each in found
        if each.run and each.name not in needed and now - (epoch_of(each.run.stopped_at) or now) > keep_days * 86400
    ]


def newest_before(folder: str, moment: float) -> Optional[Run]:
    """The newest run in folder that was complete at moment (seconds since the epoch), None when there is none. For
    those who do without the dumps: a folder that is not there has none."""
    names = sorted(name for name in os.listdir(folder) if is_run(name)) if os.path.isdir(folder) else []
    for name in reversed(names):
        run = _found(folder, name).run
        if run is not None and (epoch_of(run.stopped_at) or moment) < moment:
            return run
    return None


def newest(found: Iterable[Found], database: str, file: Optional[str] = None) -> Optional[tuple[Run, Dump]]:
    """The newest dump of the database, or the one in file; None when there is none."""
    for each in reversed(list(found)):
        if each.run is None:
            continue
        for dump in each.run.databases:
            if dump.database == database and file in (None, dump.file):
                return each.run, dump
    return None
