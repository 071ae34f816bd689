# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The instance of test_alerts.py, whom it tells, and what its tests ask it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping

import yaml

from ..conftest import ROOT, environment
from .alert_receivers import PASSWORD, TOKEN, USER, Authority, Mail, Web

NAME = "pgkeep-it-alerts"
KEEPER = NAME + "-keeper"
PORT = 16590
ARCHIVE_SECONDS = 8
REPOSITORY_SIZE = "96m"
KEEPER_JSON = Path("/etc/pgkeep", NAME, "keeper/keeper.json")
ARCHIVE_CONF = Path("/etc/pgkeep", NAME, "pgbackrest/archive.conf")
PLAY = """
- hosts: postgres
  gather_facts: false
  roles: [pgkeep.postgres.postgres_server, pgkeep.postgres.postgres_backup]
"""
# Puts an alert into the queue as any part of the keeper does.
PUT = """
import sys, time
from pgkeep import _alert as a
alert = a.Alert("{name}", a.CRITICAL, "it", sys.argv[1], sys.argv[2], "nothing", "2026-01-01T00:00:00Z")
a.put("/var/lib/pgkeep", alert, time.time())
print(alert.id)
"""


def docker(*argv: str, check: bool = True) -> str:
    done = subprocess.run(["docker", *argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0 or not check, done.stdout
    return done.stdout.strip()


def until(predicate: Callable[[], Any], seconds: float = 40) -> Any:
    """What predicate gives as soon as it gives something."""
    end = time.monotonic() + seconds
    while not (found := predicate()):
        assert time.monotonic() < end, "it did not happen within %d s; %s" % (seconds, docker("logs", KEEPER))
        time.sleep(0.1)
    return found


def settled(number: Callable[[], int], seconds: float = 3) -> int:
    """The number, once it has not changed for so long."""
    last, since, end = number(), time.monotonic(), time.monotonic() + 120
    while time.monotonic() - since < seconds:
        assert time.monotonic() < end, "it goes on changing"
        if number() != last:
            last, since = number(), time.monotonic()
        time.sleep(0.1)
    return last


def pgkeep(*words: str) -> dict[str, Any]:
    return dict(json.loads(docker("exec", KEEPER, "pgkeep", *words, check=False)))


def put(what: str, why: str = "the test wants it") -> str:
    # The library of the keeper is called pgkeep there.
    return docker(
        "exec", "--env=PYTHONPATH=/usr/local/lib/pgkeep", KEEPER, "python3", "-c", PUT.format(name=NAME), what, why
    )


def sql(text: str) -> str:
    return docker("exec", NAME, "psql", "-XAtqc", text, "app")


def wal() -> dict[str, Any]:
    """What the keeper says of the archive."""
    return dict(pgkeep("info")["backup_info"]["wal"])


def volume(role: str) -> Path:
    """A volume of the instance, as this machine sees it."""
    return Path(docker("volume", "inspect", "--format", "{{.Mountpoint}}", "%s-%s" % (NAME, role)))


def worker_seconds() -> float:
    """For how long the archiver's worker has been working; 0 when it does not."""
    found = 0.0
    for lock in volume("spool").glob("lock/*-archive*.lock"):
        with contextlib.suppress(FileNotFoundError):
            found = max(found, time.time() - lock.stat().st_mtime)
    return found


@contextlib.contextmanager
def told_to_keeper(change: Callable[[dict[str, Any]], None]) -> Iterator[None]:
    """Let the keeper work with other topics than the deployed ones while the block runs."""
    declared = KEEPER_JSON.read_text()
    topics = json.loads(declared)
    change(topics)
    KEEPER_JSON.write_text(json.dumps(topics))
    try:
        yield
    finally:
        KEEPER_JSON.write_text(declared)


class Filler:
    """A file that leaves no more than free bytes in the repository, until it is removed."""

    def __init__(self) -> None:
        self.path = volume("repo") / "filler"

    def leave(self, free: int) -> None:
        with self.path.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while (disk := os.statvfs(self.path.parent)).f_bavail * disk.f_frsize > free:
                file.write(bytes(65536))

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


def receiver(name: str) -> dict[str, Any]:
    return next(each for each in pgkeep("alerts")["alerts"]["receivers"] if each["name"] == name)


def newest_backup() -> float:
    """When it ended, in seconds since the epoch."""
    stopped_at = pgkeep("info")["backup_info"]["backups"][-1]["stopped_at"]
    return datetime.fromisoformat(stopped_at.replace("Z", "+00:00")).timestamp()


@dataclass
class Lab:
    """The deployed instance and whom it tells."""

    folder: Path
    authority: Authority
    stranger: Authority
    ops: Web
    chat: Web
    mail: Mail
    smtps: Mail
    deadman: Web

    def deploy(self, alerts: Mapping[str, Any]) -> subprocess.CompletedProcess[str]:
        host = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "postgres_image_server": "{{ lookup('env', 'PGKEEP_SERVER_IMAGE') }}",
            "postgres_image_keeper": "{{ lookup('env', 'PGKEEP_KEEPER_IMAGE') }}",
            "postgres_server_memory": "512MB",
            "postgres_server_port": PORT,
            "postgres_server_network": NAME,
            # After so long PostgreSQL hears that its WAL was not archived.
            "postgres_server_pgbackrest_options": {"archive-timeout": ARCHIVE_SECONDS},
            "postgres_server_secrets_dir": str(self.folder / "secrets"),
            "postgres_server_users": [{"name": "app"}],
            "postgres_server_databases": [{"name": "app", "owner": "app"}],
            "postgres_backup_drill": False,
            # Far from now, so that no job disturbs: the test runs them itself.
            "postgres_backup_schedule": {"full": "0 %d * * *" % ((time.gmtime().tm_hour + 12) % 24)},
            "postgres_backup_alerts": alerts,
        }
        (self.folder / "hosts.yml").write_text(yaml.safe_dump({"postgres": {"hosts": {NAME: host}}}))
        (self.folder / "play.yml").write_text(PLAY)
        return self.play(str(self.folder / "play.yml"), "--diff")

    def play(self, *words: str) -> subprocess.CompletedProcess[str]:
        argv = ["ansible-playbook", "-i", str(self.folder / "hosts.yml"), *words]
        return subprocess.run(
            argv, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )

    def alerts(self) -> dict[str, Any]:
        return {
            "webhooks": [
                {"name": "ops", "url": self.ops.url("/hook/ops-url-key"), "token": TOKEN, "ca": self.authority.pem},
                {"name": "chat", "url": self.chat.url("/chat"), "format": "slack"},
            ],
            "email": {
                "host": self.mail.address,
                "port": self.mail.port,
                "username": USER,
                "password": PASSWORD,
                "from": "pgkeep@example.org",
                "to": ["oncall@example.org"],
                "ca": self.authority.pem,
            },
            "deadman_url": self.deadman.url("/ping/deadman-url-key"),
            "deadman_interval_seconds": 1,
            "thresholds": {
                "disk_percent": 100,
                "archiver_failing_seconds": 1,
                "clear_seconds": 0,
                "watch_seconds": 1,
                "server_down_seconds": 1,
            },
        }

    def of_action(self, action: str, status: str = "firing") -> list[dict[str, Any]]:
        """What the webhook was told of it, newest last."""
        return [each for each in self.ops.received if (each["action"], each["status"]) == (action, status)]

    def at_ops(self, identity: str) -> list[dict[str, Any]]:
        return [each for each in self.ops.received if each["id"] == identity]

    def at_mail(self, identity: str) -> list[Any]:
        return [each for each in self.mail.received if each["X-Pgkeep-Id"] == identity]

    def all_words(self) -> str:
        mails = [message.as_string() + str(message.get_content()) for message in self.mail.received]
        return json.dumps([self.ops.received, self.chat.received, mails], ensure_ascii=False)


def remove() -> None:
    for container in docker("ps", "--all", "--quiet", "--filter", "label=pgkeep.instance=" + NAME).split():
        docker("rm", "--force", container)
    for volume in docker("volume", "ls", "--quiet", "--filter", "label=pgkeep.instance=" + NAME).split():
        docker("volume", "rm", volume)
    for network in docker("network", "ls", "--quiet", "--filter", "name=^%s$" % NAME).split():
        docker("network", "rm", network)
    for folder in ("/etc/pgkeep", "/var/lib/pgkeep"):
        shutil.rmtree(Path(folder, NAME), ignore_errors=True)


def deployed(folder: Path) -> Iterator[Lab]:
    """The instance, once it and its receivers are there, until the caller goes on; remove() takes it away."""
    # Before the collection does, for its address has to be known.
    docker("network", "create", "--label", "pgkeep.instance=", NAME)
    # Bounded and in memory, so that it can be filled without harm to the machine.
    size = "o=size=%s,uid=999,gid=999,mode=0750" % REPOSITORY_SIZE
    options = [word for option in ("type=tmpfs", "device=tmpfs", size) for word in ("--opt", option)]
    docker("volume", "create", "--label", "pgkeep.instance=" + NAME, *options, NAME + "-repo")
    address = docker("network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", NAME)
    authority, stranger = Authority(folder, "Authority"), Authority(folder, "Stranger")
    made = Lab(
        folder,
        authority,
        stranger,
        ops=Web(address, authority.context(address), TOKEN),
        chat=Web(address),
        mail=Mail(address, authority.context(address)),
        smtps=Mail(address, authority.context(address), implicit=True),
        deadman=Web(address),
    )
    receivers = (made.ops, made.chat, made.mail, made.smtps, made.deadman)
    try:
        for each in receivers:
            each.start()
        done = made.deploy(made.alerts())
        assert done.returncode == 0, done.stdout
        for hidden in (TOKEN, PASSWORD, "ops-url-key", "deadman-url-key"):
            assert hidden not in done.stdout
        yield made
    finally:
        for each in receivers:
            each.stop()
