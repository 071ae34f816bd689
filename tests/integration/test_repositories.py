# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several repositories of one instance, two of them off-site on real servers.

The tests follow each other as a life does: deployed, an off-site server lost and found, credentials wrong, a key
rotated, the machine lost, a repository lost.
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
from ansible_collections.pgkeep.postgres.plugins.module_utils._health import judge
from ansible_collections.pgkeep.postgres.plugins.module_utils._health_facts import collect
from ansible_collections.pgkeep.postgres.plugins.module_utils._layout import Layout
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import run

from .off_site import S3_SECRET, OffSite, docker

NAME = "pgkeep-it-repos"
# The names are the same for every checkout on this machine.
LOCK = Path("/run/pgkeep-it-repos.lock")
PORT = 16290
SERVER_IMAGE = os.environ.get("PGKEEP_SERVER_IMAGE", "pgkeep/postgres:dev")
KEEPER_IMAGE = os.environ.get("PGKEEP_KEEPER_IMAGE", "pgkeep/keeper:dev")
RunLogged = Callable[[str, Sequence[str]], None]

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
        return self.sql("select string_agg(word, ' ' order by word) from kept")

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

    def wait_for_warning(self, number: int, seconds: float = 60) -> None:
        """Until the health tells of it; to ask for the health takes no longer than with every repository there."""
        deadline = time.monotonic() + seconds
        while True:
            began = time.monotonic()
            check = next(each for each in judge(collect(run, Layout(NAME)))["checks"] if each["id"] == "off_site")
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
