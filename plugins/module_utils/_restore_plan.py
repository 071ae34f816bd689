# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore will do: read everything, refuse what cannot work, touch nothing. Private to the collection."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Mapping, Optional, Sequence

from . import _docker as docker
from ._container import ContainerSpec, spec_from_dict
from ._errors import PgkeepError
from ._files import read
from ._layout import DATA_MOUNT, DUMPS_MOUNT, REPO_MOUNT, SCRATCH_MOUNT, SPOOL_MOUNT, Layout
from ._pgfiles import Control
from ._release import pooler_of, read_current, utc_stamp
from ._repositories import parse
from ._restore_choice import choose_backup, find_info, make_tool, own_control
from ._run import Run
from ._server import accepts_writes
from ._swap import Directories
from ._target import LATEST, Target, parse_target
from ._target_choice import Choice
from ._throwaway import Place, fetching, host_path, require_space, source_of
from ._units import MB

# Role of a copy, in its labels, in the name of its container and of its folders.
RESTORE, CLONE = "restore", "clone"

_VOLUMES = ((DATA_MOUNT, "data"), (SPOOL_MOUNT, "spool"), (REPO_MOUNT, "repo"))
_KEEPER_VOLUMES = {SCRATCH_MOUNT: "scratch", DUMPS_MOUNT: "dumps"}

# What recovery writes besides the data: a few segments of the new timeline.
_WAL_BYTES = 64 * MB


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
    action: str = "restore"
    restore_point: Optional[str] = None
    lsn: Optional[str] = None
    xid: Optional[str] = None
    immediate: bool = False
    ttl_seconds: int = 14400
    into: Optional[str] = None
    port: Optional[int] = None
    masking_sql: Optional[str] = None

    def told(self) -> dict[str, Any]:
        """What of it may stand in the audit trail."""
        return {name: value for name, value in vars(self).items() if value is not None and name != "masking_sql"}

    def target(self) -> Target:
        return parse_target(self.label, self.time, self.restore_point, self.lsn, self.xid, self.immediate)


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
    role: str = RESTORE
    missing_containers: Sequence[str] = ()
    pooler: Optional[ContainerSpec] = None

    @property
    def container(self) -> str:
        """Name of the copy's container."""
        return "%s-%s" % (self.layout.name, self.role)

    @property
    def place(self) -> Place:
        return Place("%s/%s" % (self.layout.home, self.role))

    @property
    def stop_first(self) -> bool:
        """The newest state includes what the old server still has to archive, so it stops before the copy is made."""
        return self.choice.target.kind == LATEST

    @property
    def rescue(self) -> bool:
        """Whether WAL that only the old data directory has may be needed to reach the target."""
        return (
            self.control is not None
            and not self.choice.target.ends_with_backup
            and (self.stop_first or not self.serving)
        )

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
        steps += ["Create the container %s" % name for name in self.missing_containers]
        return steps


def make_plan(run: Run, request: Request, now: Optional[datetime] = None, role: str = RESTORE) -> Plan:
    """Raises PgkeepError for everything that can be known before the first change."""
    layout = Layout(request.name)
    target = request.target()
    release = require_release(layout)
    server, keeper = spec_from_dict(release["server"]), spec_from_dict(release["keeper"])
    pooler = pooler_of(release)
    _require_files(layout)
    _require_images(run, server, keeper)
    missing = _missing_volumes(run, server, keeper)
    repositories = _repositories(layout, request.repository, server, missing)
    container = docker.inspect(run, layout.server)
    serving = docker.running(container) and accepts_writes(layout)
    directories = data_directories(run, server, int(release["major"]), role, missing)
    control = own_control(layout, directories)
    tool = make_tool(run, layout, keeper, missing=missing, network="none" if repositories == [1] else keeper.network)
    repository, info = find_info(tool, layout, repositories)
    choice, timeline = choose_backup(
        tool,
        layout,
        target,
        info,
        control,
        directories,
        serving,
        now or datetime.now(timezone.utc),
        repository,
        major=int(release["major"]),
        rescues=role != CLONE and (target.kind == LATEST or not serving),
    )
    path = directories.root if directories else str(docker.engine(run)["DockerRootDir"])
    require_space(path, copy_bytes(choice), "restore of %s" % layout.name)
    return Plan(
        layout=layout,
        server=server,
        keeper=keeper,
        pooler=pooler,
        choice=choice,
        directories=directories,
        major=int(release["major"]),
        missing_volumes=missing,
        # WAL behind a backup's end is not read for the state at its end.
        fetching=fetching(choice.backup, None if target.ends_with_backup else info["wal"]["max"]),
        # A container in a restart loop is one that shall run.
        lost=info["wal"]["missing"],
        running=container is not None and bool(container["State"]["Running"] or container["State"]["Restarting"]),
        serving=serving,
        timeline_before=timeline,
        control=control,
        repository=repository,
        role=role,
        missing_containers=[
            spec.name
            for spec in (server, keeper, pooler)
            if spec is not None and docker.inspect(run, spec.name) is None
        ],
    )


def copy_bytes(choice: Choice) -> int:
    """What a copy takes on the disk."""
    return int(choice.backup["size_bytes"] * 1.1) + _WAL_BYTES


def require_confirmed(request: Request) -> None:
    if request.confirm != request.name:
        raise PgkeepError(
            "The %s of %s is not confirmed" % (request.action, request.name),
            "confirm is %s" % ("not given" if request.confirm is None else repr(request.confirm)),
            "it replaces the data of the instance: repeat with confirm=%s if that is what you want" % request.name,
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


def _missing_volumes(run: Run, server: ContainerSpec, keeper: ContainerSpec) -> dict[str, str]:
    """Volume -> label of its role, for those that the restore makes; the engine would make them without our labels."""
    sources = {source_of(server, inside): role for inside, role in _VOLUMES}
    for source, inside in (mount.split(":")[:2] for mount in keeper.mounts):
        # A keeper of an earlier release has none of its own.
        if inside in _KEEPER_VOLUMES:
            sources[source] = _KEEPER_VOLUMES[inside]
    missing = {}
    for source, role in sources.items():
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


def data_directories(
    run: Run, server: ContainerSpec, major: int, role: str, missing: Mapping[str, str]
) -> Optional[Directories]:
    """Those on the data volume, None where that is one of missing."""
    source = source_of(server, DATA_MOUNT)
    if source in missing:
        return None
    return Directories(host_path(run, source), major, utc_stamp(), role)
