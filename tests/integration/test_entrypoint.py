# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The entrypoint on the real engine: what it does with a data directory that is absent, half made, damaged or lost."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator

import pytest

IMAGE = os.environ.get("PGKEEP_SERVER_IMAGE", "pgkeep/postgres:dev")
PREFIX = "pgkeep-it-entry-"
REFUSED = 78
# tini is PID 1 in the container; the hardening is the one of every container of the collection.
HARDENED = ["--user=999:999", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--read-only", "--network=none"]
TEMPORARY = ["--tmpfs=/tmp", "--tmpfs=/var/run/postgresql:uid=999,gid=999,mode=0750"]

POSTGRESQL_CONF = """
archive_mode = on
archive_command = 'pgbackrest --config=/etc/pgbackrest/archive.conf --stanza={name} archive-push %p'
unix_socket_directories = '/var/run/postgresql'
shared_buffers = 16MB
"""
PGBACKREST_CONF = """
[global]
repo1-path=/var/lib/pgbackrest
repo1-cipher-type=aes-256-cbc
repo1-cipher-pass={passphrase}
repo1-retention-full=2
{further}
spool-path=/var/spool/pgbackrest
lock-path=/var/spool/pgbackrest/lock
log-level-file=off
log-level-console=info
start-fast=y
[{name}]
pg1-path=/var/lib/postgresql/17/data
"""


def attempt(*argv: str) -> tuple[int, str]:
    """Exit code and both streams of docker argv."""
    done = subprocess.run(
        ["docker", *argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout.strip()


def docker(*argv: str) -> str:
    code, output = attempt(*argv)
    assert code == 0, output
    return output


@dataclass(frozen=True)
class Lab:
    """One instance called name; its folders are below home."""

    name: str
    home: Path

    def configure(
        self, *, on_empty: str = "restore", passphrase: str = "a passphrase of the test", further: str = ""
    ) -> None:
        files = {
            "server/postgresql.conf": POSTGRESQL_CONF.format(name=self.name),
            "server/pg_hba.conf": "local all postgres peer map=pgkeep\n",
            "server/pg_ident.conf": "pgkeep postgres postgres\n",
            "server/initdb.args": "--locale=C.UTF-8\n",
            "server/on_empty": on_empty + "\n",
            "pgbackrest/pgbackrest.conf": PGBACKREST_CONF.format(
                name=self.name, passphrase=passphrase, further=further
            ),
            # Of an instance without others it is the same file.
            "pgbackrest/archive.conf": PGBACKREST_CONF.format(name=self.name, passphrase=passphrase, further=""),
            "state/.keep": "",
        }
        for name, text in files.items():
            path = self.home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            for owned in (path, path.parent):
                os.chown(owned, 999, 999)
        for name in ("pgbackrest.conf", "archive.conf"):
            (self.home / "pgbackrest" / name).chmod(0o400)

    def argv(self, *, data: str = "data", repo: str = "repo", env: tuple[str, ...] = ()) -> list[str]:
        """Options and image of docker run; data and repo name the volumes of data and first repository."""
        mounts = [
            "%s-%s:/var/lib/postgresql" % (self.name, data),
            "%s-%s:/var/lib/pgbackrest" % (self.name, repo),
            "%s-spool:/var/spool/pgbackrest" % self.name,
            "%s/server:/etc/pgkeep:ro" % self.home,
            "%s/pgbackrest:/etc/pgbackrest:ro" % self.home,
            "%s/state:/var/lib/pgkeep" % self.home,
        ]
        settings = ["PGKEEP_INSTANCE=" + self.name, *env]
        return [*HARDENED, *TEMPORARY, *("--volume=" + m for m in mounts), *("--env=" + e for e in settings), IMAGE]

    def start(self, **options: object) -> None:
        attempt("rm", "--force", self.name)
        docker("run", "--detach", "--name", self.name, *self.argv(**options))  # type: ignore[arg-type]

    def sql(self, query: str) -> str:
        return docker("exec", self.name, "psql", "-U", "postgres", "-XAtqc", query)

    def wait_until_writable(self) -> None:
        deadline = time.monotonic() + 120
        probe = ["exec", self.name, "psql", "-U", "postgres", "-XAtqc", "select pg_is_in_recovery()"]
        while attempt(*probe) != (0, "f"):
            assert docker("inspect", "--format", "{{.State.Running}}", self.name) == "true", docker("logs", self.name)
            assert time.monotonic() < deadline, docker("logs", self.name)
            time.sleep(0.1)

    def start_and_wait_for_initdb(self) -> None:
        """Return while initdb works."""
        self.start()
        volume = Path(docker("volume", "inspect", "--format", "{{.Mountpoint}}", self.name + "-data"))
        deadline = time.monotonic() + 60
        while not (volume / "17/data.partial/base").exists():
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def refusal(self, **options: object) -> str:
        """The message of a start that must be refused; nothing may be left running."""
        code, output = attempt("run", "--rm", *self.argv(**options))  # type: ignore[arg-type]
        assert code == REFUSED, output
        message = output.splitlines()[-1]
        assert re.fullmatch(r"pgkeep: .+\. Why: .+\. Next: .+\.", message)
        return message

    def inside(self, script: str, *, data: str = "data") -> str:
        return docker("run", "--rm", *self.argv(data=data), "bash", "-ec", script)

    def history(self) -> list[str]:
        return [line.split()[1] for line in (self.home / "state/history").read_text().splitlines()]

    def remove(self) -> None:
        ours = docker("ps", "--all", "--quiet", "--filter", "volume=%s-repo" % self.name).split()
        attempt("rm", "--force", "--volumes", self.name, *ours)
        volumes = docker("volume", "ls", "--quiet", "--filter", "name=^%s-" % self.name).split()
        attempt("volume", "rm", "--force", *volumes)
        shutil.rmtree(self.home)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    fresh = Lab(PREFIX + "new", tmp_path / "new")
    fresh.configure()
    try:
        yield fresh
    finally:
        fresh.remove()


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """An instance with three rows, a backup and one more row in the archive, whose server is gone."""
    lab = Lab(PREFIX + "lost", tmp_path_factory.mktemp("lost"))
    lab.configure()
    try:
        lab.start()
        lab.wait_until_writable()
        lab.sql("create table kept as select generate_series(1, 3) as id")
        docker("exec", lab.name, "pgbackrest", "--stanza=" + lab.name, "backup")
        lab.sql("insert into kept values (4)")
        lab.sql("select pg_switch_wal()")
        docker("stop", lab.name)
        docker("rm", lab.name)
        yield lab
    finally:
        lab.remove()


def test_a_fresh_instance_is_initialised_once_and_survives_a_kill(lab: Lab) -> None:
    lab.start()
    lab.wait_until_writable()
    lab.sql("create table kept as select 1 as id")
    assert lab.sql("show data_checksums") == "on"
    assert lab.sql("select count(*) from pg_settings where name = 'server_encoding' and setting = 'UTF8'") == "1"
    docker("kill", lab.name)
    docker("start", lab.name)
    lab.wait_until_writable()
    assert lab.sql("select count(*) from kept") == "1"
    assert lab.history() == ["initialised"]
    docker("exec", lab.name, "pgbackrest", "--stanza=" + lab.name, "check")


def test_a_kill_during_initdb_leaves_nothing_and_the_next_start_begins_again(lab: Lab) -> None:
    lab.start_and_wait_for_initdb()
    docker("kill", lab.name)
    assert lab.inside("ls /var/lib/postgresql/17").split() == ["data.lock", "data.partial"]
    docker("start", lab.name)
    lab.wait_until_writable()
    assert lab.history() == ["initialised"]


def test_a_stop_during_initdb_is_obeyed_at_once(lab: Lab) -> None:
    lab.start_and_wait_for_initdb()
    docker("stop", "--time=30", lab.name)
    assert docker("inspect", "--format", "{{.State.ExitCode}}", lab.name) == "143"
    assert "data" not in lab.inside("ls /var/lib/postgresql/17").split()


def test_a_kill_between_initdb_and_stanza_create_is_completed(lab: Lab) -> None:
    lab.inside("initdb -D $PGDATA -U postgres --no-sync > /dev/null; touch $PGDATA/pgkeep.unfinished")
    lab.start()
    lab.wait_until_writable()
    docker("exec", lab.name, "pgbackrest", "--stanza=" + lab.name, "check")
    assert lab.history() == ["initialised"]


def test_a_directory_that_is_not_a_data_directory_is_left_alone(lab: Lab) -> None:
    lab.inside("mkdir -p $PGDATA/base; echo precious > $PGDATA/base/1")
    assert "no global/pg_control" in lab.refusal()
    assert lab.inside("cat $PGDATA/base/1") == "precious"


def test_another_major_version_is_refused(lab: Lab) -> None:
    lab.inside("mkdir -p $PGDATA/global; touch $PGDATA/global/pg_control; echo 16 > $PGDATA/PG_VERSION")
    assert "it is of PostgreSQL 16, the image has 17" in lab.refusal()


def test_data_of_another_major_version_on_the_volume_count_as_history(lab: Lab) -> None:
    lab.inside("mkdir -p /var/lib/postgresql/16/data/global; touch /var/lib/postgresql/16/data/global/pg_control")
    lab.configure(on_empty="refuse")
    assert "another data directory: /var/lib/postgresql/16/data" in lab.refusal()


def test_settings_that_cannot_be_read_are_refused(lab: Lab) -> None:
    os.chown(lab.home / "pgbackrest/pgbackrest.conf", 0, 0)
    assert "cannot be read by uid 999" in lab.refusal()


def test_a_second_server_on_the_same_volume_is_refused(lost: Lab) -> None:
    lost.start()
    lost.wait_until_writable()
    try:
        assert "another container holds" in lost.refusal()
    finally:
        docker("stop", lost.name)


def test_a_lost_volume_is_refused_where_the_inventory_says_so(lost: Lab) -> None:
    lost.configure(on_empty="refuse")
    message = lost.refusal(data="empty")
    assert "the instance existed before" in message
    assert "on_empty says refuse" in message
    assert lost.inside("ls /var/lib/postgresql/17", data="empty") == "data.lock"


def test_a_restore_that_finds_no_backup_initialises_nothing(lab: Lab) -> None:
    lab.configure(on_empty="require")
    message = lab.refusal()
    assert "There is nothing to restore" in message
    assert lab.inside("ls /var/lib/postgresql/17") == "data.lock"
    assert not (lab.home / "state/history").exists()


def test_a_wrong_passphrase_never_ends_in_a_new_database(lost: Lab) -> None:
    lost.configure(passphrase="not the one of the backup")
    message = lost.refusal(data="empty")
    assert "cannot be decrypted" in message
    assert lost.inside("ls /var/lib/postgresql/17", data="empty") == "data.lock"


def test_a_history_without_a_backup_is_refused(lab: Lab) -> None:
    (lab.home / "state/history").write_text("2026-01-01T00:00:00Z initialised system-id=1\n")
    assert "there is no backup to restore" in lab.refusal()


@pytest.mark.parametrize("on_empty", ["restore", "require"])
def test_a_lost_volume_is_restored_with_all_rows(lost: Lab, on_empty: str) -> None:
    lost.configure(on_empty=on_empty)
    lost.start(data="empty-" + on_empty)
    lost.wait_until_writable()
    assert lost.sql("select count(*) from kept") == "4"
    assert lost.history()[-1] == "restored"


def test_extra_words_reach_the_restore_also_a_time_with_a_space(lost: Lab) -> None:
    words = "PGKEEP_RESTORE_ARGS=--archive-mode=off --type=time --target=2001-01-01 00:00:00+00 --target-action=promote"
    assert "2001-01-01 00:00:00+00" in lost.refusal(data="past", env=(words,))


def test_wal_that_never_reached_the_archive_is_rescued(lost: Lab) -> None:
    lost.configure()
    lost.start()
    lost.wait_until_writable()
    lost.sql("alter system set archive_command = 'false'")
    lost.sql("select pg_reload_conf()")
    lost.sql("insert into kept values (5)")
    docker("kill", lost.name)
    lost.inside("cp -a $PGDATA/pg_wal /var/lib/postgresql/rescued; rm -rf $PGDATA")
    lost.start(env=("PGKEEP_RESCUE_WAL=/var/lib/postgresql/rescued",))
    lost.wait_until_writable()
    assert lost.sql("select max(id) from kept") == "5"
