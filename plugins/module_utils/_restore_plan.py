# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore will do: read everything, refuse what cannot work, touch nothing. Private to the collection."""

from __future__ import annotations

import os
import posixpath
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Callable, Collection, Mapping, Optional, Sequence

from . import _docker as docker
from . import _history as history
from ._container import ContainerSpec, spec_from_dict
from ._errors import PgkeepError
from ._files import read
from ._keeper import COMMAND, answer, once, require_readable
from ._layout import DATA_MOUNT, REPO_MOUNT, SPOOL_MOUNT, Layout
from ._pgfiles import Control, control_from_wal, parse_timeline_history, read_control, timeline_of, unarchived
from ._release import read_current, utc_stamp
from ._repositories import parse
from ._run import Result, Run
from ._server import accepts_writes
from ._swap import Directories
from ._target import LABEL, LATEST, TIME, Choice, Target, choose, moment_of, parse_target
from ._throwaway import fetching, host_path, require_space, source_of
from ._units import MB

# What recovery writes besides the data: a few segments of the new timeline.
_WAL_BYTES = 64 * MB

# Runs a command where the library and pgBackRest are: in the keeper, or in a container made for it.
Tool = Callable[[Sequence[str]], Result]


@dataclass(frozen=True)
class Request:
    """The options of the module restore."""

    name: str
    confirm: Optional[str]
    label: Optional[str]
    time: Optional[str]
    keep_previous: int
    timeout_seconds: int
    repository: Optional[int] = None


@dataclass(frozen=True)
class Plan:
    """Everything the restore stands on. timeline_before is the one in production now.

    lost: WAL segments that the archive should have and has not. running: the server's container shall run again if the
    restore fails. serving: it accepts writes now.
    control: that of the old data, None when there are none of this instance.
    """

    layout: Layout
    server: ContainerSpec
    keeper: ContainerSpec
    choice: Choice
    directories: Optional[Directories]
    major: int
    missing_volumes: Mapping[str, str]
    fetching: Mapping[str, str]
    lost: Sequence[str]
    running: bool
    serving: bool
    timeline_before: int
    control: Optional[Control]
    repository: int = 1

    @property
    def stop_first(self) -> bool:
        """The newest state includes what the old server still has to archive, so it stops before the copy is made."""
        return self.choice.target.kind == LATEST

    @property
    def rescue(self) -> bool:
        """Whether WAL that only the old data directory has may be needed to reach the target."""
        return self.control is not None and self.choice.target.kind != LABEL and (self.stop_first or not self.serving)

    def steps(self) -> list[str]:
        """The plan in sentences, for check mode."""
        backup = self.choice.backup
        steps = ["Create the volume %s" % name for name in self.missing_volumes]
        if self.stop_first and self.running:
            steps.append("Stop the server, so that its last WAL is archived")
        if self.rescue:
            steps.append("Archive or copy the WAL that only the old data directory has")
        steps.append(
            "Restore backup %s of %s from repository %d beside the old data, to %s"
            % (self.choice.label, backup["stopped_at"], self.repository, self.choice.target)
        )
        steps.append("Start the copy without network, wait for the end of recovery and read every database")
        if not self.stop_first and self.running:
            steps.append("Stop the server")
        steps.append("Exchange the data directories and start the server; the old data are kept")
        return steps


def make_plan(run: Run, request: Request, now: Optional[datetime] = None) -> Plan:
    """Raises PgkeepError for everything that can be known before the first change."""
    layout = Layout(request.name)
    target = parse_target(request.label, request.time)
    release = require_release(layout)
    server, keeper = spec_from_dict(release["server"]), spec_from_dict(release["keeper"])
    _require_files(layout)
    _require_images(run, server, keeper)
    missing = _missing_volumes(run, server)
    repositories = _repositories(layout, request.repository, server, missing)
    container = docker.inspect(run, layout.server)
    serving = docker.running(container) and accepts_writes(layout)
    directories = _directories(run, server, int(release["major"]), missing)
    control = _own_control(layout, directories)
    tool = make_tool(run, layout, keeper, missing=missing, network="none" if repositories == [1] else keeper.network)
    repository, info = find_info(tool, layout, repositories)
    choice, timeline = _choose(
        tool, layout, target, info, control, directories, serving, now or datetime.now(timezone.utc), repository
    )
    path = directories.root if directories else str(docker.engine(run)["DockerRootDir"])
    require_space(path, int(choice.backup["size_bytes"] * 1.1) + _WAL_BYTES, "restore of %s" % layout.name)
    return Plan(
        layout=layout,
        server=server,
        keeper=keeper,
        choice=choice,
        directories=directories,
        major=int(release["major"]),
        missing_volumes=missing,
        # WAL behind a backup's end is not read for the state at its end.
        fetching=fetching(choice.backup, None if target.kind == LABEL else info["wal"]["max"]),
        # A container in a restart loop is one that shall run.
        lost=info["wal"]["missing"],
        running=container is not None and bool(container["State"]["Running"] or container["State"]["Restarting"]),
        serving=serving,
        timeline_before=timeline,
        control=control,
        repository=repository,
    )


def require_confirmed(request: Request) -> None:
    if request.confirm != request.name:
        raise PgkeepError(
            "The restore of %s is not confirmed" % request.name,
            "confirm is %s" % ("not given" if request.confirm is None else repr(request.confirm)),
            "a restore replaces the data of the instance: repeat with confirm=%s if that is what you want"
            % request.name,
        )


def require_release(layout: Layout) -> dict[str, Any]:
    release = read_current(layout)
    if release is None:
        raise PgkeepError(
            "The instance %s is not known on this host" % layout.name,
            "there is no release in %s" % layout.releases_dir,
            "run the playbook deploy.yml for it first; with on_empty=restore that restores the newest backup too",
        )
    return release


def _require_files(layout: Layout) -> None:
    for path in (layout.server_config_dir + "/postgresql.conf", layout.pgbackrest_config_dir + "/pgbackrest.conf"):
        if not os.path.exists(path):
            raise PgkeepError(
                "The instance %s cannot be restored" % layout.name,
                "%s is missing" % path,
                "run the playbook deploy.yml, which writes it",
            )


def _require_images(run: Run, *specs: ContainerSpec) -> None:
    for spec in specs:
        if docker.image(run, spec.image) is None:
            raise PgkeepError(
                "The container %s cannot be made" % spec.name,
                "its image %s is not on this host" % spec.image,
                "run the playbook deploy.yml, which obtains it",
            )


def _missing_volumes(run: Run, server: ContainerSpec) -> dict[str, str]:
    """Volume -> label of its role, for those that the restore makes."""
    missing = {}
    for inside, role in ((DATA_MOUNT, "data"), (SPOOL_MOUNT, "spool"), (REPO_MOUNT, "repo")):
        source = source_of(server, inside)
        if not source.startswith("/") and docker.volume(run, source) is None:
            missing[source] = role
    return missing


def _repositories(
    layout: Layout, wanted: Optional[int], server: ContainerSpec, missing: Mapping[str, str]
) -> list[int]:
    """The repositories that may be restored from, in the order in which they are asked."""
    known = sorted(parse(read(layout.pgbackrest_config_dir + "/pgbackrest.conf") or ""))
    if wanted is not None and wanted not in known:
        raise PgkeepError(
            "The instance %s cannot be restored from repository %d" % (layout.name, wanted),
            "its repositories are %s" % ", ".join(map(str, known)),
            "name one of these, or declare it in postgres_backup_repositories and deploy",
        )
    found = known if wanted is None else [wanted]
    if "repo" not in missing.values():
        return found
    # It is made anew, empty, for the WAL to come.
    if found == [1]:
        raise PgkeepError(
            "The instance %s cannot be restored" % layout.name,
            "its repository, the volume %s, is gone" % source_of(server, REPO_MOUNT),
            "bring the volume back from a copy of the host, or restore from another repository",
        )
    return [number for number in found if number != 1]


def _directories(run: Run, server: ContainerSpec, major: int, missing: Mapping[str, str]) -> Optional[Directories]:
    source = source_of(server, DATA_MOUNT)
    if source in missing:
        return None
    return Directories(host_path(run, source), major, utc_stamp())


def _own_control(layout: Layout, directories: Optional[Directories]) -> Optional[Control]:
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


def _choose(
    tool: Tool,
    layout: Layout,
    target: Target,
    info: Mapping[str, Any],
    control: Optional[Control],
    directories: Optional[Directories],
    serving: bool,
    now: datetime,
    repository: int,
) -> tuple[Choice, int]:
    """The backup to start from, and the timeline in production now."""
    current = _current_timeline(layout, info, control)
    timeline = current
    if target.kind == TIME and target.moment is not None:
        timeline = history.timeline_at(target.moment, history.entries(layout), current)
    # The old data may have the WAL that the archive misses.
    lost = info["wal"]["missing"]
    at_hand = unarchived(directories.data, control, lost).complete if directories and control else ()
    window = info["recovery_window"] or {}
    reach = moment_of(window["to"]) if window else None
    parents = _parents(tool, layout, timeline, directories, repository) if timeline > 1 and target.kind != LABEL else {}
    choice = choose(
        target,
        info["backups"],
        timeline=timeline,
        parents=tuple(parents.items()),
        # A timeline that was left has no end that anybody waits for.
        missing=[name for name in lost if name not in at_hand and timeline_of(name) in (timeline, *parents)],
        reach=reach,
        # While the server serves, a row and a WAL switch bring the archive past any moment up to now.
        open_end=serving or control is not None,
        now=now,
    )
    return choice, current


def _current_timeline(layout: Layout, info: Mapping[str, Any], control: Optional[Control]) -> int:
    """The old data know it best: after a restore that was undone the archive has a newer timeline."""
    if control is not None:
        return control.timeline
    entered = [entry.entered for entry in history.entries(layout) if entry.entered is not None]
    newest = info["wal"]["max"]
    return entered[-1] if entered else timeline_of(newest) if newest else 1


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
