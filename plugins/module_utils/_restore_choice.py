# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a choice of a backup stands on: the keeper's answer, the old data, the history. Private to the collection."""

from __future__ import annotations

import os
import posixpath
from datetime import datetime
from typing import Any, Callable, Collection, Mapping, Optional, Sequence

from . import _docker as docker
from . import _history as history
from ._container import ContainerSpec
from ._errors import PgkeepError
from ._files import read
from ._keeper import COMMAND, answer, once, require_readable
from ._layout import Layout
from ._pgfiles import Control, control_from_wal, parse_timeline_history, read_control, timeline_of, unarchived
from ._restore_point import recorded
from ._run import Result, Run
from ._sql import query
from ._swap import Directories
from ._target import LABEL, NAME, TIME, Target, moment_of
from ._target_choice import Archive, Choice, Hole, choose
from ._wal import DEFAULT_SIZE, lsn, parse

# Runs a command where the library and pgBackRest are: in the keeper, or in a container made for it.
Tool = Callable[[Sequence[str]], Result]


def own_control(layout: Layout, directories: Optional[Directories]) -> Optional[Control]:
    """The control file of the old data, unless they are of another database: after a data volume was lost and an
    empty one initialised by hand, neither its timeline nor its WAL have anything to do with the repository."""
    if directories is None:
        return None
    control = read_control(directories.data)
    ids = [int(entry.system_id) for entry in history.entries(layout) if entry.system_id and entry.system_id.isdigit()]
    if control is None:
        return control_from_wal(directories.data, ids[-1]) if ids else None
    return None if ids and ids[-1] != control.system_id else control


def make_tool(
    run: Run, layout: Layout, keeper: ContainerSpec, *, missing: Collection[str] = (), network: str = "none"
) -> Tool:
    if docker.running(docker.inspect(run, layout.keeper)):
        return lambda argv: docker.execute(run, layout.keeper, argv)
    return lambda argv: once(run, keeper, argv, missing=missing, network=network)


def read_info(tool: Tool, layout: Layout, repository: int = 1) -> dict[str, Any]:
    argv = [COMMAND, "info", "--repo", str(repository)]
    info: dict[str, Any] = answer(tool(argv), argv[1:])["backup_info"]
    require_readable(info)
    return info


def find_info(tool: Tool, layout: Layout, repositories: Sequence[int]) -> tuple[int, dict[str, Any]]:
    """The first repository that has a backup, and what is known about it.

    One that cannot be read ends the search where it is the first of the instance: it has what no other has. Of the
    others the next one is tried, and the first error is raised when none serves.
    """
    trouble: Optional[PgkeepError] = None
    nothing: Optional[tuple[int, dict[str, Any]]] = None
    for number in repositories:
        try:
            info = read_info(tool, layout, number)
        except PgkeepError as error:
            if number == 1:
                raise
            trouble = trouble or error
            continue
        if info["backups"]:
            return number, info
        nothing = nothing or (number, info)
    if nothing is None:
        raise trouble or PgkeepError("The instance %s has no repository" % layout.name, "none is declared")
    return nothing


def choose_backup(
    tool: Tool,
    layout: Layout,
    target: Target,
    info: Mapping[str, Any],
    control: Optional[Control],
    directories: Optional[Directories],
    serving: bool,
    now: datetime,
    repository: int,
    *,
    major: int,
    rescues: bool,
) -> tuple[Choice, int]:
    """The backup to start from, and the timeline in production now. major: of the instance.

    rescues: WAL of the old data is read too.
    """
    current = current_timeline(layout, info, control)
    timeline = current
    if target.kind == TIME and target.moment is not None:
        timeline = history.timeline_at(target.moment, history.entries(layout), current)
    wal, window = info["wal"], info["recovery_window"] or {}
    # The old data may have the WAL that the archive misses.
    own = unarchived(directories.data, control, wal["missing"]) if directories and control and rescues else None
    parents = _parents(tool, layout, timeline, directories, repository) if timeline > 1 and target.kind != LABEL else {}
    archive = Archive(
        info["backups"],
        timeline,
        tuple(parents.items()),
        now,
        # While the server serves, a row and a WAL switch bring the archive past any moment up to now.
        open_end=serving or own is not None,
        # A timeline that was left has no end that anybody waits for.
        holes=[
            hole
            for hole in _holes(info, own.complete if own else ())
            if timeline_of(hole.first) in (timeline, *parents)
        ],
        reach=moment_of(window["to"]) if window else None,
        end=_end(layout, info, own.names if own else (), serving),
        segment_bytes=_segment_bytes(info),
        points=info.get("restore_points", ()),
        major=major,
    )
    try:
        return choose(target, archive), current
    except PgkeepError as error:
        raise _explained(layout, target, error) from error


def _holes(info: Mapping[str, Any], at_hand: Sequence[str]) -> list[Hole]:
    """The gaps of the archive that the old data cannot fill."""
    size, window = _segment_bytes(info), info["recovery_window"]
    if window is None:
        return []
    if "gaps" not in window:
        # A keeper from before it told gaps; the collection may be newer than the last deploy.
        return [
            Hole(name, name, moment_of(window["to"]), None) for name in info["wal"]["missing"] if name not in at_hand
        ]
    holes = []
    for gap in window["gaps"]:
        first, last = str(gap["missing_from"]), str(gap["missing_to"])
        filled = [name for name in at_hand if first[8:] <= name[8:24] <= last[8:]]
        if len(filled) <= parse(last, size).number - parse(first, size).number:
            until = moment_of(gap["until"]) if gap["until"] else None
            holes.append(Hole(first, last, moment_of(gap["after"]), until))
    return holes


def _segment_bytes(info: Mapping[str, Any]) -> int:
    return int(info["wal"].get("segment_bytes", DEFAULT_SIZE))


def _end(layout: Layout, info: Mapping[str, Any], own: Sequence[str], serving: bool) -> Optional[int]:
    """Where WAL ends, in bytes: at the server's position, or with the last segment that anybody has."""
    if serving:
        return lsn(str(query(layout.socket_dir, "select pg_current_wal_lsn()::text")[0][0]))
    size = _segment_bytes(info)
    names = [name for name in (info["wal"]["max"], *own) if name and len(name) == 24]
    return max(((parse(name, size).number + 1) * size for name in names), default=None)


def _explained(layout: Layout, target: Target, error: PgkeepError) -> PgkeepError:
    """A point that was made, but that no backup leads to any more, is not one that nobody knows."""
    point = next((each for each in recorded(layout.state_dir) if each.name == target.value), None)
    if target.kind != NAME or point is None:
        return error
    why = "it was made at %s, position %s, and no clean backup with all its WAL leads there; %s"
    return PgkeepError(error.what, why % (point.created_at, point.lsn, error.why), error.next_step)


def current_timeline(layout: Layout, info: Mapping[str, Any], control: Optional[Control]) -> int:
    """The old data know it best: after a restore that was undone the archive has a newer timeline."""
    if control is not None:
        return control.timeline
    newest = info["wal"]["max"]
    # Where the last line does not tell it, the entrypoint restored a moment ago, to a new timeline.
    return history.following(history.entries(layout)) or (timeline_of(newest) if newest else 1)


def _parents(
    tool: Tool, layout: Layout, timeline: int, directories: Optional[Directories], repository: int
) -> dict[int, int]:
    """The history of timeline, from the old data directory or from the repository."""
    name = "%08X.history" % timeline
    text = read(os.path.join(directories.data, "pg_wal", name)) if directories else None
    if text is None:
        text = _from_archive(tool, layout, name, repository)
    return parse_timeline_history(text)


def _from_archive(tool: Tool, layout: Layout, name: str, repository: int) -> str:
    archive = posixpath.join("archive", layout.name)
    quiet = ["--log-level-console=off", "--log-level-stderr=error"]
    tool_argv = ["pgbackrest", "--stanza=" + layout.name, "--repo=%d" % repository, *quiet]
    listed = tool([*tool_argv, "repo-ls", archive])
    # Folders are called 17-1, 18-2 …: version and number of the stanza's upgrade.
    names = [word for word in listed.stdout.split() if word.partition("-")[2].isdigit()]
    folders = sorted(names, key=lambda word: int(word.partition("-")[2]))
    found = tool([*tool_argv, "repo-get", posixpath.join(archive, folders[-1] if folders else "", name)])
    if found.rc != 0 or not folders:
        raise PgkeepError(
            "The history of timeline %s cannot be read" % name[:8],
            (listed.stderr + found.stderr).strip() or "the archive is empty",
            "name a backup with label; that needs no history",
        )
    return found.stdout
