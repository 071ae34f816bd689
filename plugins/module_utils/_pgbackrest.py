# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pgBackRest prints, as data: info, repo-ls, the labels in its log. Pure; private to the collection.

The shapes are those of pgBackRest 2.55; tests/fixtures/pgbackrest holds recorded ones.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Mapping, Optional

from ._errors import PgkeepError
from ._wal import archived_name

# status.code of info --output=json (pgBackRest: command/info/info.c).
OK = 0
MISSING_PATH = 1
NO_BACKUP = 2
MISSING_DATA = 3
OTHER = 99

DRILL_ANNOTATION = "pgkeep-drill"

_NEW_LABEL = re.compile(r"new backup label = (\d{8}-\d{6}F(?:_\d{8}-\d{6}[DI])?)")
_EXPIRED = re.compile(r"(?:expire (?:full|diff|incr) backup(?: set)?|remove expired backup) (.*)")
_LABEL = re.compile(r"\d{8}-\d{6}F(?:_\d{8}-\d{6}[DI])?")


@dataclass(frozen=True)
class Entry:
    """One line of repo-ls. kind: file, path, link or special; time: seconds since the epoch."""

    kind: str
    size: int = 0
    time: int = 0


# Path below the one that was listed -> what is there.
Listing = Mapping[str, Entry]


@dataclass(frozen=True)
class RawBackup:
    """One backup as info tells it. Sizes in bytes, start and stop in seconds since the epoch. major is that of the
    server, None where info does not know the database any more.

    size is the database's, delta what this backup added to the repository. references are the labels of the backups
    it needs besides itself.
    """

    label: str
    type: str
    prior: Optional[str]
    references: tuple[str, ...]
    error: bool
    start: int
    stop: int
    lsn_start: str
    lsn_stop: str
    wal_start: str
    wal_stop: str
    database_id: int
    size: int
    delta: int
    major: Optional[int] = None
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Archive:
    """One archive of a stanza, for example 17-1. wal_min and wal_max are None while it is empty."""

    id: str
    database_id: int
    wal_min: Optional[str]
    wal_max: Optional[str]


@dataclass(frozen=True)
class Info:
    """One stanza in one repository. message is the repository's own, it tells more than the stanza's."""

    code: int
    message: str
    cipher: str
    running: bool
    backups: tuple[RawBackup, ...]
    archives: tuple[Archive, ...]
    # The newest (database id, version), None when there is no stanza.
    database: Optional[tuple[int, str]]
    # Of the backup that runs, None without one and before it has begun to copy.
    percent: Optional[float] = None

    @property
    def archive_id(self) -> Optional[str]:
        """Where the server's WAL goes now."""
        return "%s-%d" % (self.database[1], self.database[0]) if self.database else None


@dataclass(frozen=True)
class Snapshot:
    """The repository at one moment. listing holds paths from the repository's root."""

    info: Info
    listing: Listing = field(default_factory=dict)
    # The timeline the server writes, as its data directory says, and the text of its history file. Where the
    # data are lost (certain is false) it is the newest that has such a file; 1 and none before the first promotion.
    timeline: int = 1
    history: str = ""
    certain: bool = False
    # Label -> files with page checksum errors.
    page_errors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def backup_folder(instance: str) -> str:
    return "backup/%s/" % instance


def archive_folder(instance: str, archive_id: str) -> str:
    return "archive/%s/%s/" % (instance, archive_id)


def archived(instance: str, archive_id: str, listing: Listing) -> dict[str, int]:
    """Whole segments in the archive: name -> when it was archived, in seconds since the epoch."""
    folder = archive_folder(instance, archive_id)
    found = (
        (archived_name(path.rpartition("/")[2]), entry) for path, entry in listing.items() if path.startswith(folder)
    )
    return {name: entry.time for name, entry in found if name is not None}


def files(instance: str, listing: Listing) -> list[Entry]:
    """The files of this one stanza; a repository on a shared store may hold others."""
    folders = ("archive/%s/" % instance, backup_folder(instance))
    return [entry for path, entry in listing.items() if entry.kind == "file" and path.startswith(folders)]


def parse_info(text: str) -> Info:
    """The one stanza of ``info --output=json --stanza=… --repo=…``.

    With a wrong passphrase the text holds what decryption made of the repository: control characters, and bytes that
    were no UTF-8 before they were decoded with replacement. It is read nevertheless, because the reason is in it.
    """
    try:
        stanzas = json.loads(text, strict=False)
        return _info(stanzas[0])
    except (ValueError, LookupError, TypeError) as error:
        raise PgkeepError(
            "The answer of pgbackrest info cannot be read",
            "%s in %r" % (error, text[:200]),
            "run pgbackrest info in the keeper and read it",
        ) from None


def _info(stanza: Mapping[str, Any]) -> Info:
    repositories = stanza.get("repo") or []
    status = repositories[0]["status"] if repositories else stanza["status"]
    lock = stanza["status"].get("lock", {}).get("backup", {})
    databases = stanza.get("db") or []
    majors = {int(each["id"]): int(str(each["version"]).partition(".")[0]) for each in databases}
    return Info(
        code=int(status["code"]),
        message=str(status["message"]),
        cipher=str(stanza.get("cipher", "none")),
        running=bool(lock.get("held", False)),
        backups=tuple(_backup(backup, majors) for backup in stanza.get("backup") or []),
        archives=tuple(
            Archive(archive["id"], archive["database"]["id"], archive.get("min"), archive.get("max"))
            for archive in stanza.get("archive") or []
        ),
        database=(databases[-1]["id"], databases[-1]["version"]) if databases else None,
        percent=_percent(lock),
    )


def _percent(lock: Mapping[str, Any]) -> Optional[float]:
    size, done = lock.get("size"), lock.get("size-cplt")
    return round(min(100 * done / size, 100.0), 1) if lock.get("held") and size and done is not None else None


def _backup(backup: Mapping[str, Any], majors: Mapping[int, int]) -> RawBackup:
    return RawBackup(
        label=backup["label"],
        type=backup["type"],
        prior=backup.get("prior"),
        references=tuple(backup.get("reference") or ()),
        error=bool(backup.get("error", False)),
        start=backup["timestamp"]["start"],
        stop=backup["timestamp"]["stop"],
        lsn_start=backup["lsn"]["start"],
        lsn_stop=backup["lsn"]["stop"],
        wal_start=backup["archive"]["start"],
        wal_stop=backup["archive"]["stop"],
        database_id=backup["database"]["id"],
        size=backup["info"]["size"],
        delta=backup["info"]["repository"]["delta"],
        major=majors.get(backup["database"]["id"]),
        annotations=backup.get("annotation") or {},
    )


def parse_error_list(text: str) -> tuple[str, ...]:
    """Files with page checksum errors, from ``info --output=json --set=LABEL``."""
    files: list[str] = []
    for stanza in json.loads(text, strict=False):
        for backup in stanza.get("backup") or []:
            files += [
                error["name"] if isinstance(error, dict) else str(error) for error in backup.get("error-list") or []
            ]
    return tuple(files)


def parse_databases(text: str) -> dict[str, int]:
    """Name -> OID of the databases that a backup began with, from ``info --output=json --set=LABEL``."""
    return {
        str(database["name"]): int(database["oid"])
        for stanza in json.loads(text, strict=False)
        for backup in stanza.get("backup") or []
        for database in backup.get("database-ref") or []
    }


def parse_listing(text: str) -> dict[str, Entry]:
    """``repo-ls --output=json``, recursive or not. For a path that is not there pgBackRest lists only ``.``."""
    try:
        entries = json.loads(text, strict=False)
        return {
            path: Entry(str(entry["type"]), int(entry.get("size", 0)), int(entry.get("time", 0)))
            for path, entry in entries.items()
        }
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise PgkeepError(
            "The list of the repository's files cannot be read",
            "%s in %r" % (error, text[:200]),
            "run pgbackrest repo-ls in the keeper and read it",
        ) from None


def labels_with_manifest(listing: Listing, folder: str) -> frozenset[str]:
    """Labels whose manifest is in folder (``backup/<stanza>/``) of a recursive listing.

    A backup that was interrupted has only backup.manifest.copy; one whose folder was deleted has nothing, and info
    speaks of it as if nothing had happened.
    """
    parts = (
        path[len(folder) :].split("/")
        for path, entry in listing.items()
        if path.startswith(folder) and entry.kind == "file"
    )
    return frozenset(part[0] for part in parts if len(part) == 2 and part[1] == "backup.manifest")


def new_label(log: str) -> Optional[str]:
    """The label that a backup's log announces."""
    found = _NEW_LABEL.findall(log)
    return found[-1] if found else None


def expired_labels(log: str) -> list[str]:
    """Labels that the log of expire, dry run or not, names as removed; in its order, each once."""
    labels: list[str] = []
    for words in _EXPIRED.findall(log):
        labels += [label for label in _LABEL.findall(words) if label not in labels]
    return labels
