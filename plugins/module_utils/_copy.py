# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The copy that a restore makes beside the old data: its container, its proof. Private to the collection."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Mapping, Optional, Sequence

from ._container import ContainerSpec, aside, create_argv
from ._errors import PgkeepError
from ._files import File, write
from ._layout import ARCHIVE_CONFIG, DATA_MOUNT, PGBACKREST_CONFIG_MOUNT, SCRATCH_MOUNT, pgdata
from ._pgfiles import Control, parse_timeline_history, position
from ._sql import connection, driver, query, rows
from ._swap import Directories
from ._target_choice import Choice
from ._throwaway import MINIMUM_MEMORY, Place, databases, derive, source_of

# In postgresql.auto.conf after a restore; left there, a later recovery of any kind would stop at an old target.
_TARGET_SETTINGS = (
    "recovery_target",
    "recovery_target_action",
    "recovery_target_inclusive",
    "recovery_target_lsn",
    "recovery_target_name",
    "recovery_target_time",
    "recovery_target_timeline",
    "recovery_target_xid",
)

# Nobody may come for a copy: the engine, the host and Ansible may be away when its time is over.
_PASSING = """
pgkeep-entrypoint "$@" &
server=$!
trap 'kill -INT "$server"' INT TERM
is_over() {
  local until
  read -r until 2> /dev/null < /var/lib/pgkeep/until && [[ $EPOCHSECONDS -ge $until ]]
}
while kill -0 "$server" 2> /dev/null; do
  if is_over; then
    kill -INT "$server"
    wait "$server"
    rm -rf "$PGDATA" "$PGDATA".*
    echo "pgkeep: the time of this copy is over: its data were removed" >&2
    exit 0
  fi
  sleep 1 &
  wait $!
done
wait "$server"
"""
UNTIL = "until"
PREVIEW = "preview"

_ARCHIVE = """
folder=$1
shift
status=0
# An instance that was deployed before there were several repositories has one file for all.
config=%(archive)s
[[ -e $config ]] || config=%(all)s
for file; do
  pgbackrest --config="$config" --stanza="$PGKEEP_INSTANCE" --no-archive-async archive-push "$folder/$file" || status=$?
done
exit "$status"
""" % {"archive": ARCHIVE_CONFIG, "all": PGBACKREST_CONFIG_MOUNT + "/pgbackrest.conf"}

_REACHED = """
select to_char(pg_last_xact_replay_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
"""

_FACTS = """
select (select system_identifier::text from pg_control_system()),
       substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8),
       to_char(pg_last_xact_replay_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
"""


@dataclass(frozen=True)
class CopyFacts:
    """What a proven copy says of itself.

    end is the address (bytes) where recovery ended and the new timeline began; reached_time is that of the last
    transaction replayed, RFC 3339 UTC.
    """

    system_id: str
    timeline: int
    end: int
    reached_time: Optional[str]
    databases: int


def restored_spec(
    server: ContainerSpec,
    place: Place,
    directories: Directories,
    choice: Choice,
    *,
    fetching: Mapping[str, str],
    rescue: Optional[str],
    beside_server: bool,
    repository: int = 1,
    only: Optional[int] = None,
) -> ContainerSpec:
    """The container that restores into directories.inside_beside through the image's entrypoint and starts the result.

    Of the kind preview it stops at its target, and ends by itself: see passing(). rescue: folder (in the container) of
    WAL that the archive may not have. beside_server: the old server keeps its memory meanwhile, so the copy gets half.
    only: OID of the one database whose files are wanted; those of others are full of zeros then.
    """
    inside = directories.inside_beside
    words = choice.restore_args("pause" if directories.kind == PREVIEW else "promote")
    environment = {
        "PGDATA": inside,
        # archive-get refuses to work in another directory than the configured one; the environment is stronger.
        "PGBACKREST_PG1_PATH": inside,
        "PGKEEP_RESTORE_ARGS": words if only is None else "%s --db-include=%d" % (words, only),
    }
    environment.update(fetching)
    if rescue:
        environment["PGKEEP_RESCUE_WAL"] = rescue
    # Empty means: keep the WAL, somebody will come for it (PostgreSQL manual, archive_command). The copy must not
    # archive, since it may still be thrown away; but the history and the WAL of the new timeline have to reach
    # the archive, and the real server finds them marked as ready. With archive_mode off they would be lost.
    settings = {"archive_command": ""}
    if directories.kind == PREVIEW:
        settings["hot_standby"] = "on"
    spec = derive(
        server,
        place,
        name="%s-%s" % (server.name, directories.kind),
        role=directories.kind,
        data=source_of(server, DATA_MOUNT),
        environment=environment,
        settings=settings,
        memory_bytes=copy_memory(server, beside_server),
        cpus=server.cpus,
        repository=repository,
    )
    return passing(spec) if directories.kind == PREVIEW else spec


def copy_memory(server: ContainerSpec, beside_server: bool) -> int:
    memory = max(server.memory_bytes // 2, MINIMUM_MEMORY) if beside_server else server.memory_bytes
    return min(memory, server.memory_bytes)


def passing(spec: ContainerSpec) -> ContainerSpec:
    """The same copy, which ends at the moment in the file UNTIL of its state folder and takes its data with it."""
    return replace(spec, command=("bash", "-c", _PASSING, "passing", *spec.command))


def keep_until(place: Place, moment: datetime) -> None:
    """Let the copy of place end at moment."""
    write(File("%s/%s" % (place.state_dir, UNTIL), "%d\n" % moment.timestamp(), 0o644))


def archive_command(folder: str, names: Sequence[str]) -> list[str]:
    """For a container of the instance: archive files of folder, in their order, and go on after one that fails."""
    # The first argument after the script is its name.
    return ["bash", "-euc", _ARCHIVE, "archive", folder, *names]


def archive_once_argv(keeper: ContainerSpec, server: ContainerSpec, names: Sequence[str], major: int) -> list[str]:
    """docker arguments of the same for files of the stopped server's pg_wal, its data read-only."""
    return _once_argv(keeper, server, archive_command(pgdata(major) + "/pg_wal", names))


def prepare_once_argv(keeper: ContainerSpec, server: ContainerSpec) -> list[str]:
    """docker arguments: prepare a new first repository for the data of the stopped server. Once it runs, its archiver
    fails and holds the lock that this needs."""
    words = ["--config=" + ARCHIVE_CONFIG, "--stanza=" + server.instance, "--no-online", "stanza-create"]
    return _once_argv(keeper, server, ["pgbackrest", *words])


def stanza_once_argv(keeper: ContainerSpec, server: ContainerSpec, major: int) -> list[str]:
    """docker arguments: tell the first repository that the next WAL comes from the data of this major, whose server is
    stopped. Nothing happens where it knows. The path is given because the settings may be those of another major."""
    words = ["--config=" + ARCHIVE_CONFIG, "--stanza=" + server.instance, "--pg1-path=" + pgdata(major), "--no-online"]
    return _once_argv(keeper, server, ["pgbackrest", *words, "--log-level-console=info", "stanza-upgrade"])


def _once_argv(keeper: ContainerSpec, server: ContainerSpec, command: Sequence[str]) -> list[str]:
    mounts = [mount for mount in keeper.mounts if mount.split(":")[1] not in (DATA_MOUNT, SCRATCH_MOUNT)]
    spec = replace(
        aside(keeper),
        name=server.name + "-restore-archive",
        role="restore",
        mounts=(*mounts, "%s:%s:ro" % (source_of(server, DATA_MOUNT), DATA_MOUNT)),
        command=tuple(command),
        network=keeper.network,
    )
    return create_argv(spec, "run --rm")


def look(socket_dir: str) -> Optional[str]:
    """When the last transaction was committed that a paused copy has replayed; RFC 3339 UTC, None for none."""
    reached: Optional[str] = query(socket_dir, _REACHED)[0][0]
    return reached


def resume(socket_dir: str) -> None:
    """End the recovery of a paused copy; it is promoted then."""
    query(socket_dir, "select pg_wal_replay_resume()")


def prove(socket_dir: str) -> CopyFacts:
    """Read the catalogue of every database, take the target of the recovery out of the settings, return the facts.

    A database that cannot be read raises PgkeepError.
    """
    database = "postgres"
    try:
        names = databases(socket_dir)
        for database in names:
            with connection(socket_dir, database) as opened:
                rows(opened, "select count(*) from pg_class c join pg_attribute a on a.attrelid = c.oid")
        database = "postgres"
        with connection(socket_dir) as opened:
            for setting in _TARGET_SETTINGS:
                rows(opened, "alter system reset %s" % setting)
            system_id, timeline, reached = rows(opened, _FACTS)[0]
            history = rows(opened, "select pg_read_file(%s)", ("pg_wal/%s.history" % timeline,))[0][0]
    except driver().Error as error:
        raise PgkeepError("The copy is not usable", "database %s: %s" % (database, str(error).strip())) from error
    return CopyFacts(system_id, int(timeline, 16), max(parse_timeline_history(history).values()), reached, len(names))


def require_complete(facts: CopyFacts, control: Control) -> None:
    """For the newest state: everything that the old data hold is in the copy. PostgreSQL ends recovery at a missing
    segment and starts as if nothing were wrong; the old data know how far they had come."""
    if facts.end <= control.checkpoint:
        raise PgkeepError(
            "The copy is not the newest state",
            "its recovery ended at %s and the old data go on to %s: WAL is missing in the repository"
            % (position(facts.end), position(control.checkpoint)),
            "repair the old data rather than lose what only they have; or name a time or a label to accept the loss",
        )
