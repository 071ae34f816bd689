# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts of machine, engine, container, files and roles, read from recorded output and from real sockets and files."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _facts
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._facts_container import (
    addresses,
    data_directory,
    disks,
    environment,
    file_system,
    files,
    keys,
    mount_of,
    repository,
    volume_majors,
)
from ansible_collections.pgkeep.postgres.plugins.module_utils._facts_host import (
    engine,
    listening,
    meminfo,
    os_release,
    port,
)
from ansible_collections.pgkeep.postgres.plugins.module_utils._facts_sql import guessable, role
from ansible_collections.pgkeep.postgres.plugins.module_utils._layout import Layout
from ansible_collections.pgkeep.postgres.plugins.module_utils._preflight import declared
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result
from ansible_collections.pgkeep.postgres.plugins.module_utils._settings import (
    declared_budget,
    running_budget,
    setting_bytes,
)

from .recorded import load

INSPECTED = load("preflight/after.json")["container"]["inspect"]
UNHARDENED = load("docker/unhardened.json")[0]
# pg_authid.rolpassword of roles named shop, recorded from PostgreSQL 17: password shop, a strong one, shop as md5.
SCRAM_SHOP = (
    "SCRAM-SHA-256$4096:gpU/GmycBpCIWMsUnvYL9w==$1ssAYiQn/MRSnoBsh6Lhqv"
    "vMCO1twdMOvuXRXTqpQpk=:bg8fCFEWzZssTkHEqSBZWZ/8Sw68UF+m+RNsTelzstE="
)
SCRAM_STRONG = (
    "SCRAM-SHA-256$4096:YOfdXxG8NAj0FzaudEgC9Q==$Ot213dC+w1m6m0yatmse5R"
    "XfxODW1qXKk627FOoeBj0=:fxqd9O6gWD59m0Sh8tiE8z4wQWFVAgskaWUJqFeo4eg="
)
MD5_SHOP = "md5f0c1de5eb2934ac9f886a646a0a46ba4"

PARAMS: dict[str, Any] = {
    "name": "not-there", "memory": None, "cpus": None, "port": None, "bind_address": "127.0.0.1", "major": None,
    "profile": "web", "disk": "ssd", "connections": 0, "settings": None, "users": [], "databases": [], "init_sql": [],
    "keys": None, "neighbours": [], "memory_overcommit": 1.0, "cpu_overcommit": 4.0, "restart_window": "",
}  # fmt: skip


class Engine:
    """docker from recorded output; remembers every command."""

    def __init__(self, **more: Result) -> None:
        self.commands: list[list[str]] = []
        self.answers = {
            "version": Result(0, json.dumps(load("docker/version.json"))),
            "info": Result(0, json.dumps(load("docker/info.json"))),
            "ps": Result(0, "%s\n%s\n" % (INSPECTED["Id"], UNHARDENED["Id"])),
            "inspect": Result(0, json.dumps([INSPECTED, UNHARDENED])),
            **more,
        }

    def __call__(self, argv: list[str], data: Any = None, env: Any = None, timeout: Any = None) -> Result:
        self.commands.append(argv)
        if argv[0] != "docker":
            return Result(1, "", "not here")
        return self.answers.get(argv[1], Result(1, "", "Error: No such object: %s" % argv[-1]))


def test_engine() -> None:
    found = engine(Engine())
    assert (found["version"], found["api_version"]) == ("20.10.24+dfsg1", "1.41")
    assert (found["driver"], found["backing"], found["processors"]) == ("overlay2", "extfs", 2)
    assert [(entry["name"], entry["memory_bytes"], entry["published"]) for entry in found["containers"]] == [
        ("app-db", 1073741824, [15420]),
        ("app-db", 0, [15424]),
    ]


def test_a_container_that_goes_while_all_are_looked_at_is_no_failure_of_the_engine() -> None:
    gone = Result(1, json.dumps([INSPECTED]), "Error: No such object: %s" % UNHARDENED["Id"])
    assert [entry["published"] for entry in engine(Engine(inspect=gone))["containers"]] == [[15420]]
    with pytest.raises(PgkeepError, match="cannot be inspected.*permission denied"):
        engine(Engine(inspect=Result(1, "[]", "permission denied")))


def test_an_engine_without_containers_is_asked_for_none() -> None:
    run = Engine(ps=Result(0, ""))
    assert engine(run)["containers"] == []
    assert not any(command[1] == "inspect" for command in run.commands)


def test_before_a_deploy_only_questions_are_asked() -> None:
    run = Engine()
    params = PARAMS | {"memory": "1GB", "cpus": 1, "port": 1, "major": 17}
    facts = _facts.collect(run, Layout("not-there"), declared(params), "before")
    assert (facts["errors"], facts["phase"]) == ({}, "before")
    assert (facts["majors"], facts["disks"], facts["keys"]) == ([], {}, {})
    assert {command[1] for command in run.commands if command[0] == "docker"} == {
        "version", "info", "ps", "inspect", "volume", "container",
    }  # fmt: skip
    assert all(command[2] == "inspect" for command in run.commands if command[1] in ("volume", "container"))


def test_the_keys_of_a_host_are_told_by_digest_only(tmp_path: Path) -> None:
    class Here(Layout):
        config_dir = str(tmp_path)

    (tmp_path / "pgbackrest").mkdir()
    (tmp_path / "keeper").mkdir()
    (tmp_path / "pgbackrest/pgbackrest.conf").write_text(
        "[global]\nrepo1-cipher-pass=first-passphrase\nrepo1-path=/x\nrepo12-cipher-pass=twelfth=passphrase\n"
    )
    (tmp_path / "keeper/dumps.passphrase").write_text("of-the-dumps\n")
    found = keys(Engine(volume=Result(0, json.dumps([{"Name": "app-db-repo"}]))), Here("app-db"))
    assert {name: key["sha256"] for name, key in found.items()} == {
        "repository.passphrase": hashlib.sha256(b"first-passphrase").hexdigest(),
        "repository12.passphrase": hashlib.sha256(b"twelfth=passphrase").hexdigest(),
        "dumps.passphrase": hashlib.sha256(b"of-the-dumps").hexdigest(),
    }
    assert "passphrase=" not in str(found)
    assert found["repository12.passphrase"]["place"].startswith("repo12-cipher-pass in ")
    # Without its volume there is no first repository that its key could open.
    assert sorted(keys(Engine(), Here("app-db"))) == ["dumps.passphrase", "repository12.passphrase"]


def test_a_lost_engine_is_a_reason_and_no_traceback() -> None:
    def run(argv: list[str], data: Any = None, env: Any = None, timeout: Any = None) -> Result:
        return Result(
            1, "", "Cannot connect to the Docker daemon at unix:///nonexistent. Is the docker daemon running?"
        )

    facts = _facts.collect(run, Layout("not-there"), declared(PARAMS), "after")
    assert {
        "engine",
        "majors",
        "disks",
        "keys",
        "container",
        "sql",
        "files",
        "repository",
        "backup",
        "certificate",
        "leftovers",
        "endpoints",
    } == set(facts["errors"])
    assert facts["errors"]["engine"]["why"].startswith("The Docker engine does not answer: Cannot connect")
    assert "systemctl start docker" in facts["errors"]["engine"]["next_step"]


def test_a_free_port_and_a_taken_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = listener.getsockname()[1]
        taken = port(Engine(), "127.0.0.1", number, [])
        known = port(Engine(), "127.0.0.1", number, [{"name": "other", "published": [number]}])
    assert taken == {"error": "address in use", "holder": None}
    assert known == {"error": "address in use", "holder": "container other"}
    assert port(Engine(), "127.0.0.1", number, []) == {"error": None, "holder": None}


def test_the_process_that_holds_a_port() -> None:
    # Recorded from ss of iproute2 6.1.
    words = 'LISTEN 0 5 0.0.0.0:15421 0.0.0.0:* users:(("python3",pid=10789,fd=3))\n'

    def run(argv: list[str], data: Any = None, env: Any = None, timeout: Any = None) -> Result:
        return Result(0, words)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = port(run, "127.0.0.1", listener.getsockname()[1], [])
    assert found["holder"] == "process python3 pid=10789 fd=3"


def test_an_address_of_another_machine() -> None:
    assert port(Engine(), "192.0.2.7", 15423, [])["error"] == "Cannot assign requested address"


def test_listening_ports() -> None:
    text = (
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        "   0: 0100007F:3C3C 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 19842 1\n"
        "   1: 0100007F:0947 0100007F:D2F0 01 00000000:00000000 00:00000000 00000000     0        0 19842 1\n"
    )
    assert listening(text) == {15420}
    assert listening(text.replace(" 01 ", " 0A ")) == {15420, 2375}


def test_proc_and_etc() -> None:
    assert meminfo("MemTotal:       24684092 kB\nHugePages_Total:       3\n\n") == {
        "MemTotal": 24684092 * 1024,
        "HugePages_Total": 3,
    }
    text = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nID=debian\n'
    assert os_release(text) == {"id": "debian", "version": "12", "name": "Debian GNU/Linux 12 (bookworm)"}
    assert os_release("") == {"id": "", "version": "", "name": ""}


def test_the_mount_below_the_data() -> None:
    found = mount_of(INSPECTED["Mounts"], environment(INSPECTED)["PGDATA"])
    assert found is not None
    assert found["Name"] == "app-db-data"
    assert mount_of(INSPECTED["Mounts"], "/var/lib/postgresqlx") is None
    assert mount_of(INSPECTED["Mounts"], "") is None


def test_the_file_system_below_a_path() -> None:
    table = "overlay / overlay rw 0 0\n/dev/vda / ext4 rw 0 0\ntmpfs /run tmpfs rw 0 0\nnas:/x /srv/data nfs4 rw 0 0\n"
    assert [file_system(table, path) for path in ("/var/lib", "/run/x", "/srv/data", "/srv/database")] == [
        "ext4", "tmpfs", "nfs4", "ext4",
    ]  # fmt: skip


def test_published_addresses() -> None:
    assert addresses(INSPECTED) == ["127.0.0.1"]
    assert addresses(UNHARDENED) == ["0.0.0.0"]


def test_the_data_directory(tmp_path: Path) -> None:
    path = tmp_path / "17" / "data"
    path.mkdir(parents=True)
    path.chmod(0o700)
    assert data_directory(str(path)) == {"path": str(path), "mode": 0o700, "uid": os.getuid(), "version": None}
    (path / "PG_VERSION").write_text("17\n")
    assert data_directory(str(path))["version"] == "17"
    volume = Engine(volume=Result(0, json.dumps([{"Mountpoint": str(tmp_path)}])))
    assert volume_majors(volume, Layout("app-db")) == ["17"]


def test_disks_of_the_volumes_while_there_is_no_container(tmp_path: Path) -> None:
    volume = Engine(volume=Result(0, json.dumps([{"Mountpoint": str(tmp_path)}])))
    found = disks(volume, Layout("app-db"))
    assert list(found) == ["data", "repository"]
    assert found["data"]["path"] == str(tmp_path)


class Folders(Layout):
    """The folders of an instance below a folder of the test."""

    root = ""

    @property
    def config_dir(self) -> str:
        return self.root


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    monkeypatch.setattr(Folders, "root", str(tmp_path))
    return Folders("app-db")


def test_modes_of_the_files(layout: Layout, tmp_path: Path) -> None:
    for name, mode in (("client/pgpass", 0o400), ("server/pg_hba.conf", 0o640), ("server/conf.d/90-user.conf", 0o600)):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
        path.chmod(mode)
    assert files(layout) == {
        "secret": {str(tmp_path / "client/pgpass"): 0o400},
        "settings": {
            str(tmp_path / "server/pg_hba.conf"): 0o640,
            str(tmp_path / "server/conf.d/90-user.conf"): 0o600,
        },
    }


def test_no_files_are_no_good_files(layout: Layout) -> None:
    with pytest.raises(PgkeepError, match="There are no files of app-db"):
        files(layout)


def test_settings_of_the_repository_without_its_secrets(layout: Layout, tmp_path: Path) -> None:
    (tmp_path / "pgbackrest").mkdir()
    (tmp_path / "pgbackrest/pgbackrest.conf").write_text(
        "# comment\n[global]\nrepo1-path=/var/lib/pgbackrest\nrepo1-cipher-pass=100%hunter2\nrepo2-s3-key=hunter2\n"
        "repo2-s3-key-secret=hunter2\nrepo2-type=s3\n[app-db]\npg1-path=/x\n"
    )
    assert repository(layout) == {"repo1-path": "/var/lib/pgbackrest", "repo2-type": "s3"}


def test_a_repository_without_settings(layout: Layout) -> None:
    with pytest.raises(PgkeepError, match="The settings of the repository cannot be read"):
        repository(layout)


@pytest.mark.parametrize(
    "secret, kind, guessed",
    [
        (None, "none", False),
        (SCRAM_SHOP, "scram", True),
        (SCRAM_STRONG, "scram", False),
        (MD5_SHOP, "md5", True),
        ("md5" + "0" * 32, "md5", False),
        ("plain text of an old dump", "other", False),
    ],
)
def test_of_a_password_only_its_strength_is_told(secret: Any, kind: str, guessed: bool) -> None:
    found = role("shop", False, False, True, secret)
    assert found == {
        "name": "shop",
        "superuser": False,
        "createrole": False,
        "bypassrls": True,
        "password": kind,
        "guessable": guessed,
    }


def test_the_empty_password_is_guessed() -> None:
    assert guessable("shop", SCRAM_SHOP, ["", "shop"])
    assert not guessable("shop", SCRAM_SHOP, ["", "Shop"])


def test_sizes_of_settings() -> None:
    assert setting_bytes("work_mem", "64MB") == 67108864
    assert setting_bytes("work_mem", 4096) == 4194304
    assert setting_bytes("shared_buffers", "16384") == 134217728
    assert setting_bytes("autovacuum_work_mem", -1) == -1


def test_the_declared_and_the_running_budget_are_the_same() -> None:
    before, after = load("preflight/before.json"), load("preflight/after.json")
    assert declared_budget(1073741824, before["declared"]["settings"]) == running_budget(
        1073741824, after["sql"]["settings"]
    )


def test_what_is_not_declared_has_the_servers_default() -> None:
    budget = declared_budget(1073741824, {})
    assert (budget.shared_buffers, budget.connections, budget.work_mem) == (134217728, 100, 4194304)
    # autovacuum_work_mem is maintenance_work_mem unless it is set.
    assert budget.autovacuum_work_mem == 67108864
