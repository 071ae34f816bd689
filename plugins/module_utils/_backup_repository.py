# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pgBackRest run by the keeper: commands in, one snapshot of the repository out. Private to the collection."""

from __future__ import annotations

import glob
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Collection, Optional

from . import _archive_worker as worker
from . import _history as history
from . import _pgbackrest as pgbackrest
from ._errors import PgkeepError
from ._files import read
from ._layout import (
    DUMPS_MOUNT,
    KEEPER_CONFIG_MOUNT,
    PGBACKREST_CONFIG_MOUNT,
    REPO_MOUNT,
    SOCKET_MOUNT,
    SPOOL_MOUNT,
    STATE_MOUNT,
)
from ._pgbackrest_errors import Circumstances, failure
from ._pgfiles import read_control
from ._repositories import parse
from ._run import Result, Run
from ._ship_state import load as load_shipped

# For questions to another machine: pgBackRest asks three times, and its reason shall be known before ours is.
_IMPATIENT = ["--io-timeout=5"]

# How long another machine may take: for an answer; for what only writes a few files; for a backup.
ANSWER_SECONDS = 30.0
CHANGE_SECONDS = 600.0
BACKUP_SECONDS = 86400.0

# Of an instance: what its lock says while a backup is taken.
BACKUP_OF = "backup of %s"

_HISTORY = re.compile(r"[0-9A-F]{8}\.history\Z")

# On standard output stands the answer and nothing else; errors are on standard error.
_QUIET = ("--log-level-console=off", "--log-level-stderr=error")


@dataclass(frozen=True)
class Keeper:
    """Where the keeper's commands work, and with which of the repositories: replace(keeper, repo=2) is the same keeper
    before another one. The folders differ from the image's only in tests."""

    instance: str
    run: Run
    data: str
    repository: str = REPO_MOUNT
    spool: str = SPOOL_MOUNT
    state: str = STATE_MOUNT
    sockets: str = SOCKET_MOUNT
    config: str = KEEPER_CONFIG_MOUNT
    dumps: str = DUMPS_MOUNT
    repo: int = 1
    tool_config: str = PGBACKREST_CONFIG_MOUNT
    # Who asks, for those who find it at work.
    actor: str = "keeper"

    @property
    def lock_file(self) -> str:
        return self.spool + "/pgkeep.lock"

    @property
    def evidence_dir(self) -> str:
        return self.state + ("/evidence" if self.repo == 1 else "/evidence-%d" % self.repo)

    @property
    def repository_option(self) -> str:
        return "--repo=%d" % self.repo

    @property
    def own_config(self) -> str:
        """The settings that know this repository alone."""
        return "%s/%s" % (self.tool_config, "archive.conf" if self.repo == 1 else "repository%d.conf" % self.repo)

    @property
    def own_config_option(self) -> str:
        """For the commands of pgBackRest that work on every repository they know."""
        return "--config=" + self.own_config

    @property
    def repository_name(self) -> str:
        """For people; whoever has one repository does not want to hear its number."""
        return "The repository" if self.repo == 1 else "Repository %d" % self.repo

    def within(self, seconds: float) -> Optional[float]:
        """A deadline for what the network decides about; a disk needs none."""
        return None if self.repo == 1 else seconds


def all_keepers(keeper: Keeper) -> list[Keeper]:
    """The same keeper before each of its repositories, by number."""
    return [replace(keeper, repo=number) for number in sorted(types(keeper))]


def types(keeper: Keeper) -> dict[int, str]:
    """Number of each repository -> its type, from pgbackrest.conf."""
    return parse(read(keeper.tool_config + "/pgbackrest.conf") or "")


def command(keeper: Keeper, words: list[str], timeout: Optional[float] = None) -> Result:
    """Run pgbackrest for the instance's stanza; what it logs is on standard output."""
    argv = ["pgbackrest", "--stanza=" + keeper.instance, "--log-level-console=info", "--log-level-stderr=off", *words]
    return _bounded(keeper, "pgbackrest %s was given up" % words[-1], argv, timeout)


def checked(keeper: Keeper, what: str, words: list[str]) -> str:
    """As command(), but a failure raises; what names what did not happen. Returns the log."""
    result = command(keeper, words, keeper.within(CHANGE_SECONDS))
    if result.rc != 0:
        raise failure(what, result.stdout + result.stderr, result.rc, circumstances(keeper))
    return result.stdout


def _bounded(keeper: Keeper, what: str, argv: list[str], timeout: Optional[float]) -> Result:
    if timeout is None:
        result: Result = keeper.run(argv)
        return result
    begun = time.monotonic()
    try:
        result = keeper.run(argv, timeout=timeout)
    except PgkeepError as error:
        if time.monotonic() - begun < timeout:
            raise
        raise PgkeepError(
            what,
            "repository %d did not answer within %d s" % (keeper.repo, timeout),
            "repair the connection to it, then repeat; backups and WAL of the other repositories go on",
        ) from error
    return result


def _answer(keeper: Keeper, what: str, words: list[str]) -> str:
    patience = [] if keeper.repo == 1 else _IMPATIENT
    argv = ["pgbackrest", "--stanza=" + keeper.instance, keeper.repository_option, *_QUIET, *patience, *words]
    result = _bounded(keeper, what, argv, keeper.within(ANSWER_SECONDS))
    if result.rc != 0:
        raise failure(what, result.stderr, result.rc, circumstances(keeper))
    return result.stdout


def information(keeper: Keeper) -> pgbackrest.Info:
    """What info says. Raises PgkeepError when pgBackRest does not even run; problem() judges what it says."""
    return pgbackrest.parse_info(
        _answer(keeper, keeper.repository_name + " gives no information", ["info", "--output=json"])
    )


def listing(keeper: Keeper, folder: str, *, recurse: bool = False) -> dict[str, pgbackrest.Entry]:
    """What is below folder of the repository, empty or not there alike; the paths begin below it."""
    what = "The files of %s cannot be listed" % keeper.repository_name.lower()
    words = [
        "repo-ls",
        "--sort=none",
        "--output=json",
        *(["--recurse"] if recurse else []),
        *([folder] if folder else []),
    ]
    return pgbackrest.parse_listing(_answer(keeper, what, words))


def snapshot(keeper: Keeper) -> pgbackrest.Snapshot:
    """Everything that evidence is judged by. A repository that cannot be read has only the info that says so."""
    # Two processes side by side; backups and archive together are one listing.
    with ThreadPoolExecutor(max_workers=1) as pool:
        asked = pool.submit(listing, keeper, "", recurse=True)
        info = information(keeper)
    if info.code == pgbackrest.OTHER:
        return pgbackrest.Snapshot(info)
    everything = asked.result()
    control = read_control(keeper.data)
    # Where the data are lost the instance's history still knows which timeline was in production.
    current = (
        control.timeline if control else history.following(history.parse(read(keeper.state + "/" + history.FILE) or ""))
    )
    timeline, text = _history(keeper, info, everything, current)
    return pgbackrest.Snapshot(
        info, everything, timeline, text, certain=current is not None, page_errors=_page_errors(keeper, info)
    )


def _page_errors(keeper: Keeper, info: pgbackrest.Info) -> dict[str, tuple[str, ...]]:
    what = "The damaged files of a backup cannot be listed"
    return {
        backup.label: pgbackrest.parse_error_list(
            _answer(keeper, what, ["info", "--output=json", "--set=" + backup.label])
        )
        for backup in info.backups
        if backup.error
    }


def _history(
    keeper: Keeper, info: pgbackrest.Info, everything: pgbackrest.Listing, current: Optional[int]
) -> tuple[int, str]:
    """The timeline and its history. The archive's newest is not always the server's: a restore may have been undone."""
    archive_id = info.archive_id or ""
    folder = pgbackrest.archive_folder(keeper.instance, archive_id)
    names = [path[len(folder) :] for path in everything if path.startswith(folder)]
    newest = max((int(name[:8], 16) for name in names if _HISTORY.match(name)), default=1)
    timeline = current or newest
    return timeline, timeline_history(keeper, archive_id, timeline, names)


def timeline_history(keeper: Keeper, archive_id: str, timeline: int, names: Collection[str]) -> str:
    """The history file of the timeline, empty when it is not among names, which are those in the archive's folder."""
    name = "%08X.history" % timeline
    if name not in names:
        return ""
    what = "The history of timeline %d cannot be read" % timeline
    return _answer(keeper, what, ["repo-get", pgbackrest.archive_folder(keeper.instance, archive_id) + name])


def archiver_error(keeper: Keeper) -> str:
    """What of the WAL's way to the repository is broken, empty when it works."""
    if keeper.repo == 1:
        return _server_error(keeper)
    error = load_shipped(keeper.state, keeper.repo).error
    return str(error["why"]) if error else ""


def _server_error(keeper: Keeper) -> str:
    """What the asynchronous archiver last failed with; empty when it works. The first line is its exit code."""
    for path in sorted(glob.glob("%s/archive/%s/out/*.error" % (glob.escape(keeper.spool), keeper.instance))):
        try:
            with open(path, encoding="utf-8", errors="replace") as handle:
                return "".join(handle.readlines()[1:])
        except FileNotFoundError:
            # Archived in this moment.
            continue
    return ""


def free_bytes(keeper: Keeper) -> Optional[int]:
    """Free bytes for the repository, None when it is not on a mounted disk."""
    if keeper.repo != 1:
        return None
    try:
        disk = os.statvfs(keeper.repository)
    except OSError:
        return None
    return disk.f_bavail * disk.f_frsize


def circumstances(keeper: Keeper) -> Circumstances:
    """What is known beside the words of a command that failed."""
    hanging = worker.hanging(keeper.spool, keeper.instance, keeper.own_config) if keeper.repo == 1 else None
    return Circumstances(archiver_error(keeper), free_bytes(keeper), worker=hanging)


def problem(keeper: Keeper, info: pgbackrest.Info) -> Optional[PgkeepError]:
    """Why this repository cannot take a backup; None when it can, also when it has no stanza yet."""
    if info.code in (pgbackrest.OK, pgbackrest.NO_BACKUP, pgbackrest.MISSING_PATH):
        return None
    return failure(
        "%s of %s cannot be used" % (keeper.repository_name, keeper.instance), info.message, 0, circumstances(keeper)
    )
