# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several repositories of one instance, two of them off-site on real servers.

The tests follow each other as a life does: deployed, an off-site server lost and found, each repository proven, one of
them damaged, credentials wrong, a key rotated, the machine lost, a repository lost.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Iterator, Sequence

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._drill import Request, drill
from ansible_collections.pgkeep.postgres.plugins.module_utils._health import judge
from ansible_collections.pgkeep.postgres.plugins.module_utils._health_facts import collect
from ansible_collections.pgkeep.postgres.plugins.module_utils._layout import Layout
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import run
from ansible_collections.pgkeep.postgres.plugins.module_utils._sandbox_host import on_host

from .off_site import S3_SECRET, OffSite, docker

NAME = "pgkeep-it-repos"
# The names are the same for every checkout on this machine.
LOCK = Path("/run/pgkeep-it-repos.lock")
PORT = 16290
SERVER_IMAGE = os.environ.get("PGKEEP_SERVER_IMAGE", "pgkeep/postgres:dev")
KEEPER_IMAGE = os.environ.get("PGKEEP_KEEPER_IMAGE", "pgkeep/keeper:dev")
RunLogged = Callable[[str, Sequence[str]], None]
# What every copy has to hold while the drills run.
KEPT = "select string_agg(word, ' ' order by word) from kept"
WORDS = "first held lost for a while"

PLAY = [
    {
        "name": "An instance with its repositories, and a clean backup in each",
        "hosts": NAME,
        "gather_facts": False,
        "roles": ["pgkeep.postgres.postgres_server", "pgkeep.postgres.postgres_backup"],
    }
]


def attempt(*argv: str) -> tuple[int, str]:
    done = subprocess.run(["docker", *argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode, done.stdout.strip()


def remove_containers() -> None:
    attempt("rm", "--force", NAME, NAME + "-keeper")


def remove_instance() -> None:
    """As if the machine had burnt down: nothing of the instance is left here."""
    remove_containers()
    for role in ("data", "repo", "spool", "scratch", "dumps"):
        attempt("volume", "rm", "--force", "%s-%s" % (NAME, role))
    for folder in ("/etc/pgkeep", "/var/lib/pgkeep"):
        shutil.rmtree(Path(folder, NAME), ignore_errors=True)


class Life:
    """The instance, its control node in home and what is off-site."""

    def __init__(self, home: Path, off_site: OffSite, run_logged: RunLogged) -> None:
        self.home, self.off_site, self.run_logged = home, off_site, run_logged
        (home / "play.yml").write_text(json.dumps(PLAY))

    def playbook(self, playbook: Path, repositories: Sequence[dict[str, Any]], *words: str) -> None:
        host = {
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            "postgres_image_server": SERVER_IMAGE,
            "postgres_image_keeper": KEEPER_IMAGE,
            "postgres_server_memory": "512MB",
            "postgres_server_port": PORT,
            "postgres_server_network": self.off_site.network,
            "postgres_server_secrets_dir": str(self.home / "secrets"),
            # Nothing but the test shall take backups, so that it knows which there are.
            "postgres_backup_runner": "none",
            "postgres_backup_drill": False,
            "postgres_backup_drill_checks": [{"name": "kept", "database": "postgres", "sql": KEPT, "expect": WORDS}],
            "postgres_backup_repositories": repositories,
        }
        inventory = self.home / "hosts.json"
        inventory.write_text(json.dumps({"postgres": {"hosts": {NAME: host}}}))
        self.run_logged("repositories", ["ansible-playbook", "-i", str(inventory), str(playbook), *words])

    def deploy(self, *repositories: dict[str, Any]) -> None:
        self.playbook(self.home / "play.yml", repositories)

    def sql(self, text: str) -> str:
        return docker("exec", NAME, "psql", "-U", "postgres", "-XAtqc", text)

    def rows(self) -> str:
        return self.sql(KEPT)

    def keep(self, word: str) -> None:
        """A row, and its WAL on the way."""
        self.sql("create table if not exists kept (word text)")
        self.sql("insert into kept values ('%s')" % word)
        self.sql("select pg_switch_wal()")

    def pgkeep(self, *words: str) -> dict[str, Any]:
        _code, text = attempt("exec", NAME + "-keeper", "pgkeep", *words)
        answer: dict[str, Any] = json.loads(text)
        return answer

    def repositories(self) -> dict[int, dict[str, Any]]:
        found = self.pgkeep("info")["backup_info"]["repositories"]
        return {entry["number"]: entry for entry in found}

    def wait_for_wal(self, number: int, seconds: float = 30) -> None:
        """Until everything written so far has reached the repository."""
        # A segment without anything new in it is not switched away from.
        self.sql("select pg_logical_emit_message(true, 'test', 'wal')")
        last = self.sql("select pg_walfile_name(pg_switch_wal())")
        state = Path("/var/lib/pgkeep", NAME, "state/repositories/%d.json" % number)
        deadline = time.monotonic() + seconds
        while not state.exists() or (json.loads(state.read_text())["last"] or "")[8:] < last[8:]:
            assert time.monotonic() < deadline, state.read_text() if state.exists() else "nothing was shipped"
            time.sleep(0.2)

    def health(self, check: str) -> dict[str, Any]:
        checks: list[dict[str, Any]] = judge(collect(run, Layout(NAME)))["checks"]
        return next(each for each in checks if each["id"] == check)

    def scheduled_drill(self) -> dict[str, Any]:
        """The job of the schedule; the record of the drill that it chose."""
        self.pgkeep("--actor", "test", "job", "drill")
        newest: dict[str, Any] = self.pgkeep("drills", "--last", "1")["drills"][0]
        return newest

    def wait_for_warning(self, number: int, seconds: float = 60) -> None:
        """Until the health tells of it; to ask for the health takes no longer than with every repository there."""
        deadline = time.monotonic() + seconds
        while True:
            began = time.monotonic()
            check = self.health("off_site")
            assert time.monotonic() - began < 5
            if check["status"] == "warning":
                break
            assert time.monotonic() < deadline, check
            time.sleep(0.5)
        assert check["value"] > 0
        assert "repository %d (s3) is " % number in check["message"]

    def canary(self) -> float:
        return float(self.pgkeep("canary", "--timeout", "20")["canary"]["archived_seconds"])


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory, run_logged_module: RunLogged) -> Iterator[Life]:
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        off_site = OffSite(NAME + "-net", tmp_path_factory.mktemp("off-site"), SERVER_IMAGE)
        off_site.remove()
        remove_instance()
        try:
            off_site.start()
            found = Life(tmp_path_factory.mktemp("control"), off_site, run_logged_module)
            found.deploy(off_site.s3_repository(2), off_site.sftp_repository(3, "/off-site/old"))
            yield found
        finally:
            remove_instance()
            off_site.remove()


def test_each_has_a_backup_and_the_wal_under_a_key_of_its_own(life: Life) -> None:
    life.keep("first")
    for number in (2, 3):
        life.wait_for_wal(number)
    found = life.repositories()
    assert [(entry["type"], entry["status"], entry["error"]) for entry in found.values()] == [
        ("posix", "ok", None),
        ("s3", "ok", None),
        ("sftp", "ok", None),
    ]
    assert len({entry["newest_clean"] for entry in found.values()}) == 3
    assert {entry["wal_lag_segments"] for entry in found.values()} == {0}
    secrets = [path.read_text() for path in sorted((life.home / "secrets" / NAME).glob("repository*.passphrase"))]
    assert len(set(secrets)) == 3
    written = Path("/etc/pgkeep", NAME, "pgbackrest")
    assert {path.stat().st_mode & 0o777 for path in written.iterdir()} == {0o400}
    # The server knows one repository, and its settings hold no other secret.
    assert "--config=/etc/pgbackrest/archive.conf" in life.sql("show archive_command")
    assert "repo2" not in (written / "archive.conf").read_text()


def test_a_black_hole_off_site_does_not_slow_archiving_and_is_told(life: Life) -> None:
    reachable = min(life.canary() for _turn in range(3))
    docker("pause", life.off_site.s3)
    try:
        # Long enough for the keeper to be caught in it.
        life.keep("held")
        life.wait_for_wal(3)
        assert min(life.canary() for _turn in range(3)) < reachable + 1
    finally:
        docker("unpause", life.off_site.s3)
    docker("stop", "--time=1", life.off_site.s3)
    life.keep("lost for a while")
    life.wait_for_wal(3)
    # Both wait for the one that is away.
    with ThreadPoolExecutor(max_workers=1) as pool:
        asked = pool.submit(life.repositories)
        told = life.pgkeep("backup", "--type", "incr")["error"]
        found = asked.result()
    assert told["what"] == "The backup in repository 2 failed; in repository 1 and 3 it is done"
    assert (found[1]["status"], found[2]["status"], found[3]["status"]) == ("ok", "error", "ok")
    assert found[2]["wal_lag_segments"] > 0
    life.wait_for_warning(2)
    for number in ("1", "3"):
        assert life.pgkeep("info", "--repo", number)["backup_info"]["newest_clean"].endswith("I")


def test_it_catches_up(life: Life) -> None:
    docker("start", life.off_site.s3)
    life.wait_for_wal(2)
    found = life.repositories()[2]
    assert (found["status"], found["wal_lag_segments"], found["wal_missing"]) == ("ok", 0, [])
    assert life.pgkeep("backup", "--type", "incr", "--repo", "2")["backup"]["clean"]


def test_each_repository_is_proven_in_its_turn(life: Life) -> None:
    assert "repository 3 (sftp) was never proven by a drill" in life.health("drill")["message"]
    first = life.scheduled_drill()
    assert (first["repository"], first["passed"], first["where"]) == (1, True, "keeper")
    second = drill(on_host(run, NAME), Request(timeout_seconds=120, repository=2), check_mode=False)["drill"]
    assert (second["repository"], second["passed"], second["where"]) == (2, True, "host")
    # The word of the row that was written while it was away came over the network, too.
    assert ("check kept", "the answer is " + WORDS) in [(each["id"], each["detail"]) for each in second["checks"]]


def test_a_repository_that_is_away_fails_its_drill_in_time_and_condemns_nothing(life: Life) -> None:
    before = life.repositories()
    docker("pause", life.off_site.sftp)
    began = time.monotonic()
    try:
        # It is the turn of the third; the others were proven a moment ago.
        told = life.pgkeep("--actor", "test", "job", "drill")["error"]
    finally:
        docker("unpause", life.off_site.sftp)
    assert time.monotonic() - began < 40
    assert told["what"] == "Repository 3 of %s cannot be used" % NAME
    assert told["why"].startswith("the host of the repository does not answer: ")
    life.wait_for_wal(3)
    third = life.scheduled_drill()
    assert (third["repository"], third["passed"]) == (3, True)
    found = life.repositories()
    assert found[3]["newest_clean"] == before[3]["newest_clean"]
    assert all(each["newest_proven"] == each["newest_clean"] and each["proven_at"] for each in found.values())
    check = life.health("drill")
    assert (check["status"], check["warn"]) == ("healthy", 24)
    assert "repository 3 (sftp) was proven by a drill" in check["message"]


def test_a_damaged_file_condemns_the_backup_of_its_repository_alone(life: Life) -> None:
    before = life.repositories()
    backups = "/srv/bucket/pgkeep/backup/" + NAME
    largest = "find %s -type f -size +64k -printf '%%s %%p\\n' | sort -n | tail -n 1 | cut -d ' ' -f 2-" % backups
    path = docker("exec", life.off_site.s3, "bash", "-c", largest)
    docker("exec", life.off_site.s3, "cp", path, "/tmp/good")
    spoil = "of=%s bs=1 seek=40000 conv=notrunc count=1000" % path
    docker("exec", life.off_site.s3, "bash", "-c", "dd if=/dev/urandom status=none " + spoil)
    try:
        told = life.pgkeep("drill", "--repo", "2")["error"]
    finally:
        docker("exec", life.off_site.s3, "cp", "/tmp/good", path)
    assert told["what"] == "The drill of %s with backup %s of repository 2 failed" % (NAME, before[2]["newest_clean"])
    assert path.partition(NAME + "/")[2] in told["why"]
    assert life.pgkeep("drill")["drill"]["passed"]
    after = life.repositories()
    assert after[2]["newest_clean"] not in (None, before[2]["newest_clean"])
    for number in (1, 3):
        assert after[number]["newest_clean"] == before[number]["newest_clean"]
    condemned = life.pgkeep("info", "--repo", "2")["backup_info"]["backups"][-1]
    assert condemned["reasons"][0].startswith("a drill of it failed at ")


def test_wal_that_is_missing_off_site_is_found_by_the_drill_of_that_repository(life: Life) -> None:
    # The keeper looks there when it starts, and again after ten minutes, when it would bring the segment once more.
    docker("restart", "--time=1", NAME + "-keeper")
    life.wait_for_wal(3)
    info = life.pgkeep("info", "--repo", "3")["backup_info"]
    stop = next(each["wal_stop"] for each in info["backups"] if each["label"] == info["newest_clean"])
    gone = "%s%08X" % (stop[:16], int(stop[16:], 16) + 1)
    path = docker("exec", life.off_site.sftp, "find", "/off-site/old/archive", "-name", gone + "-*")
    docker("exec", life.off_site.sftp, "mv", path, "/off-site/lost")
    try:
        told = life.pgkeep("drill", "--repo", "3")["error"]
        found = life.repositories()
    finally:
        docker("exec", life.off_site.sftp, "mv", "/off-site/lost", path)
    assert "WAL is missing in the repository" in told["why"]
    assert (found[1]["wal_missing"], found[2]["wal_missing"], found[3]["wal_missing"]) == ([], [], [gone])
    assert found[3]["newest_clean"] == info["newest_clean"]


def test_wrong_credentials_are_told_apart(life: Life) -> None:
    folder = Path("/etc/pgkeep", NAME, "pgbackrest")
    files = [folder / name for name in ("pgbackrest.conf", "repository2.conf")]
    good = [file.read_text() for file in files]
    try:
        for file, text in zip(files, good):
            file.write_text(text.replace(S3_SECRET, "not the secret"))
        told = life.pgkeep("backup", "--repo", "2")["error"]
    finally:
        for file, text in zip(files, good):
            file.write_text(text)
    assert "refuses the credentials" in told["why"]
    assert "not the secret" not in json.dumps(told)


def test_a_key_is_rotated_as_a_new_repository_beside_the_old_one(life: Life) -> None:
    old, new = (
        life.off_site.sftp_repository(number, path) for number, path in ((3, "/off-site/old"), (4, "/off-site/new"))
    )
    rotate = Path(__file__).parents[2] / "playbooks/rotate_key.yml"
    life.playbook(rotate, [old, new], "-e", "confirm=" + NAME, "-e", "number=4")
    keys = [(life.home / "secrets" / NAME / ("repository%d.passphrase" % number)).read_text() for number in (3, 4)]
    assert len(set(keys)) == 2
    logged = (Path(__file__).parents[2] / ".work/logs/repositories.log").read_text()
    assert not [key for key in keys if key.strip() in logged]
    found = life.repositories()
    assert found.keys() == {1, 3, 4}
    assert found[4]["newest_clean"].endswith("F")
    assert found[3]["newest_clean"] is not None
    life.keep("under the new key")
    for number in (3, 4):
        life.wait_for_wal(number)


def test_a_blank_machine_gets_everything_back_from_the_new_repository(life: Life) -> None:
    before = life.rows()
    remove_instance()
    life.deploy(life.off_site.sftp_repository(4, "/off-site/new"))
    assert life.rows() == before == "first held lost for a while under the new key"
    found = life.repositories()
    assert found[1]["newest_clean"] is not None
    life.keep("on another machine")
    life.wait_for_wal(4)


def test_restore_passes_over_a_first_repository_that_is_gone(life: Life) -> None:
    before = life.rows()
    remove_containers()
    docker("volume", "rm", NAME + "-data", NAME + "-repo")
    playbook = Path(__file__).parents[2] / "playbooks/restore.yml"
    life.playbook(playbook, [life.off_site.sftp_repository(4, "/off-site/new")], "-e", "confirm=" + NAME)
    assert life.rows() == before
    log = (Path(__file__).parents[2] / ".work/logs/repositories.log").read_text()
    assert "Prepared the first repository" in log
    # The server archives to the new first repository, and its WAL goes on from there.
    life.wait_for_wal(4)
    found = life.repositories()
    assert all(entry["status"] == "ok" and entry["newest_clean"] for entry in found.values())
