# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""WAL brought from the first repository to another one. Private to the collection.

The server archives to the first repository alone, because pgBackRest archives to all of its repositories or to none:
one that cannot be reached would stop archiving. So the keeper fetches each segment from the first repository, which
verifies it, and pushes it with settings that know only the other one.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from dataclasses import replace
from typing import Callable, Collection, Mapping, Optional

from . import _backup_repository as repository
from . import _pgbackrest as pgbackrest
from . import _ship_state as state
from ._backup_repository import Keeper
from ._errors import PgkeepError
from ._files import Folder, make
from ._lock import hold
from ._pgbackrest_errors import failure
from ._run import Result

# One segment is at most 16 MiB, and mostly a third of it on the line.
PUSH_SECONDS = 120.0
# What is there is remembered, and looked up again after this long or after an error.
LIST_SECONDS = 600.0

# A segment or an incomplete one with its checksum, without the suffix of the compression; or the history of a timeline.
_SHIPPED = re.compile(r"((?:[0-9A-F]{24}(?:\.partial)?-[0-9a-f]{40})|[0-9A-F]{8}\.history)(?:\.[a-z0-9]+)?\Z")

# File of the archive without the suffix of its compression -> when it was archived, in seconds since the epoch.
Archive = Mapping[str, float]


def shipped_name(file_name: str) -> Optional[str]:
    """The name without the suffix of its compression, which another repository may do without; None for the rest."""
    match = _SHIPPED.match(file_name)
    return match.group(1) if match else None


def to_ship(here: Archive, there: Collection[str], begin: Optional[str]) -> list[str]:
    """What has to be brought there, in order. begin is the first segment that the oldest backup there needs.

    Without a backup there, what was brought already says where it began; nothing at all begins with the newest
    segment here, because no backup will ever need an older one.
    """
    if begin is None:
        begin = min((name for name in there if _is_segment(name)), key=_position, default=None)
    if begin is None:
        begin = max((name for name in here if _is_segment(name)), key=_position, default=None)
    if begin is None:
        return []
    first = _position(begin)
    # Histories sort before the first segment of their timeline.
    return sorted(name for name in here if name not in there and (not _is_segment(name) or _position(name) >= first))


def behind(here: Archive, last: Optional[str]) -> list[float]:
    """When each segment was archived here that is newer than the last one there."""
    if last is None:
        return []
    return [at for name, at in here.items() if _is_segment(name) and _position(name) > _position(last)]


def _is_segment(name: str) -> bool:
    return not name.endswith(".history")


def _position(name: str) -> str:
    """Digits 8 to 23 of a name count through all timelines."""
    return name[8:24]


# Folder -> its time of change in nanoseconds and its files, for folders that did not change lately.
Seen = dict[str, tuple[int, dict[str, float]]]
# A file may come in the same tick of the file system's clock in which the folder was read.
_SETTLED_NS = 2 * 10**9


def archived_here(keeper: Keeper, seen: Optional[Seen] = None) -> tuple[Optional[str], dict[str, float]]:
    """Id and files of the first repository's archive. It is a folder of this machine, so no program is asked.

    seen spares reading folders again that did not change; a week of WAL is ten thousand files.
    """
    top = "%s/archive/%s" % (keeper.repository, keeper.instance)
    seen = {} if seen is None else seen
    with contextlib.suppress(FileNotFoundError):
        ids = [name for name in os.listdir(top) if name.partition("-")[2].isdigit()]
        if ids:
            newest = max(ids, key=lambda name: int(name.partition("-")[2]))
            files = _files("%s/%s" % (top, newest))
            for name in os.listdir("%s/%s" % (top, newest)):
                if shipped_name(name) is None:
                    files.update(_folder("%s/%s/%s" % (top, newest, name), seen))
            return newest, files
    return None, {}


def _folder(folder: str, seen: Seen) -> dict[str, float]:
    """The files of a folder of segments; none for anything else."""
    try:
        changed = os.stat(folder).st_mtime_ns
        if seen.get(folder, (0, {}))[0] == changed:
            return seen[folder][1]
        files = _files(folder)
    except (FileNotFoundError, NotADirectoryError):
        # Expired in this moment.
        return {}
    if time.time_ns() - changed > _SETTLED_NS:
        seen[folder] = changed, files
    return files


def _files(folder: str) -> dict[str, float]:
    files = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            name = shipped_name(entry.name)
            if name:
                # Expiry may remove it in this moment.
                with contextlib.suppress(FileNotFoundError):
                    files[name] = entry.stat().st_mtime
    return files


class Shipper:
    """Brings WAL to one repository and remembers what is there."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._there: Optional[set[str]] = None
        self._begin: Optional[str] = None
        self._listed_at = 0.0
        self._seen: Seen = {}

    def step(self, keeper: Keeper) -> int:
        """Bring everything that is missing there and return the number of files.

        Raises PgkeepError when it cannot be reached or refuses; what it says is in the state too. Another process that
        ships to the same repository at this moment does the work of this one.
        """
        try:
            with hold("%s/ship-%d.lock" % (keeper.spool, keeper.repo), "shipping of WAL"):
                count = self._ship(keeper)
        except PgkeepError as error:
            if error.busy:
                return 0
            self._there = None
            self._note(keeper, error)
            raise
        self._note(keeper, None)
        return count

    def _ship(self, keeper: Keeper) -> int:
        archive_id, here = archived_here(keeper, self._seen)
        if archive_id is None:
            # The server has archived nothing yet, or the volume is new.
            return 0
        if self._there is None or not 0 <= self._clock() - self._listed_at < LIST_SECONDS:
            self._there, self._begin = _look(keeper)
            self._listed_at = self._clock()
            self._remember(keeper, None)
        names = to_ship(here, self._there, self._begin)
        for name in names:
            _bring(keeper, name)
            self._there.add(name)
            self._remember(keeper, name)
        return len(names)

    def _remember(self, keeper: Keeper, brought: Optional[str]) -> None:
        known = state.load(keeper.state, keeper.repo)
        newest = max((name for name in self._there or () if _is_segment(name)), key=_position, default=None)
        last_at = self._clock() if brought else known.last_at
        state.save(keeper.state, keeper.repo, replace(known, last=newest and newest[:24], last_at=last_at))

    def _note(self, keeper: Keeper, error: Optional[PgkeepError]) -> None:
        known = state.load(keeper.state, keeper.repo)
        since = None if error is None else known.failing_since or self._clock()
        told = None if error is None else error.to_result()
        state.save(keeper.state, keeper.repo, replace(known, failing_since=since, error=told))


def _look(keeper: Keeper) -> tuple[set[str], Optional[str]]:
    """What is there, and the first segment that the oldest backup there needs. A new repository is prepared."""
    info = repository.information(keeper)
    problem = repository.problem(_without_memory(keeper), info)
    if problem is not None:
        raise problem
    if info.code == pgbackrest.MISSING_PATH:
        create_stanza(keeper)
        return set(), None
    folder = pgbackrest.archive_folder(keeper.instance, info.archive_id or "")
    found = (shipped_name(path.rpartition("/")[2]) for path in repository.listing(keeper, folder, recurse=True))
    begin = min((backup.wal_start for backup in info.backups), key=_position, default=None)
    return {name for name in found if name}, begin


def _without_memory(keeper: Keeper) -> Keeper:
    """The same keeper without memory: an error that is noted already must not explain the next one."""
    return replace(keeper, state="/nonexistent")


def create_stanza(keeper: Keeper) -> None:
    what = "%s was not prepared for %s" % (keeper.repository_name, keeper.instance)
    # Without asking the server: its data directory says the same, and it may be down.
    words = [keeper.own_config_option, "--no-online", "stanza-create"]
    result = repository.command(keeper, words, repository.ANSWER_SECONDS)
    if result.rc != 0:
        raise failure(what, result.stdout + result.stderr, result.rc)


def _bring(keeper: Keeper, name: str) -> None:
    """One file: <name> or <name>-<checksum>."""
    file = name.partition("-")[0]
    folder = "%s/ship-%d" % (keeper.spool, keeper.repo)
    make(Folder(folder, 0o700, os.getuid(), os.getgid()))
    path = "%s/%s" % (folder, file)
    what = "WAL %s does not reach repository %d" % (file, keeper.repo)
    try:
        first = replace(keeper, repo=1)
        words = [first.repository_option, "--no-archive-async", "archive-get", file, path]
        _checked(what, repository.command(first, words, PUSH_SECONDS))
        words = [keeper.own_config_option, "--no-archive-async", "archive-push", path]
        _checked(what, repository.command(keeper, words, PUSH_SECONDS))
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def _checked(what: str, result: Result) -> None:
    if result.rc != 0:
        raise failure(what, result.stdout + result.stderr, result.rc)
