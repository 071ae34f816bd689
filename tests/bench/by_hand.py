# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody does by hand who has the plain tools, the same containers and the same aims."""

from __future__ import annotations

from .tools import COPY, NAME, PGDATA, drop_copy, keeper, server_image, sh, until_writes

_DUMP = "/var/lib/pgkeep-dumps/by-hand.dump"

# As the copy of a drill: half of the server's memory, all of its processors, nothing that a copy does not need.
_MEMORY_MB = 512
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_directories": "/tmp",
    "archive_mode": "off",
    "autovacuum": "off",
    "hot_standby": "off",
    "logging_collector": "off",
    "log_destination": "stderr",
    "shared_buffers": f"{_MEMORY_MB // 4}MB",
    "maintenance_work_mem": f"{_MEMORY_MB // 8}MB",
}

# Every row of every table of every database.
_COUNT = """
select format('select count(*) from %I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n
on n.oid = c.relnamespace where c.relkind = 'r' and n.nspname not in ('pg_catalog', 'information_schema') \\gexec
"""


def backup() -> None:
    keeper("pgbackrest", f"--stanza={NAME}", "--type=full", "--no-expire-auto", "backup")


def restore() -> None:
    """Stop, restore into an emptied directory, start, wait: what somebody does whose data are gone."""
    sh("docker", "stop", NAME)
    script = f"rm -rf {PGDATA} && mkdir -m 0700 {PGDATA} && pgbackrest --stanza={NAME} restore"
    sh("docker", "run", "--rm", "--volumes-from", NAME, "--user", "999:999", "--tmpfs", "/tmp", "--network", "none",
       "--entrypoint", "sh", server_image(), "-c", script)  # fmt: skip
    sh("docker", "start", NAME)
    until_writes(NAME)


def drill(cpus: int = 2) -> None:
    """Restore into a container with the limits of a drill, start, amcheck as deep as a drill does, count the rows."""
    options = " ".join(f"-c {name}={value!r}" for name, value in _SETTINGS.items())
    data = "/copy/data"
    script = f"""
set -e
mkdir -m 0700 {data}
pgbackrest --stanza={NAME} --pg1-path={data} --log-level-console=warn restore
pg_ctl --silent --wait --timeout=1200 -D {data} -l /copy/log -o "{options}" start
export PGHOST=/tmp PGUSER=postgres
until psql -XAtqc 'select 1' postgres > /dev/null 2>&1; do
  pg_ctl --silent -D {data} status > /dev/null
  sleep 0.05
done
pg_amcheck --all --install-missing --heapallindexed --jobs={cpus}
for database in $(psql -XAtc 'select datname from pg_database where datallowconn' postgres); do
  psql -XAt -v ON_ERROR_STOP=1 "$database" >> /copy/counts <<'END'
{_COUNT}
END
done
psql -XAtc 'select sum(checksum_failures) from pg_stat_database' postgres
pg_ctl --silent --wait -D {data} -m immediate stop
"""
    drop_copy()
    # The folder of a volume belongs to root otherwise.
    sh("docker", "run", "--rm", "--user", "0", "--volume", f"{COPY}:/copy", "--entrypoint", "chown", server_image(),
       "999:999", "/copy")  # fmt: skip
    # The repository comes with the volumes of the server, whose data stay as they are; WAL as in such a drill.
    sh("docker", "run", "--rm", "--name", COPY, "--volumes-from", NAME, "--volume", f"{COPY}:/copy",
       "--user", "999:999", "--tmpfs", "/tmp", "--network", "none", "--memory", f"{_MEMORY_MB}m", "--cpus", str(cpus),
       "--shm-size", "256m", "--env", "PGBACKREST_ARCHIVE_ASYNC=n",
       "--entrypoint", "sh", server_image(), "-c", script)  # fmt: skip
    drop_copy()


def bare_dump() -> None:
    keeper("pg_dump", "-Fc", "-Z", "zstd:3", "-f", _DUMP, "app")


def dump() -> None:
    """The same, and what makes it worth something: on the disk, its checksum, and that it can be read."""
    bare_dump()
    keeper("sh", "-c", f"sync {_DUMP} && sha256sum {_DUMP} && pg_restore --list {_DUMP}")


def remove_dump() -> None:
    keeper("rm", "-f", _DUMP)
