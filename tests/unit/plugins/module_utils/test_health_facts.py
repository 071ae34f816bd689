# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the facts of health are read from: recorded inspections, a recorded log, a real TLS handshake, a real disk."""

from __future__ import annotations

import json
import os
import socket
import ssl
import threading
import time
from pathlib import Path
from typing import Any, Iterator, Optional

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _health_facts as health_facts
from ansible_collections.pgkeep.postgres.plugins.module_utils._health_facts import described, restarts
from ansible_collections.pgkeep.postgres.plugins.module_utils._layout import Layout
from ansible_collections.pgkeep.postgres.plugins.module_utils._off_site import look
from ansible_collections.pgkeep.postgres.plugins.module_utils._probe import Target, certificate, disk, published
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result
from ansible_collections.pgkeep.postgres.plugins.module_utils._times import epoch_of, hours, rfc3339

from .authority import Authority
from .recorded import FIXTURES, load

SERVER = load("preflight/after.json")["container"]["inspect"]
# The first start of the container and four after somebody had stopped it.
LOG = (FIXTURES / "docker/server.log").read_text()
# The first start, a kill -9 of PID 1, a kill -9 of the WAL writer.
KILLED = (FIXTURES / "docker/server_killed.log").read_text()
NOW = epoch_of("2026-11-21T22:40:00Z") or 0.0


def test_the_state_of_a_container() -> None:
    found = described(SERVER, NOW)
    assert (found["state"], found["health"], found["exit_code"], found["restart_count"]) == ("running", "healthy", 0, 0)
    assert (found["started_age_seconds"], found["created_age_seconds"]) == (156.0, 996.0)


def test_starts_after_a_clean_stop_were_wanted() -> None:
    assert restarts(described(SERVER, NOW), LOG) == 0


def test_starts_after_a_kill_are_restarts_also_when_the_container_went_on() -> None:
    assert restarts(described(SERVER, NOW), KILLED) == 2
    old = described(SERVER, NOW) | {"created_age_seconds": 90000, "started_age_seconds": 90000}
    assert restarts(old, KILLED) == 2


def test_without_words_in_the_log_the_engine_counts() -> None:
    """A server that ends before its first words, restarted five times by the engine."""
    assert restarts(described(SERVER, NOW) | {"restart_count": 5}, "pgkeep: refused\n" * 5) == 5
    assert restarts(described(SERVER, NOW) | {"created_age_seconds": 90000, "restart_count": 5}, "") == 1


def test_no_restart_of_what_never_started() -> None:
    assert restarts({"created_age_seconds": 5, "started_age_seconds": None, "restart_count": 0}, "") == 0


def test_where_the_port_is_published() -> None:
    assert published(SERVER) == ("127.0.0.1", 15420)
    everywhere = {"NetworkSettings": {}, "HostConfig": load("docker/unhardened.json")[0]["HostConfig"]}
    assert published(everywhere) == ("127.0.0.1", 15424)
    assert published({"NetworkSettings": {"Ports": {}}, "HostConfig": {}}) is None


def test_times() -> None:
    assert epoch_of("2026-11-21T22:24:28.057023341Z") == epoch_of("2026-11-21T22:24:28Z") == 1795299868
    assert epoch_of("0001-01-01T00:00:00Z") is None
    assert rfc3339(1795299868.9) == "2026-11-21T22:24:28Z"
    assert [hours(seconds) for seconds in (0, 119, 120, 7199, 7200, 172799, 172800)] == [
        "0 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 days",
    ]  # fmt: skip


def test_a_disk_as_df_shows_it(tmp_path: Path) -> None:
    found = disk(str(tmp_path))
    assert 0 < found["used_percent"] < 100
    assert 0 < found["free_bytes"] < found["size_bytes"]
    with pytest.raises(FileNotFoundError):
        disk(str(tmp_path / "missing"))


def make_certificates(folder: Path, ends_in_days: float, authority_ends_in_days: float = 900) -> None:
    """ca.crt, and server.pem for 127.0.0.1 signed by it."""
    authority = Authority(ends_in_days=authority_ends_in_days)
    (folder / "ca.crt").write_text(authority.pem)
    (folder / "server.pem").write_text("".join(authority.sign(ends_in_days=ends_in_days)))


class Postgres:
    """Speaks as much of PostgreSQL as a TLS handshake needs: one connection."""

    def __init__(self, answer: bytes, context: Optional[ssl.SSLContext] = None) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.answer, self.context = answer, context
        self.request = b""
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def _serve(self) -> None:
        plain, _address = self.listener.accept()
        with plain:
            self.request = plain.recv(8)
            plain.sendall(self.answer)
            if self.context is not None:
                try:
                    with self.context.wrap_socket(plain, server_side=True) as encrypted:
                        encrypted.recv(1)
                except OSError:
                    return

    def close(self) -> None:
        self.thread.join(10)
        self.listener.close()


@pytest.fixture
def servers() -> Iterator[list[Postgres]]:
    found: list[Postgres] = []
    yield found
    for server in found:
        server.close()


def target(server: Postgres, folder: Path, host: str = "127.0.0.1") -> Target:
    return Target(host, server.port, "nobody", "", str(folder / "ca.crt"))


def encrypted(folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context


@pytest.mark.parametrize("ends_in_days", [300, 5])
def test_days_of_the_served_certificate(tmp_path: Path, servers: list[Postgres], ends_in_days: int) -> None:
    make_certificates(tmp_path, ends_in_days)
    servers.append(Postgres(b"S", encrypted(tmp_path)))
    found = certificate(target(servers[0], tmp_path), time.time())
    assert found["error"] is None
    assert found["days_left"] == pytest.approx(ends_in_days, abs=0.2)
    # SSLRequest as libpq sends it.
    assert servers[0].request == b"\x00\x00\x00\x08\x04\xd2\x16\x2f"


def test_a_certificate_is_good_for_no_longer_than_its_authority(tmp_path: Path, servers: list[Postgres]) -> None:
    make_certificates(tmp_path, 300, authority_ends_in_days=5)
    servers.append(Postgres(b"S", encrypted(tmp_path)))
    # While another one comes, clients trust both; a stranger's end says nothing.
    with (tmp_path / "ca.crt").open("a") as bundle:
        bundle.write(Authority("another ca", ends_in_days=2).pem)
    assert certificate(target(servers[0], tmp_path), time.time())["days_left"] == pytest.approx(5, abs=0.2)


def test_an_expired_certificate_is_told_apart(tmp_path: Path, servers: list[Postgres]) -> None:
    make_certificates(tmp_path, -1)
    servers.append(Postgres(b"S", encrypted(tmp_path)))
    found = certificate(target(servers[0], tmp_path), time.time())
    assert found == {"days_left": None, "not_after": None, "error": "certificate has expired"}


def test_a_certificate_for_another_name(tmp_path: Path, servers: list[Postgres]) -> None:
    make_certificates(tmp_path, 300)
    servers.append(Postgres(b"S", encrypted(tmp_path)))
    found = certificate(target(servers[0], tmp_path, "localhost"), time.time())
    assert found["days_left"] is None
    assert "localhost" in found["error"]


def test_a_server_without_tls(tmp_path: Path, servers: list[Postgres]) -> None:
    make_certificates(tmp_path, 300)
    servers.append(Postgres(b"N"))
    assert certificate(target(servers[0], tmp_path), time.time())["error"] == "the server does not offer TLS"


class Engine:
    """Answers from a table of recorded output by the words after docker; anything else does not exist."""

    def __init__(self, **answers: Result) -> None:
        self.answers = answers
        self.commands: list[list[str]] = []

    def __call__(self, argv: list[str], data: Any = None, env: Any = None, timeout: Any = None) -> Result:
        self.commands.append(argv[1:])
        return self.answers.get(argv[1], Result(1, "", "Error: No such container: %s" % argv[-1]))


def test_a_stopped_server_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = json.loads(json.dumps(SERVER))
    stopped["State"].update(Running=False, Status="exited", ExitCode=0)
    engine = Engine(container=Result(0, json.dumps([stopped])), logs=Result(0, "", KILLED))
    monkeypatch.setattr(health_facts.time, "time", lambda: NOW)
    facts = health_facts.collect(engine, Layout("app-db"))
    assert facts["login"] is None
    assert facts["errors"]["login"] == "not tried: the server's container does not run"
    assert facts["starts"] == 2
    assert {command[0] for command in engine.commands} == {"container", "logs", "exec", "ps"}


def test_a_paused_server_is_not_waited_for() -> None:
    paused = json.loads(json.dumps(SERVER))
    paused["State"].update(Paused=True, Status="paused")
    facts = health_facts.collect(Engine(container=Result(0, json.dumps([paused]))), Layout("not-there"))
    assert facts["errors"]["login"].startswith("not tried")


def test_the_log_is_not_read_when_nothing_started_within_the_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = json.loads(json.dumps(SERVER))
    stopped["State"].update(Running=False, Status="exited")
    engine = Engine(container=Result(0, json.dumps([stopped])))
    monkeypatch.setattr(health_facts.time, "time", lambda: NOW + 7200)
    assert health_facts.collect(engine, Layout("app-db"))["starts"] == 0
    assert "logs" not in {command[0] for command in engine.commands}


def test_a_missing_container_and_a_missing_password_are_told() -> None:
    facts = health_facts.collect(Engine(), Layout("not-there"))
    assert facts["errors"]["container"] == "there is no container not-there"
    facts = health_facts.collect(Engine(), Layout("not-there"), "127.0.0.1", 5432)
    assert facts["errors"]["login"].startswith(
        "the password of pgkeep_monitor cannot be read: /etc/pgkeep/not-there/client/"
    )


def test_an_off_site_repository_is_looked_at_without_asking_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one has a segment since an hour that the second one has not; nothing but files is read."""
    for name in ("state_dir", "pgbackrest_config_dir"):
        monkeypatch.setattr(Layout, name, str(tmp_path))
    (tmp_path / "pgbackrest.conf").write_text("[global]\nrepo1-path=/a\nrepo2-path=/b\nrepo2-type=s3\n")
    folder = tmp_path / "archive/app/17-1/0000000100000000"
    folder.mkdir(parents=True)
    for number, age in ((1, 7200), (2, 3600)):
        path = folder / ("%024X-%s.zst" % ((1 << 64) + number, "a" * 40))
        path.touch()
        os.utime(path, (1000000 - age, 1000000 - age))
    (tmp_path / "repositories").mkdir()
    (tmp_path / "repositories/2.json").write_text(
        json.dumps({"last": "%024X" % ((1 << 64) + 1), "failing_since": 999000.0, "error": {"why": "no\n route"}})
    )

    def asked(*_arguments: Any, **_more: Any) -> Any:
        raise AssertionError("a program was started")

    assert look(asked, Layout("app"), str(tmp_path), 1000000.0) == [
        {
            "number": 2,
            "type": "s3",
            "begun": True,
            "lag_seconds": 3600.0,
            "failing_seconds": 1000.0,
            "error": "no route",
        }
    ]
    (tmp_path / "repositories/2.json").unlink()
    assert look(asked, Layout("app"), str(tmp_path), 1000000.0)[0]["begun"] is False
    # Of a first repository that nobody can see no lag is known.
    assert look(asked, Layout("app"), None, 1000000.0)[0]["lag_seconds"] is None


def test_only_the_first_repository_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one that is down takes half a minute to say so."""
    asked: list[Any] = []

    def ask(run: Any, layout: Any, argv: Any, timeout: float) -> Any:
        asked.append(argv)
        return {"backup_info": {}}

    monkeypatch.setattr(health_facts, "ask", ask)
    health_facts._backup(lambda *_arguments: Result(0), Layout("app"), {})
    assert asked == [["info", "--repo", "1"]]
